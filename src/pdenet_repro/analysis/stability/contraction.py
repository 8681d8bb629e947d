"""Test Theorem 1 on parabolic units with each step's own weights and the norm frozen at each image (see `jacobian`).

With a frozen norm a layer is ``F(Y) = -K^T sigma(a K Y + c)``, where a is the norm's scale s over the standard deviation. Then
``F(Y) - F(Z) = -K^T D a K (Y - Z)``, where D is diagonal with slopes of secants of sigma, which are in [0, 1]. If a >= 0
everywhere, a step multiplies the distance of any two solutions by at most ``max(1, h ||sqrt(a) K||^2 - 1)``, so no distance
grows for ``h <= 2 / ||sqrt(a) K||^2``. The weights may differ between steps; the factors of the steps multiply. If a scale is
negative, Theorem 1 does not apply: with ``a = a_+ - a_-`` the factor is at most ``max(1 + h ||sqrt(a_-) K||^2, h ||sqrt(a_+)
K||^2 - 1)``. For solutions close to an image the slopes are those of sigma at its features, and the factor is the largest
``|1 + h lambda|`` over the eigenvalues lambda of the layer's Jacobian.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis.drawing import (
    draw_marks,
    legend,
    plain_numbers,
    styles_of,
    tick_steps,
    time_steps,
)
from pdenet_repro.analysis.jacobian import Evaluation, evaluations
from pdenet_repro.analysis.lanczos import largest_eigenvalues
from pdenet_repro.analysis.result import Picture, Result, Row, columns_of, extremes, joined, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import euclidean_norms, units
from pdenet_repro.networks.layers import conv, conv_transpose
from pdenet_repro.networks.unit import Unit
from pdenet_repro.report.figures import draw_grid


def slopes_of_norm(layer: Evaluation) -> Tensor:
    """Return the slope a of a layer's norm when it is frozen at the features (N, C, H, W), in their shape."""
    inside: list[Tensor] = []
    F = layer.frozen()

    def recorded(Z: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        zero = torch.zeros_like(Z)
        inside.append(norm(zero + 1, scale, shift) - norm(zero, scale, shift))
        value: Tensor = norm(Z, scale, shift)
        return value

    norm, F.norm = F.norm, recorded
    F(layer.Y, layer.theta)
    return inside[0]


@torch.no_grad()
def largest_factors(layer: Evaluation, h: float) -> dict[str, Tensor]:
    """Compute by which factor a step of size h can enlarge a distance, and up to which step size no distance grows.

    The values are arrays (N,) over the layer's N images. ``factor_bound`` and ``step_size_bound`` hold for any two solutions,
    ``factor_at_image`` and ``step_size_at_image`` for solutions close to the image. Their errors are about 1 % (Lanczos).
    A step size of 0: negative scales, or at the image a positive eigenvalue, let distances grow at every step size.
    """
    K, a = layer.theta.kernel, slopes_of_norm(layer)

    def curvature(weights: Tensor) -> Tensor:
        return largest_eigenvalues(lambda V: conv_transpose(weights * conv(V, K), K), layer.Y)

    J = layer.jacobian(frozen=True, batched=True)
    contracting, expanding = curvature(a.clamp_min(0)), torch.zeros(len(a), dtype=torch.float64)
    if (a < 0).any():
        expanding = curvature((-a).clamp_min(0)).clamp_min(0).cpu()
    lowest = largest_eigenvalues(lambda V: -J.product(V), layer.Y).cpu()
    highest = largest_eigenvalues(J.product, layer.Y).cpu()
    contracting, highest = contracting.cpu(), highest.clamp_min(0) if (a < 0).any() else torch.zeros_like(highest)
    return {
        "factor_bound": torch.maximum(1 + h * expanding, h * contracting - 1),
        "factor_at_image": torch.maximum(1 + h * highest, h * lowest - 1),
        "step_size_bound": torch.where(expanding > 0, 0.0, 2 / contracting.clamp_min(1e-30)),
        "step_size_at_image": torch.where(highest > 1e-6 * lowest, 0.0, 2 / lowest.clamp_min(1e-30)),  # 1e-6: rounding
    }


@torch.no_grad()
def unit_rows(unit: Unit, Y: Tensor, Z: Tensor) -> list[Row]:
    """Return a row for each step of a parabolic unit: `largest_factors` at Y, and the growth of the distance of Y and Z.

    Y and Z (N, C, H, W) enter the unit. Both pass layers whose norms are frozen at the features of Y, as Theorem 1 requires.
    """
    rows, h = [], unit.dynamic.h
    for step, (layer,) in enumerate(evaluations(unit, Y), start=1):
        before = euclidean_norms(layer.Y - Z)
        F = layer.frozen()
        Z = Z + h * F(Z, layer.theta)
        after = euclidean_norms(layer.Y + h * F(layer.Y, layer.theta) - Z)
        found = largest_factors(layer, h) | {"growth_of_pairs": (after / before).cpu()}
        scales = layer.theta.scale
        rows.append(
            {"step": step, "negative_scales": int((scales < 0).sum()), "scales": len(scales)}
            | {name: values.numpy() for name, values in found.items()}
        )
    return rows


def measure(
    subjects: Sequence[Subject], pairs: Mapping[Subject, Sequence[tuple[Tensor, Tensor]]], result: Result
) -> None:
    """Add table, picture and sentences on Theorem 1 to ``result``, for the parabolic networks among the subjects.

    ``pairs`` has for each network and unit two arrays of features (N, C, H, W) that enter the unit.
    """
    table: list[Row] = []
    others = []
    for subject in subjects:
        if units(subject.network)[0].dynamic.facts.equation != "parabolic":
            others.append(subject.name)
            continue
        h, products, bounds, rows = subject.config.network.step_size, [], [], []
        for unit, (module, (Y, Z)) in enumerate(zip(units(subject.network), pairs[subject], strict=True), start=1):
            steps = unit_rows(module, Y, Z)
            products.append(np.prod([row["growth_of_pairs"] for row in steps], axis=0).max())
            bounds.append(np.prod([row["factor_bound"] for row in steps], axis=0).max())
            for row in steps:
                columns = {**subject.columns, "unit": unit, "step_size": h, "images": len(Y)}
                for name, value in row.items():
                    columns |= extremes(name, value) if isinstance(value, np.ndarray) else {name: value}
                rows.append(columns)
        table += rows
        result.sentences.append(_sentence(subject.name, h, rows, products, bounds))
    if others:
        result.sentences.append(
            f"Theorem 1 is not tested for {'; '.join(others)}, because it is about the parabolic equation (facts.equation)."
        )
    if table:
        result.tables["stability_theorem"] = table
        result.pictures["stability_theorem"] = Picture(
            picture(table),
            "Theorem 1 and the step size",
            "Parabolic units with each step's own kernel, bias and scales, the norm frozen at each image: the factor by which a "
            "step multiplies distances (left), and the largest step size at which no distance grows (right). The bound holds "
            "for any two solutions; close to an image: for solutions close to it; pairs: images and random perturbations of a "
            "tenth of their norm. Medians of the images, lines from the smallest to the largest. A step size of 0: a scale is "
            "negative, and Theorem 1 does not apply.",
        )


def _sentence(name: str, h: float, rows: Sequence[Row], products: Sequence[float], bounds: Sequence[float]) -> str:
    negative, scales = (sum(row[key] for row in rows) for key in ("negative_scales", "scales"))
    worst = [row["step_size_bound_min"] for row in rows if row["step_size_bound_min"] > 0]
    at_image = [row["step_size_at_image_min"] for row in rows]
    return (
        f"{name}, Theorem 1 with all steps' own weights and the norm frozen at {rows[0]['images']} images: {negative} of "
        f"{scales} scales are negative, so that it does not apply to {sum(row['negative_scales'] > 0 for row in rows)} of "
        f"{len(rows)} steps. "
        + (f"In the others no distance grows for h up to {min(worst):.2g} to {max(worst):.2g}; " if worst else "")
        + f"close to the images h may be {min(at_image):.2g} to {max(at_image):.2g}; h = {h:g} is used. The products of a unit's "
        f"factors bound the growth of distances by {joined(bounds, '.3g')}; the distances of random pairs are multiplied by "
        f"{joined(products, '.3g')} (largest of the images)."
    )


def picture(rows: Sequence[Row]) -> Figure:
    """Draw factors of one step (left) and step sizes (right): medians over images as marks, their range as lines."""
    figure = Figure(figsize=(12.0, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    style, steps = styles_of(rows), time_steps(rows)
    factors = {
        "factor_bound": ("any two solutions", "^"),
        "factor_at_image": ("close to an image", "o"),
        "growth_of_pairs": ("random pairs", "s"),
    }
    sizes = {"step_size_bound": ("any two solutions", "^"), "step_size_at_image": ("close to an image", "o")}
    least = min([row["step_size_bound_median"] for row in rows if row["step_size_bound_median"] > 0] or [0.1])
    for axis, quantities, lowest in ((left, factors, 1e-3), (right, sizes, least / 3)):
        for i, (network, how) in enumerate(style.items()):
            own = where(rows, network=network)
            for j, (column, (label, marker)) in enumerate(quantities.items()):
                offset = 0.7 * ((i * len(quantities) + j) / (len(style) * len(quantities)) - 0.4)
                at = [steps.index((row["unit"], row["step"])) + offset for row in own]
                spread = np.maximum(columns_of(own, *(f"{column}_{part}" for part in ("min", "median", "max"))), lowest)
                draw_marks(axis, at, spread, replace(how, marker=marker), 28, f"{network}: {label}")
        axis.set_yscale("log")
        plain_numbers(axis)
        tick_steps(axis, steps)
        draw_grid(axis, rows_only=True)
    left.axhline(1, color="black", linewidth=1)
    left.set_ylabel("factor of a distance in one step")
    for h in {row["step_size"] for row in rows}:
        right.axhline(h, color="black", linewidth=1)
        right.annotate(f"used:\nh = {h:g}", (1.01, h), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    if any(row["step_size_bound_median"] == 0 for row in rows):
        right.annotate("marks at the bottom: does not apply", (0.99, least / 3), xycoords=("axes fraction", "data"), ha="right",
                       va="bottom", fontsize=8)  # fmt: skip
    right.set_ylabel("largest step size at which no distance grows")
    legend(figure)
    return figure
