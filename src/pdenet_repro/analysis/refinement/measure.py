"""Kind ``refinement``: measure networks again with finer time steps to the same final time, without training.

Each time step is replaced by m steps of size ``h / m`` with the same weights and norm. If a network is an accurate
discretisation of its equation, its results hardly change; if its accuracy collapses at m = 2, properties of the equation say
little about the network. The batch norms between the units have either the running statistics of training, or statistics that
are computed again on training images after the refinement. Initial weights beside a trained network show which part of its
units' distance to the limit is due to training; their accuracy would say nothing.

Refinement delays the forces of leapfrog from rest (the second-order network), which changes a unit even where the force does not
depend on the features. A second refinement makes up for the delay (`refined_centred`).
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis.drawing import draw_spread, legend, panels, plain_numbers
from pdenet_repro.analysis.options import batch_dependence_note, parse_numbers
from pdenet_repro.analysis.result import Picture, Result, Row, columns_of, joined, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import entering_features, euclidean_norms, units
from pdenet_repro.analysis.weight_variants import (
    BATCH,
    STATISTICS_IMAGES,
    is_leapfrog_from_rest,
    refined,
    refined_centred,
    variant_accuracies,
)
from pdenet_repro.config.schema import CLASSES
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.report.figures import Style, draw_grid, percent_axis
from pdenet_repro.system.console import progress

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 500
OPTIONS = {
    "--refine": {
        "default": "1,2,4,8", "metavar": "A,B,...",
        "help": "numbers m of time steps that replace one, of size h / m (default %(default)s); distances are to the largest m",
    }
}  # fmt: skip
DISTANCE_IMAGES = 16


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the accuracy of every refined network, and how far its units' outputs are from those of the finest one."""
    times = sorted({1, *(int(value) for value in parse_numbers("--refine", given.refine, 0, 1024, whole=True))})
    accuracy: list[Row] = []
    centred: list[Row] = []
    distances: list[Row] = []
    result = Result(sentences=batch_dependence_note(subjects, given.images, BATCH))
    some_trained = any(subject.folder for subject in subjects)
    for subject in subjects:
        distances += unit_distances(subject, times, min(DISTANCE_IMAGES, given.images), given.seed)
        if some_trained and not subject.folder:
            if moved := _moved(subject.name, distances):
                result.sentences.append(f"{subject.name}: {moved}")
            continue
        variants = [
            (m, partial(refined, times=m), statistics) for m in times for statistics in ("as trained", "renewed")
        ]
        if is_leapfrog_from_rest(units(subject.network)[0].dynamic):
            finer = [(m, partial(refined_centred, times=m), "renewed") for m in times[1:]]
        else:
            finer = []
        shown = progress([*variants, *finer], f"refining {subject.name} in time")
        rows = variant_accuracies(subject, "steps_for_one", shown, given.images, given.seed)
        accuracy += rows[: len(variants)]
        centred += rows[len(variants) :]
        result.sentences.append(f"{_sentence(subject.name, accuracy)} {_moved(subject.name, distances)}".strip())
        if finer:
            result.sentences.append(_centred_sentence(subject.name, centred))
    result.tables = {"refinement": accuracy, "refinement_distances": distances}
    centring = ""
    if centred:
        result.tables["refinement_centred"] = centred
        centring = ", dash-dotted: renewed, leapfrog from rest with finer steps that act at the same time on average"
    result.pictures["refinement"] = Picture(
        picture(accuracy, centred, distances),
        "The same networks with finer time steps",
        f"Left: accuracy on {given.images} test images when every time step becomes m steps of size h / m with the same weights, "
        "norms as they are (exact 95 % intervals); solid: batch norms with statistics renewed on "
        f"{STATISTICS_IMAGES} training images, dotted: as trained{centring}. "
        "Right: relative distance of each unit's result to that of the finest refinement, from the "
        f"same features, {min(DISTANCE_IMAGES, given.images)} images: median of the units, band "
        "over them, also of the initial weights. A discretised equation keeps its accuracy, and its distance to the limit "
        "falls like 1 / m.",
    )
    return result


@torch.no_grad()
def unit_distances(subject: Subject, times: Sequence[int], images: int, seed: int) -> list[Row]:
    """Return a row for each unit and m < M in the sorted ``times``: ``|Y_m - Y_M| / |Y_M|``, M the last of them.

    ``Y_m`` is the output of the unit with m steps in place of one, for features of test images that enter it.
    """
    entering = entering_features(subject, images, seed)
    *coarser, finest = times
    limit = _results(refined(subject.network, finest), entering)
    rows = []
    for m in coarser:
        for unit, (Y, Y_limit) in enumerate(
            zip(_results(refined(subject.network, m), entering), limit, strict=True), 1
        ):
            distance = (euclidean_norms(Y - Y_limit) / euclidean_norms(Y_limit)).cpu().numpy()
            rows.append(
                {**subject.columns, "unit": unit, "steps_for_one": m, "finest": finest, "images": images,
                 "relative_distance_median": float(np.median(distance)), "relative_distance_max": float(distance.max())}
            )  # fmt: skip
    return rows


def _results(network: PDENet, entering: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat([unit(part) for part in Y.split(4)]) for unit, Y in zip(units(network), entering, strict=True)]


def _sentence(name: str, accuracy: Sequence[Row]) -> str:
    trained, renewed = (where(accuracy, network=name, statistics=kind) for kind in ("as trained", "renewed"))
    of_trained, of_renewed = (joined((100 * row["test_accuracy"] for row in of), ".1f") for of in (trained, renewed))
    return (
        f"{name}: with {joined(row['steps_for_one'] for row in renewed)} steps in place of one, the accuracy on "
        f"{renewed[0]['test_images']} test images is {of_renewed} % with renewed batch statistics, {of_trained} % with those of "
        "training."
    )


def _moved(name: str, distances: Sequence[Row]) -> str:
    """Return a sentence on the units' distances to the finest refinement; an empty one if there are none."""
    first = [row["relative_distance_median"] for row in where(distances, network=name, steps_for_one=1)]
    return (
        f"The outputs of its units are at relative distances of {min(first):.2g} to {max(first):.2g} from those of the "
        "finest refinement (medians)."
        if first
        else ""
    )


def _centred_sentence(name: str, centred: Sequence[Row]) -> str:
    rows = where(centred, network=name)
    return (
        f"{name}: with {joined(row['steps_for_one'] for row in rows)} steps in place of one, centred at its time, the accuracy "
        f"is {joined((100 * row['test_accuracy'] for row in rows), '.1f')} % with renewed batch statistics."
    )


def picture(accuracy: Sequence[Row], centred: Sequence[Row], distances: Sequence[Row]) -> Figure:
    """Draw accuracy (left) and distance to the finest refinement (right) against the number of steps that replace one."""
    groups = panels([*accuracy, *distances])
    figure = Figure(figsize=(11.5, 1.3 + 3.3 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), 2, sharex=True, sharey="col", squeeze=False)
    ticks = sorted({row["steps_for_one"] for row in accuracy})
    for (left, right), group in zip(axes, groups, strict=True):
        _draw(left, right, group, accuracy, centred, distances)
        for axis in (left, right):
            axis.set_xscale("log")
            axis.set_xticks(ticks, [str(m) for m in ticks])
            axis.minorticks_off()
            draw_grid(axis)
        left.axhline(1 / CLASSES, color="#777777", linewidth=0.8, linestyle="--")
        left.set_ylabel("test accuracy (dashed: chance)")
        right.set_ylabel("relative distance to the finest")
    left.set_ylim(bottom=0)
    percent_axis(left.yaxis)
    if distances:
        right.set_yscale("log")
        plain_numbers(right)
    for axis in axes[-1]:
        axis.set_xlabel("m, time steps of size h / m for one of size h")
    for table, _, line, words in _lines(accuracy, centred):
        if table:
            left.plot([], [], line, color="#555555", label=f"batch statistics {words}")
    legend(figure)
    return figure


def _lines(accuracy: Sequence[Row], centred: Sequence[Row]) -> list[tuple[Sequence[Row], str, str, str]]:
    """Return for each line of a network its table, the statistics, the dashes, and its name in the legend."""
    return [
        (accuracy, "renewed", "-", "renewed"),
        (accuracy, "as trained", ":", "as trained"),
        (centred, "renewed", "-.", "renewed, steps centred"),
    ]


def _draw(
    left: Axes, right: Axes, style: Mapping[str, Style],
    accuracy: Sequence[Row], centred: Sequence[Row], distances: Sequence[Row],
) -> None:  # fmt: skip
    for i, (network, how) in enumerate(style.items()):
        shift = 1.03 ** (i - (len(style) - 1) / 2)
        for table, statistics, line, _ in _lines(accuracy, centred):
            rows = where(table, network=network, statistics=statistics)
            if not rows:
                continue
            x, y, low, high = np.array(columns_of(rows, "steps_for_one", "test_accuracy", "low_95", "high_95"))
            left.errorbar(x * shift, y, [y - low, high - y], color=how.colour, linestyle=line, marker=how.marker, capsize=2,
                          elinewidth=0.8, label=network)  # fmt: skip
        own = where(distances, network=network)
        draw_spread(right, own, "steps_for_one", "relative_distance_median", how, network, alpha=0.1)
