"""Kind ``kernels``: measure how much kernels change in time and how large they are.

The smoothness term (11) should limit the change. It sums ``sqrt(d^2 + eps)``, where d is the difference of a weight between
successive steps over h. For ``|d|`` well below ``sqrt(eps)`` that is ``sqrt(eps) + d^2 / (2 sqrt(eps))``: a constant and a
quadratic term, not a total variation. The projection should limit the size: it keeps weights in a box [-b, b], and
`entries_for_step_size` gives a b that guarantees a stable step.
"""

import argparse
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis.drawing import legend, plain_numbers, styles_of
from pdenet_repro.analysis.operator_norm import entries_for_step_size, operator_norm
from pdenet_repro.analysis.options import batch_dependence_note
from pdenet_repro.analysis.result import Picture, Result, Row, columns_of, joined, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.analysis.weight_variants import BATCH, averaged_in_time, variant_accuracies
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.report.figures import draw_grid
from pdenet_repro.system.console import progress
from pdenet_repro.training.objective import Objective

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 500
# bins of the histogram of differences; the last one also counts larger differences
EDGES = np.array([0.0, *np.geomspace(1e-5, 1.0, 41)])
VARIANTS = (  # name of the kernels, function that makes the network, statistics of its batch norms
    ("each step's", lambda network: network, "as trained"),
    ("averaged", averaged_in_time, "as trained"),
    ("averaged", averaged_in_time, "renewed"),
)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the kernels of every network, and the accuracy of trained ones with their kernels averaged over time."""
    sizes = [row for subject in progress(subjects, "kernels in time") for row in kernel_rows(subject)]
    histogram = [row for subject in subjects for row in _histogram(subject)]
    result = Result(tables={"kernels": sizes, "kernels_differences": histogram})
    result.sentences += batch_dependence_note(subjects, given.images, BATCH)
    averaged = [
        row
        for subject in subjects
        if subject.folder
        for row in variant_accuracies(subject, "kernels", VARIANTS, given.images, given.seed)
    ]
    if averaged:
        result.tables["kernels_averaged"] = averaged
    for subject in subjects:
        result.sentences.append(_sentence(subject, sizes, averaged))
    result.pictures["kernels"] = Picture(
        picture(sizes, histogram, {subject.config.objective.eps for subject in subjects}),
        "Kernels in time",
        "Left: change of the kernels from one step to the next, ‖K_{j+1} - K_j‖ / ‖K_j‖ in the Frobenius norm, the largest of a "
        "unit's steps. Middle: share of the differences of entries that are at most the value on the axis; dashed: √eps of the "
        "smoothness term, far below which the term is quadratic. Right: operator norm of the zero-padded kernels, the largest of "
        "a unit's steps.",
    )
    return result


def kernels_of(unit: torch.nn.Module) -> list[Tensor]:
    """Return the kernels of a unit, each as an array over its time steps (steps, C_out, C_in, 3, 3)."""
    return [value.detach() for name, value in unit.named_parameters() if is_kernel(name)]


def kernel_rows(subject: Subject) -> list[Row]:
    """Return a row for each unit: change of its kernels in time, their entries and operator norms, scales of its norms."""
    rows, h = [], subject.config.network.step_size
    root, box = subject.config.objective.eps**0.5, subject.config.optimizer.bound
    for number, unit in enumerate(units(subject.network), start=1):
        kernels, differences = kernels_of(unit), _differences(unit, h)
        changes = [
            float((after - before).norm() / before.norm().clamp_min(1e-30))
            for K in kernels
            for before, after in pairwise(K)
        ]
        entries, channels = torch.cat([K.flatten() for K in kernels]).abs(), kernels[0].shape[1]
        largest_norm = max(
            operator_norm(one, IMAGE_SIDE >> (number - 1), tolerance=1e-3)[0] for K in kernels for one in K
        )
        scales = torch.cat(
            [value.detach().flatten() for name, value in unit.named_parameters() if name.endswith("scale")]
        )
        rows.append(
            {**subject.columns, "unit": number, "channels": channels,
             "relative_change_max": max(changes, default=math.nan), "entry_rms": float(entries.square().mean().sqrt()),
             "entry_max": float(entries.max()),
             "share_on_box": float((entries >= box).float().mean()) if box is not None else 0.0,
             "operator_norm_max": largest_norm, "entries_that_guarantee_h": entries_for_step_size(channels, h),
             "differences": len(differences), "differences_above_sqrt_eps": int((differences > root).sum()),
             "difference_max": float(differences.max(initial=0)), "scales": len(scales),
             "negative_scales": int((scales < 0).sum()), "scale_min": float(scales.min()), "scale_max": float(scales.max())}
        )  # fmt: skip
    return rows


def _differences(unit: torch.nn.Module, h: float) -> np.ndarray:
    """Return ``|difference| / h`` between successive steps for all kernel entries of a unit: (differences,) float64."""
    found = [K.diff(dim=0).flatten() for K in kernels_of(unit)]
    return (torch.cat(found).abs() / h).double().cpu().numpy()


def _histogram(subject: Subject) -> list[Row]:
    h = subject.config.network.step_size
    differences = np.concatenate([_differences(unit, h) for unit in units(subject.network)])
    if not len(differences):  # units of a single step have none
        return []
    counts, _ = np.histogram(differences.clip(max=EDGES[-1]), EDGES)
    return [
        {**subject.columns, "difference_from": float(low), "difference_to": float(high), "entries": int(count),
         "share_up_to": float(total / len(differences)), "sqrt_eps": subject.config.objective.eps**0.5}
        for (low, high), count, total in zip(pairwise(EDGES), counts, counts.cumsum(), strict=True)
    ]  # fmt: skip


@torch.no_grad()
def _sentence(subject: Subject, sizes: Sequence[Row], averaged: Sequence[Row]) -> str:
    own, config = where(sizes, network=subject.name), subject.config.objective
    changes, entries, operator_norms, on_box = (
        joined((row[key] for row in own), form)
        for key, form in (
            ("relative_change_max", ".2g"), ("entry_max", ".2g"), ("operator_norm_max", ".3g"), ("share_on_box", ".2%"),
        )
    )  # fmt: skip
    above, differences, negative, scales = (
        sum(row[key] for row in own)
        for key in ("differences_above_sqrt_eps", "differences", "negative_scales", "scales")
    )
    sentence = (
        f"{subject.name}: from step to step the kernels of the units change by at most {changes} of their norm; {above:,} of the "
        f"{differences:,} differences of entries are above sqrt(eps) = {config.eps**0.5:.2g}. Their largest entries are "
        f"{entries}, their operator norms up to {operator_norms}; {on_box} of their entries are at the bound of the projection. "
        f"{negative} of the {scales:,} scales of the norms are negative; they are {min(row['scale_min'] for row in own):.2g} "
        f"to {max(row['scale_max'] for row in own):.2g}."
    )
    if config.smoothness == "tv":
        objective = Objective(subject.network, config, subject.config.network.step_size)
        sentence += (
            f" The smoothness term is {float(objective.smoothness()):.4f}, {objective.smoothness_above_floor():.4f} above its "
            "least value, that of weights constant in time."
        )
    if accuracy := where(averaged, network=subject.name):
        each, kept, renewed = accuracy
        sentence += (
            f" With kernels averaged over the steps the accuracy on {each['test_images']} test images is "
            f"{100 * kept['test_accuracy']:.1f} % ({100 * renewed['test_accuracy']:.1f} % with renewed batch statistics); with "
            f"each step's kernels it is {100 * each['test_accuracy']:.1f} %."
        )
    return sentence


def picture(sizes: Sequence[Row], histogram: Sequence[Row], eps: set[float]) -> Figure:
    """Draw the change of the kernels (left), the distribution of differences of entries (middle), operator norms (right)."""
    figure = Figure(figsize=(13.0, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for network, how in styles_of(sizes).items():
        own = where(sizes, network=network)
        at, changes, operator_norms = columns_of(own, "unit", "relative_change_max", "operator_norm_max")
        options: dict[str, Any] = {"color": how.colour, "linestyle": how.dashes, "marker": how.marker}
        left.plot(at, changes, label=network, clip_on=False, **options)  # marks at 0 are on the edge
        right.plot(at, operator_norms, **options)
        shares = columns_of(where(histogram, network=network), "difference_to", "share_up_to")
        middle.plot(*shares, how.dashes, color=how.colour)
    for each in eps:
        middle.axvline(each**0.5, color="black", linewidth=1, linestyle="--", label="√eps of the smoothness term")
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
    plain_numbers(right)
    for axis in (left, middle, right):
        draw_grid(axis)
    legend(figure)
    return figure
