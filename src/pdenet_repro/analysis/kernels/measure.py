"""Kind ``kernels``: change of the kernels in time and their size, which the smoothness term and the projection are to limit.

The smoothness term (11) is the sum of ``sqrt(d^2 + eps)`` over the differences d of two steps' weights, divided by h. Where
``|d|`` is well below ``sqrt(eps)`` it is ``sqrt(eps) + d^2 / (2 sqrt(eps))``, which is a constant and a quadratic term, not a
total variation. The projection keeps every weight in a box [-b, b]; `entries_for_step_size` is the b that guarantees a stable
step.
"""

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.operator_norm import entries_for_step_size, operator_norm
from pdenet_repro.analysis.options import about_batches, add_images
from pdenet_repro.analysis.refinement.measure import BATCH, STATISTICS_IMAGES
from pdenet_repro.analysis.result import Picture, Result
from pdenet_repro.analysis.styles import draw_grid, line_styles
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.analysis.weight_variants import averaged_in_time, compared, predictions, renew_statistics
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.system.console import progress
from pdenet_repro.training.objective import Objective

BESIDE_INITIAL_WEIGHTS = True
EDGES = np.concatenate(
    [[0.0], np.geomspace(1e-5, 1.0, 41)]
)  # edges of the histogram of differences; larger ones are counted in the last bin
Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind to its parser."""
    add_images(parser, 500)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the kernels of every network, and the accuracy of trained ones with their kernels averaged over time."""
    sizes = [row for subject in progress(subjects, "kernels in time") for row in kernel_rows(subject)]
    histogram = [row for subject in subjects for row in _histogram(subject)]
    result = Result(tables={"kernels": sizes, "kernels_differences": histogram})
    result.sentences += about_batches(subjects, given.images, BATCH)
    averaged = [row for subject in subjects if subject.folder for row in _averaged(subject, given)]
    if averaged:
        result.tables["kernels_averaged"] = averaged
    for subject in subjects:
        result.sentences.append(_sentence(subject, sizes, averaged))
    result.pictures["kernels"] = Picture(
        picture(sizes, histogram, {subject.config.objective.eps for subject in subjects}),
        "Kernels in time",
        "Left: change of the kernels from one step to the next, ‖K_{j+1} - K_j‖ / ‖K_j‖ in the Frobenius norm, largest of a "
        "unit's steps. Middle: how many of the entries' differences are at most so large, and √eps of the smoothness term "
        "(dashed), far below which it is a quadratic. Right: operator norm of the kernels with zero padding, largest of a unit's "
        "steps.",
    )
    return result


def kernels_of(unit: torch.nn.Module) -> list[tuple[str, Tensor]]:
    """The kernels of a unit over time, with their names: (steps, C_out, C_in, 3, 3) each."""
    return [(name, value.detach()) for name, value in unit.named_parameters() if value.ndim == 5]


def kernel_rows(subject: Subject) -> list[Row]:
    """A row for each unit: change of its kernels in time, their entries and operator norms, the scales of its norms."""
    rows, h, root, box = (
        [],
        subject.config.network.step_size,
        subject.config.objective.eps**0.5,
        subject.config.optimizer.bound,
    )
    for number, unit in enumerate(units(subject.network), start=1):
        kernels = kernels_of(unit)
        changes = [
            float((after - before).norm() / before.norm().clamp_min(1e-30))
            for _, K in kernels
            for before, after in zip(K, K[1:], strict=False)
        ]
        entries = torch.cat([K.flatten() for _, K in kernels]).abs()
        norm = max(operator_norm(one, IMAGE_SIDE >> (number - 1), tolerance=1e-3)[0] for _, K in kernels for one in K)
        channels, differences = kernels[0][1].shape[1], _differences(unit, h)
        scales = torch.cat(
            [value.detach().flatten() for name, value in unit.named_parameters() if name.endswith("scale")]
        )
        rows.append(
            {"network": subject.name, "dynamic": subject.dynamic, "unit": number, "channels": channels,
             "relative_change_max": max(changes, default=math.nan), "entry_rms": float(entries.square().mean().sqrt()),
             "entry_max": float(entries.max()),
             "share_on_box": float((entries >= box).float().mean()) if box is not None else 0.0,
             "operator_norm_max": norm, "entries_that_guarantee_h": entries_for_step_size(channels, h),
             "differences": len(differences), "differences_above_sqrt_eps": int((differences > root).sum()),
             "difference_max": float(differences.max(initial=0)), "scales": len(scales),
             "negative_scales": int((scales < 0).sum()), "scale_min": float(scales.min()), "scale_max": float(scales.max())}
        )  # fmt: skip
    return rows


def _differences(unit: torch.nn.Module, h: float) -> np.ndarray:
    """Absolute differences over h of all kernel entries of a unit between successive steps: (differences,) float64."""
    found = [K.diff(dim=0).flatten() for _, K in kernels_of(unit)]
    return (torch.cat(found).abs() / h).double().cpu().numpy()


def _histogram(subject: Subject) -> list[Row]:
    h = subject.config.network.step_size
    differences = np.concatenate([_differences(unit, h) for unit in units(subject.network)])
    if not len(differences):  # units of one step
        return []
    counts, _ = np.histogram(differences.clip(max=EDGES[-1]), EDGES)
    return [
        {"network": subject.name, "dynamic": subject.dynamic, "difference_from": float(low), "difference_to": float(high),
         "entries": int(count), "share_up_to": float(total / len(differences)),
         "sqrt_eps": subject.config.objective.eps**0.5}
        for low, high, count, total in zip(EDGES, EDGES[1:], counts, counts.cumsum(), strict=False)
    ]  # fmt: skip


def _averaged(subject: Subject, given: argparse.Namespace) -> list[Row]:
    images, labels = subject.test_images(given.images, given.seed)
    truth, rows = labels.cpu().numpy(), []
    original = predictions(subject, subject.network, images, BATCH) == truth
    for kernels, statistics in (("each step's", "as trained"), ("averaged", "as trained"), ("averaged", "renewed")):
        network = averaged_in_time(subject.network) if kernels == "averaged" else subject.network
        if statistics == "renewed":
            renew_statistics(subject, network, STATISTICS_IMAGES, given.seed)
        right = predictions(subject, network, images, BATCH) == truth
        place = {"network": subject.name, "dynamic": subject.dynamic, "kernels": kernels, "statistics": statistics}
        rows.append(place | compared(original, right))
    return rows


@torch.no_grad()
def _sentence(subject: Subject, sizes: Sequence[Row], averaged: Sequence[Row]) -> str:
    own = [row for row in sizes if row["network"] == subject.name]
    changes, norms, on_box = (
        ", ".join(form.format(row[key]) for row in own)
        for key, form in (
            ("relative_change_max", "{:.2g}"), ("operator_norm_max", "{:.3g}"), ("share_on_box", "{:.2%}"),
        )
    )  # fmt: skip
    config = subject.config.objective
    above, differences, negative, scales = (
        sum(row[key] for row in own)
        for key in ("differences_above_sqrt_eps", "differences", "negative_scales", "scales")
    )
    entries = ", ".join(f"{row['entry_max']:.2g}" for row in own)
    sentence = (
        f"{subject.name}: from step to step the kernels of the units change by at most {changes} of their norm; {above:,} of the "
        f"{differences:,} differences of entries are above sqrt(eps) = {config.eps**0.5:.2g}. Their largest entries are "
        f"{entries}, their operator norms up to {norms}; {on_box} of their entries are on the box. {negative} of the "
        f"{scales:,} scales of the norms are negative; they are {min(row['scale_min'] for row in own):.2g} to "
        f"{max(row['scale_max'] for row in own):.2g}."
    )
    if config.smoothness == "tv":
        objective = Objective(subject.network, config, subject.config.network.step_size)
        sentence += (
            f" The smoothness term is {float(objective.smoothness()):.4f}, {objective.smoothness_above_floor():.4f} above its "
            "least value, that of weights constant in time."
        )
    accuracy = {(row["kernels"], row["statistics"]): row for row in averaged if row["network"] == subject.name}
    if accuracy:
        each, kept, renewed = accuracy.values()
        sentence += (
            f" With the steps' kernels averaged accuracy on {each['test_images']} test images is "
            f"{100 * kept['test_accuracy']:.1f} % ({100 * renewed['test_accuracy']:.1f} % with renewed batch statistics), with "
            f"each step's {100 * each['test_accuracy']:.1f} %."
        )
    return sentence


def picture(sizes: Sequence[Row], histogram: Sequence[Row], eps: set[float]) -> Figure:
    """Left the changes of the kernels, in the middle the distribution of the differences, right the operator norms."""
    figure = Figure(figsize=(13.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    style = line_styles((row["network"], row["dynamic"]) for row in sizes)
    for network, how in style.items():
        own = [row for row in sizes if row["network"] == network]
        at = [row["unit"] for row in own]
        options: dict[str, Any] = {"color": how.colour, "linestyle": how.line, "marker": how.marker}
        left.plot(at, [row["relative_change_max"] for row in own], label=network, **options)
        right.plot(at, [row["operator_norm_max"] for row in own], **options)
        rows = [row for row in histogram if row["network"] == network]
        middle.plot(
            [row["difference_to"] for row in rows], [row["share_up_to"] for row in rows], how.line, color=how.colour
        )
    for each in eps:
        middle.axvline(each**0.5, color="black", linewidth=1, linestyle="--")
    units_ = sorted({row["unit"] for row in sizes})
    for axis in (left, right):
        axis.set_xticks(units_)
        axis.set_xlabel("unit")
    middle.set_xscale("log")
    middle.set_ylim(0, 1.02)
    middle.set_xlabel("difference of an entry over h")
    middle.set_ylabel("share of the entries' differences up to it")
    left.set_ylabel("relative change from step to step")
    left.set_ylim(bottom=0)
    right.set_ylabel("operator norm ‖K‖")
    right.set_yscale("log")
    depth_axes.plain_numbers(right)
    for axis in (left, middle, right):
        draw_grid(axis)
    depth_axes.legend(figure)
    return figure
