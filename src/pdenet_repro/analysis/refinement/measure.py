"""Kind ``refinement``: measure networks again with finer time steps to the same final time, without training.

Each time step is replaced by m steps of size ``h / m`` with the same weights and norm. If a network is an accurate
discretisation of its equation, its results hardly change; if its accuracy collapses at m = 2, properties of the equation say
little about the network. The batch norms between the units have either the running statistics of training, or statistics that
are computed again on training images after the refinement. With the smallest m above 1, parts of the network are also refined
alone: each unit, the first step of all units, the other steps. Initial weights beside a trained network show which part of its
units' distance to the limit is due to training; their accuracy would say nothing.

Refinement delays the forces of leapfrog from rest (the second-order network), which changes a unit even where the force does not
depend on the features. A second refinement makes up for the delay (`refined_centred`).
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    can_change_step_size,
    is_leapfrog_from_rest,
    refined,
    refined_centred,
    refined_steps,
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
TABLES = ("refinement", "refinement_distances", "refinement_parts", "refinement_centred")
Change = Callable[[PDENet], PDENet]


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the accuracy of every refined network, and how far its units' outputs are from those of the finest one."""
    times = sorted({1, *(int(value) for value in parse_numbers("--refine", given.refine, 0, 1024, whole=True))})
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    accuracy, distances, parts, centred = tables.values()
    result = Result(sentences=batch_dependence_note(subjects, given.images, BATCH))
    some_trained = any(subject.folder for subject in subjects)
    for subject in subjects:
        distances += unit_distances(subject, times, min(DISTANCE_IMAGES, given.images), given.seed)
        if some_trained and not subject.folder:
            if moved := _moved(subject.name, distances):
                result.sentences.append(f"{subject.name}: {moved}")
            continue
        variants = list(_variants(subject.network, times))
        shown = progress([variant for *_, variant in variants], f"refining {subject.name} in time")
        rows = variant_accuracies(subject, "steps_for_one", shown, given.images, given.seed)
        for (table, columns, _), row in zip(variants, rows, strict=True):
            tables[table].append(row | columns)
        if times[1:] and not can_change_step_size(units(subject.network)[0]):
            result.sentences.append(
                f"{subject.name}: its first and its other steps are not refined alone, because the class of its dynamic has no "
                "method resized, which says what a change of the step size does to the state."
            )
        sentences = (
            _sentence(subject.name, accuracy),
            _parts_sentence(subject.name, parts),
            _moved(subject.name, distances),
        )
        result.sentences.append(" ".join(filter(None, sentences)))
        if where(centred, network=subject.name):
            result.sentences.append(_centred_sentence(subject.name, centred))
    result.tables = {name: rows for name, rows in tables.items() if rows or name in TABLES[:2]}  # these two always
    centring = ", dash-dotted: renewed, leapfrog from rest with finer steps that act at the same time on average"
    middle = (
        "Middle: the same with renewed statistics, when only a part of the network is refined: a unit, the first step of "
        "every unit, or the other steps. "
    )
    result.pictures["refinement"] = Picture(
        picture(accuracy, parts, centred, distances),
        "The same networks with finer time steps",
        f"Left: accuracy on {given.images} test images when every time step becomes m steps of size h / m with the same weights, "
        "norms as they are (exact 95 % intervals); solid: batch norms with statistics renewed on "
        f"{STATISTICS_IMAGES} training images, dotted: as trained{centring if centred else ''}. "
        f"{middle if parts else ''}"
        "Right: relative distance of each unit's result to that of the finest refinement, from the "
        f"same features, {min(DISTANCE_IMAGES, given.images)} images: median of the units, band "
        "over them, also of the initial weights. A discretised equation keeps its accuracy, and its distance to the limit "
        "falls like 1 / m.",
    )
    return result


def _variants(network: PDENet, times: Sequence[int]) -> Iterator[tuple[str, Row, tuple[int, Change, str]]]:
    """Yield each refined network to measure as `variant_accuracies` takes it, with the table and further columns of its row."""
    for m in times:
        for statistics in ("as trained", "renewed"):
            yield "refinement", {}, (m, partial(refined, times=m), statistics)
    for m in times[1:2]:  # the smallest m above 1, if there is one
        for part, change in _in_parts(network, m):
            yield "refinement_parts", {"part": part}, (m, change, "renewed")
    if is_leapfrog_from_rest(units(network)[0].dynamic):
        for m in times[1:]:
            yield "refinement_centred", {}, (m, partial(refined_centred, times=m), "renewed")


def _in_parts(network: PDENet, times: int) -> Iterator[tuple[str, Change]]:
    """Yield the name of each part of the network and the function that refines this part alone."""
    for index in range(len(units(network))):
        yield f"unit {index + 1}", partial(refined, times=times, only=index)
    if units(network)[0].steps > 1 and can_change_step_size(units(network)[0]):
        yield "first steps", partial(refined_steps, times=times, which=slice(1))
        yield "other steps", partial(refined_steps, times=times, which=slice(1, None))


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


def _parts_sentence(name: str, parts: Sequence[Row]) -> str:
    """Return a sentence on the accuracies with a part of the network refined; an empty one if there are none."""
    rows = where(parts, network=name)
    if not rows:
        return ""
    accuracies = ", ".join(f"{100 * row['test_accuracy']:.1f} ({row['part']})" for row in rows)
    m = rows[0]["steps_for_one"]
    return f"With {m} steps in place of one in one part only, and renewed statistics, it is {accuracies} %."


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


def picture(accuracy: Sequence[Row], parts: Sequence[Row], centred: Sequence[Row], distances: Sequence[Row]) -> Figure:
    """Draw accuracy against the number of steps that replace one (left) and against the part that is refined (middle).

    The distance to the finest refinement is on the right. The middle is left out if no part was refined.
    """
    groups = panels([*accuracy, *distances])
    columns = 3 if parts else 2
    figure = Figure(figsize=(5.75 * columns, 1.3 + 3.3 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), columns, sharex="col", sharey="col", squeeze=False)
    ticks = sorted({row["steps_for_one"] for row in accuracy})
    for row, group in zip(axes, groups, strict=True):
        left, right = row[0], row[-1]
        _draw(left, right, group, accuracy, centred, distances)
        for axis in (left, right):
            axis.set_xscale("log")
            axis.set_xticks(ticks, [str(m) for m in ticks])
            axis.minorticks_off()
        left.set_ylabel("test accuracy (dashed: chance)")
        right.set_ylabel("relative distance to the finest")
        if parts:
            _draw_parts(row[1], group, accuracy, parts)
        for axis in row[:-1]:
            axis.axhline(1 / CLASSES, color="#777777", linewidth=0.8, linestyle="--")
            percent_axis(axis.yaxis)
        for axis in row:
            draw_grid(axis)
    highest = max(axis.get_ylim()[1] for axis in axes[:, :-1].flat)
    for axis in axes[-1, :-1]:
        axis.set_ylim(0, highest)
    axes[-1, -1].set_xlim(axes[-1, 0].get_xlim())
    if distances:
        axes[-1, -1].set_yscale("log")
        plain_numbers(axes[-1, -1])
    for axis in (axes[-1, 0], axes[-1, -1]):
        axis.set_xlabel("m, time steps of size h / m for one of size h")
    if parts:
        axes[-1, 1].set_xlabel(f"where {parts[0]['steps_for_one']} time steps replace one")
    for table, _, line, words in _lines(accuracy, centred):
        if table:
            axes[-1, 0].plot([], [], line, color="#555555", label=f"batch statistics {words}")
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
            if rows := where(table, network=network, statistics=statistics):
                x = shift * np.array([row["steps_for_one"] for row in rows])
                _draw_accuracies(left, x, rows, how, line, network)
        own = where(distances, network=network)
        draw_spread(right, own, "steps_for_one", "relative_distance_median", how, network, alpha=0.1)


def _draw_parts(axis: Axes, style: Mapping[str, Style], accuracy: Sequence[Row], parts: Sequence[Row]) -> None:
    """Draw the accuracy of the network as it is, with each part refined and with all of it, batch statistics renewed."""
    names = list(dict.fromkeys(row["part"] for row in parts))
    m = parts[0]["steps_for_one"]
    for i, (network, how) in enumerate(style.items()):
        if own := where(parts, network=network):
            nothing, everything = (
                where(accuracy, network=network, statistics="renewed", steps_for_one=each) for each in (1, m)
            )
            x = [0, *(1 + names.index(row["part"]) for row in own), 1 + len(names)]
            shift = 0.05 * (i - (len(style) - 1) / 2)
            _draw_accuracies(axis, shift + np.array(x), [*nothing, *own, *everything], how, "", network)
    axis.set_xticks(range(2 + len(names)), ["nothing", *(name.replace(" ", "\n") for name in names), "all"], fontsize=9)


def _draw_accuracies(axis: Axes, x: np.ndarray, rows: Sequence[Row], how: Style, line: str, label: str) -> None:
    y, low, high = np.array(columns_of(rows, "test_accuracy", "low_95", "high_95"))
    axis.errorbar(x, y, [y - low, high - y], color=how.colour, linestyle=line, marker=how.marker, capsize=2, elinewidth=0.8,
                  label=label)  # fmt: skip
