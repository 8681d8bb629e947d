"""Kind ``sensitivity``: measure largest singular values of units and networks, one-sided Lipschitz constants of layers.

A map with Jacobian J enlarges a random perturbation by the mean gain ``|J|_F / sqrt(n)``, and the most sensitive direction by
the largest singular value of J, which a Lanczos iteration on ``J^T J`` computes matrix-free. The one-sided Lipschitz constant of
a layer F at an image is the largest eigenvalue of ``(J + J^T) / 2`` with the norm free. It is the rate at which two close
solutions of ``Y' = F(Y)`` may move apart; Theorem 1 needs it to be at most 0.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis.drawing import draw_layers, draw_marks, legend, plain_numbers, styles_of
from pdenet_repro.analysis.jacobian import Evaluation, forward_product, measure_layers
from pdenet_repro.analysis.lanczos import largest_eigenvalues
from pdenet_repro.analysis.result import DoesNotApply, Picture, Result, Row, columns_of, extremes, joined, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import entering_features, euclidean_norms, units
from pdenet_repro.config.schema import batch_dependence
from pdenet_repro.report.figures import draw_grid
from pdenet_repro.system.console import progress

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 16
BATCH = 4  # images that are computed together
DIRECTIONS = 4  # random directions for the mean gain


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure every unit, every layer and the whole network at test images, for every network.

    Raises
    ------
    DoesNotApply
        The scores of one of the networks depend on the other images of a batch, so that there is no Jacobian at one image.
    """
    for subject in subjects:
        if setting := batch_dependence(subject.config):
            raise DoesNotApply(f"sensitivity: with {setting} the scores of an image depend on the others of its batch")
    of_parts: list[Row] = []
    layers: list[Row] = []
    for subject in progress(subjects, "singular values"):
        entering = entering_features(subject, given.images, given.seed)
        of_parts += _gains(subject, entering, given.images, given.seed)
        layers += _layers(subject, entering)
    result = Result(tables={"sensitivity": of_parts, "sensitivity_layers": layers})
    for subject in subjects:
        result.sentences.append(_sentence(subject.name, of_parts, layers))
    result.pictures["sensitivity"] = Picture(
        picture(of_parts, layers),
        "Largest and mean gain",
        "Left: largest singular value of the Jacobian (mark), and mean gain, the root mean square over random directions (bar), "
        f"of each unit and of the network from the standardised image to the class scores, at {given.images} test images: "
        "medians, lines from the smallest to the largest. Right: one-sided Lipschitz constant of each layer, the norm's "
        "contribution included; above 0 two close solutions may move apart at any step size.",
    )
    return result


@torch.no_grad()
def gains(map_: Callable[[Tensor], Tensor], X: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest singular value and the root mean square gain of a map's Jacobian at each example, (N,) each.

    ``map_`` must map examples independently, from X (N, ...) to (N, ...), and to no more values than X has.
    """
    value, pullback = torch.func.vjp(map_, X)[:2]

    def product(V: Tensor) -> Tensor:
        back: Tensor = pullback(forward_product(map_, X, V))[0]
        return back

    largest = largest_eigenvalues(product, X).clamp_min(0).sqrt()
    # the mean of |J^T u|^2 over normal vectors u is |J|_F^2
    generator = torch.Generator().manual_seed(1)
    squares = [
        euclidean_norms(pullback(torch.randn(value.shape, generator=generator).to(value))[0]).square()
        for _ in range(DIRECTIONS)
    ]
    mean = (torch.stack(squares).mean(0) / X[0].numel()).sqrt()
    return largest.cpu().numpy(), mean.cpu().numpy()


def _gains(subject: Subject, entering: Sequence[Tensor], images: int, seed: int) -> list[Row]:
    network, (pixels, _) = subject.network, subject.test_images(images, seed)
    maps: list[tuple[str, Callable[[Tensor], Tensor], Tensor]] = [
        (f"unit {number}", unit, Y)
        for number, (unit, Y) in enumerate(zip(units(network), entering, strict=True), start=1)
    ]
    rows = []
    for part, map_, X in (*maps, ("network", network.forward_unchecked, network.standardize(pixels))):
        largest, mean = (np.concatenate(each) for each in zip(*(gains(map_, x) for x in X.split(BATCH)), strict=True))
        about = {**subject.columns, "part": part, "images": images}
        rows.append(about | extremes("largest_gain", largest) | extremes("mean_gain", mean))
    return rows


def symmetric_part(layer: Evaluation) -> Callable[[Tensor], Tensor]:
    """Return the function that multiplies direction n by ``(J + J^T) / 2``, J the Jacobian at example n, the norm free."""
    J, transposed = layer.jacobian(frozen=False, batched=True).product, layer.transposed()
    return lambda V: (J(V) + transposed(V)) / 2


def _layers(subject: Subject, entering: Sequence[Tensor]) -> list[Row]:
    rows = []
    for number, (unit, Y) in enumerate(zip(units(subject.network), entering, strict=True), start=1):
        found = measure_layers(unit, Y, BATCH, lambda each: largest_eigenvalues(symmetric_part(each), each.Y))
        for (step, layer), (constants, _) in found.items():
            about = {**subject.columns, "unit": number, "step": step, "layer": layer, "images": len(Y)}
            rows.append(about | extremes("one_sided_lipschitz", constants))
    return rows


def _sentence(name: str, of_parts: Sequence[Row], layers: Sequence[Row]) -> str:
    *of_units, whole = where(of_parts, network=name)
    constants = [row["one_sided_lipschitz_median"] for row in where(layers, network=name)]
    largest, mean = (joined((row[f"{kind}_gain_median"] for row in of_units), ".3g") for kind in ("largest", "mean"))
    return (
        f"{name}, at {whole['images']} test images (medians): the units enlarge their most sensitive direction by {largest}, "
        f"a random one by {mean}; the network from the standardised image to the scores by "
        f"{whole['largest_gain_median']:.3g} and {whole['mean_gain_median']:.3g}. "
        "The layers' one-sided Lipschitz constants with the norm free are "
        f"{min(constants):.2g} to {max(constants):.2g}."
    )


def picture(of_parts: Sequence[Row], layers: Sequence[Row]) -> Figure:
    """Draw the gains (left) and the one-sided Lipschitz constants (right), with a mark for each network."""
    figure = Figure(figsize=(12.0, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    parts, style = list(dict.fromkeys(row["part"] for row in of_parts)), styles_of(of_parts)
    for i, (network, how) in enumerate(style.items()):
        offset = 0.7 * ((i + 0.5) / len(style) - 0.5)
        own = where(of_parts, network=network)
        at = [parts.index(row["part"]) + offset for row in own]
        gains = columns_of(own, "largest_gain_min", "largest_gain_median", "largest_gain_max")
        draw_marks(left, at, gains, how, 32, network)
        left.plot(at, [row["mean_gain_median"] for row in own], "_", color=how.colour, markersize=9)
    left.axhline(1, color="black", linewidth=1)
    left.set_yscale("log")
    plain_numbers(left)
    left.set_xticks(range(len(parts)), parts)
    left.set_ylabel("largest singular value; mean gain (bar)")
    draw_grid(left, rows_only=True)
    constants = [f"one_sided_lipschitz_{part}" for part in ("min", "median", "max")]
    draw_layers(right, layers, style, lambda rows: columns_of(rows, *constants))
    right.axhline(0, color="black", linewidth=1)
    right.set_ylabel("one-sided Lipschitz constant, norm free")
    legend(figure)
    return figure
