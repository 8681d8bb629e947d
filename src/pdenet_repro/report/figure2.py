"""Figure 2: test accuracy against the number of training images, and at every epoch."""

import textwrap
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation, Transform

from pdenet_repro.config.schema import STATISTICS
from pdenet_repro.report.captions import seeds
from pdenet_repro.report.figures import (
    STAR,
    Numbers,
    Style,
    draw_curves,
    draw_grid,
    percent_axis,
    run_identity,
    styles,
    widened,
)
from pdenet_repro.report.groups import Cell, Grouping, Line, shared_size
from pdenet_repro.report.published import published_accuracy
from pdenet_repro.report.run import Run
from pdenet_repro.report.statistics import exact_interval

TITLE = 66  # largest number of letters in one line of a title
STATISTICS_MARKERS = {"running": "1", "batch": "x", "reestimated": "+"}
LineStyles = Mapping[Line, Style]
SPREAD, INTERVAL, CHANCE = "one standard deviation over seeds", "95 % of this network on this test set", "chance"


def figure2(grouping: Grouping) -> tuple[Figure, Numbers, Numbers, list[Run]]:
    """Draw Figure 2; return it, the numbers of its left and right side, and the runs on the right side.

    Left: means over seeds, and every run as a dot. A line has a gap where its dynamic has no run. Several seeds have a bar of
    one standard deviation; a single seed has its exact interval over test images, if that is valid. Right: the runs that
    recorded the test accuracy during training, on the number of images that most lines have; means are at epochs that all
    shown runs of a line have.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    line_styles = styles(grouping)
    places = _places(list(line_styles))
    by_size = _against_size(left, grouping, line_styles, places)
    by_epoch, runs = _against_epoch(right, grouping, line_styles, max(places.values()))
    classes = len(grouping.cells[0].runs[0].class_names)
    for axis in (left, right):
        axis.axhline(1 / classes, color="#888888", linestyle=(0, (1, 2)), linewidth=1, label=CHANCE)
        draw_grid(axis)
        for line in axis.lines:  # matplotlib's own limits leave out what is moved sideways
            axis.update_datalim(line.get_xydata(), updatex=False)
    left.autoscale_view(scalex=False)
    left.set_ylim(widened(left.get_ylim()))
    percent_axis(left.yaxis)
    handles = {
        name: handle for axis in (left, right) for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    columns = 3 if max(map(len, handles)) < 40 else 2
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    return figure, by_size, by_epoch, runs


def _against_size(axis: Axes, grouping: Grouping, line_styles: LineStyles, places: Mapping[Line, float]) -> Numbers:
    numbers: Numbers = []
    drawn: set[str] = set()
    for line, style in line_styles.items():
        beside = _beside(axis, places[line])
        sizes = _sizes(grouping, line)
        middle = [mean(line.cells[size].accuracies) if size in line.cells else np.nan for size in sizes]
        axis.plot(
            sizes, middle, color=style.colour, label=line.name, marker=style.marker, linestyle=style.dashes, markersize=5,
            linewidth=1.8, transform=beside,
        )  # fmt: skip
        for cell in line.cells.values():
            drawn |= _bar(axis, cell.images, cell, style, beside)
            values = cell.accuracies
            if len(values) > 1:
                axis.plot([cell.images] * len(values), values, ".", color=style.colour, markersize=4, alpha=0.7,
                          transform=beside)  # fmt: skip
            numbers += [
                {**run_identity(cell, run), "n": len(values), "test_accuracy": run.accuracy} for run in cell.runs
            ]
    if _stars(axis, {cell: cell.images for cell in grouping.cells}, line_styles, max(places.values())):
        axis.plot([], [], "*", color="black", markersize=11, label="published (drawn to the right)")
    if SPREAD in drawn:
        axis.plot([], [], color="#888888", linewidth=6, alpha=0.4, label=SPREAD)
    if INTERVAL in drawn:
        axis.plot([], [], "|", color="#888888", markersize=9, label=INTERVAL)
    axis.set_xlabel("training images")
    axis.set_ylabel("test accuracy")
    axis.set_title("after training", fontsize=11)
    _frame(axis, grouping.planned_sizes)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if len(grouping.planned_sizes) <= 6:
        axis.set_xticks(grouping.planned_sizes)
    return numbers


def _places(lines: Sequence[Line]) -> dict[Line, float]:
    """Assign a sideways offset to each line, centred at 0; lines with a number of images in common get different ones."""
    taken: dict[Line, int] = {}
    for line in lines:
        near = {taken[other] for other in taken if set(other.cells) & set(line.cells)}
        taken[line] = min(set(range(len(lines))) - near)
    return {line: place - max(taken.values()) / 2 for line, place in taken.items()}


def _beside(axis: Axes, place: float) -> Transform:
    """Return data coordinates moved sideways by ``place`` times five points, so that points at one x do not hide each other."""
    return axis.transData + ScaledTranslation(5 * place / 72, 0, axis.figure.dpi_scale_trans)


def _frame(axis: Axes, values: Sequence[int]) -> None:
    """Set horizontal limits for these values; matplotlib's own limits would depend on what is moved sideways."""
    low, high = min(values), max(values)
    room = (high - low) or high
    axis.set_xlim(low - 0.07 * room, high + 0.14 * room)  # with room for stars on the right


def _sizes(grouping: Grouping, line: Line) -> list[int]:
    """Return where the line has a point or a gap: the sizes of its group and of its missing planned runs."""
    of_group = {size for other in grouping.lines if other.group == line.group for size in other.cells}
    whole = grouping.full_size or 0
    missing = [each for each in grouping.missing if each.dynamic == line.dynamic]
    planned = {round(each.fraction * whole) for each in missing if each.fraction is not None}
    return [size for size in grouping.planned_sizes if size in of_group | planned]


def _bar(axis: Axes, at: float, cell: Cell, style: Style, beside: Transform) -> set[str]:
    """Draw the cell's standard deviation, or the interval of its only network; return the name of the bar, if any."""
    values, run = cell.accuracies, cell.runs[0]
    if len(values) > 1:
        spread = stdev(values)
        axis.plot([at, at], [mean(values) - spread, mean(values) + spread], color=style.colour, linewidth=6, alpha=0.25,
                  solid_capstyle="butt", transform=beside)  # fmt: skip
        return {SPREAD}
    return {INTERVAL} if _exact_interval(axis, at, values[0], run, style.colour, transform=beside) else set()


def _exact_interval(axis: Axes, at: float, accuracy: float, run: Run, colour: str, **options: Any) -> bool:
    """Draw the exact interval of one network's accuracy as a narrow bar if it is valid; return whether it is."""
    if run.test_images_share_statistics:
        return False
    low, high = exact_interval(accuracy, run.summary["test_images"])
    errors = [[accuracy - low], [high - accuracy]]
    axis.errorbar(at, accuracy, errors, color=colour, linewidth=1, capsize=3, **options)
    return True


def _stars(axis: Axes, cells: Mapping[Cell, int], line_styles: LineStyles, last: float) -> bool:
    """Draw the published accuracies of these cells at the given x, right of the offset ``last``; return whether there are any."""
    colours = {cell: style.colour for line, style in line_styles.items() for cell in line.cells.values()}
    values: dict[tuple[str, float], tuple[int, str]] = {}  # two groups of a dynamic share their published accuracy
    for cell, at in cells.items():
        if (value := published_accuracy(cell.runs[0])) is not None:
            values.setdefault((cell.dynamic, value), (at, colours[cell]))
    for number, ((_, value), (at, colour)) in enumerate(values.items()):
        beside = _beside(axis, last + 2 + 2 * number)
        axis.plot([at], [value], color=colour, clip_on=False, transform=beside, **STAR)
    return bool(values)


def _against_epoch(axis: Axes, grouping: Grouping, line_styles: LineStyles, last: float) -> tuple[Numbers, list[Run]]:
    curves = {line: cells for line in grouping.lines if (cells := _with_curves(line))}
    axis.set_xlabel("epoch")
    if not curves:
        axis.set_title("during training", fontsize=11)
        axis.text(0.5, 0.5, "not recorded (it needs evaluation.every=1)", ha="center", transform=axis.transAxes)
        axis.set_xticks([])
        return [], []
    size = shared_size(list(curves.values()))
    curves = {line: cells for line, cells in curves.items() if size is None or size in cells}
    repetitions = {line: _repetitions(cells[size or max(cells)]) for line, cells in curves.items()}
    same = len(set(repetitions.values())) == 1
    numbers: Numbers = []
    shown: list[Run] = []
    others: set[str] = set()
    ends: dict[Cell, int] = {}
    for line, cells in curves.items():
        cell = line.cells[size or max(cells)]
        runs = cells[cell.images]
        shown += runs
        values = [run.by_epoch("test_accuracy") for run in runs]
        name = line.name + ("" if same else f", {repetitions[line]}")
        name += "" if size else f", {cell.images:,} images"
        _curve(axis, values, name, line_styles[line], cell)
        for run in runs:
            others |= _other_statistics(axis, run, line_styles[line])
            numbers += [{**run_identity(cell, run), **row} for row in _recorded(run)]
        ends[cell] = max(max(epochs) for epochs in values)
    _stars(axis, ends, line_styles, last)
    for kind in sorted(others):
        axis.plot([], [], STATISTICS_MARKERS[kind], color="#666666", label=f"with {kind} statistics")
    images = f"{size:,} images" if size else "each on its most images"
    repeated = f", {next(iter(repetitions.values()))}" if same else ""
    kinds = sorted({run.statistics for run in shown if run.statistics})
    note = f", with {' or '.join(kinds)} statistics" if kinds else ""
    axis.set_title(textwrap.fill(f"during training, {images}{repeated}{note}", TITLE), fontsize=11)
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    _frame(axis, [epoch for run in shown for epoch in run.by_epoch("test_accuracy")])
    return numbers, shown


def _repetitions(runs: Sequence[Run]) -> str:
    """Return the seeds of a curve, such as ``seed 0`` or ``mean of seeds 0, 1, 2``, and their folds."""
    return f"{'mean of ' if len(runs) > 1 else ''}{seeds(runs)}"


def _with_curves(line: Line) -> dict[int, list[Run]]:
    """Return, by number of images, the runs that recorded the test accuracy at more than one epoch."""
    found = {
        size: [run for run in cell.runs if len(run.by_epoch("test_accuracy")) > 1] for size, cell in line.cells.items()
    }
    return {size: runs for size, runs in found.items() if runs}


def _curve(axis: Axes, values: Sequence[Mapping[int, float]], name: str, style: Style, cell: Cell) -> None:
    """Draw the curves of a cell's runs, with a band of one standard deviation or the interval of a single network."""
    shared, means = draw_curves(axis, values, name, style, linewidth=1.8)
    if len(values) > 1:
        spread = np.array([stdev(each[epoch] for each in values) for epoch in shared])
        axis.fill_between(shared, means - spread, means + spread, color=style.colour, alpha=0.15, linewidth=0)
    else:
        _exact_interval(axis, shared[-1], float(means[-1]), cell.runs[0], style.colour)


def _recorded(run: Run) -> Numbers:
    """Return one row for each epoch at which the run recorded a test accuracy."""
    kinds = {kind: run.by_epoch(f"test_accuracy_{kind}") for kind in STATISTICS}
    return [
        {"epoch": epoch, "statistics": run.statistics, "test_accuracy": accuracy,
         **{f"test_accuracy_{kind}": values.get(epoch) for kind, values in kinds.items()}}
        for epoch, accuracy in run.by_epoch("test_accuracy").items()
    ]  # fmt: skip


def _other_statistics(axis: Axes, run: Run, style: Style) -> set[str]:
    """Draw the accuracies with the statistics that the line itself does not use; return the kinds that were recorded."""
    found = set()
    at_the_end = run.by_statistics
    for kind in STATISTICS:
        values = run.by_epoch(f"test_accuracy_{kind}")
        if kind in at_the_end and run.summary.get("epoch_reported"):
            values.setdefault(int(run.summary["epoch_reported"]), float(at_the_end[kind]))
        if kind != run.statistics and values:
            line = ":" if len(values) > 2 else ""
            axis.plot(list(values), list(values.values()), color=style.colour, marker=STATISTICS_MARKERS[kind],
                      linestyle=line, linewidth=0.8, markersize=6, alpha=0.8)  # fmt: skip
            found.add(kind)
    return found
