"""Strip plot of test accuracies: a row for each line of a study, all trained on the same number of images."""

import textwrap
from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdenet_repro.report.figures import (
    STAR,
    Numbers,
    colours,
    draw_grid,
    percent_axis,
    run_identity,
    size_title,
    style_of,
    widened,
)
from pdenet_repro.report.groups import Cell, Grouping
from pdenet_repro.report.published import published_accuracy
from pdenet_repro.report.run import Run

FEWEST = 4  # smallest number of rows: Figure 2 shows three networks well enough
MOST_PATHS = 4  # largest number of seeds whose marks are joined: more lines than these cannot be followed
LABEL = 60  # largest number of letters in one line of a label
GREY = "#666666"  # of the marks in the legend


def accuracies(grouping: Grouping) -> tuple[Figure, Numbers, list[Run]] | None:
    """Draw the strip plot; return the figure, its numbers and its runs, or None if it would have fewer than `FEWEST` rows.

    A row is a line's cell on the number of images that most lines have; the one with the largest mean is on top. Each seed (or
    official fold) has an open mark, the mean of several a filled one, and a published accuracy a star. The numbers have the
    order of the rows, and one entry for each run.
    """
    cells = sorted(grouping.comparable.values(), key=lambda cell: -mean(cell.accuracies))
    if len(cells) < FEWEST:
        return None
    size = grouping.common_size
    names = [cell.name if size else f"{cell.name}, {cell.images:,} images" for cell in cells]
    labels = [textwrap.fill(name, LABEL, break_on_hyphens=False) for name in names]
    further = sum(label.count("\n") for label in labels)
    figure = Figure(figsize=(9, 1.6 + 0.3 * len(cells) + 0.15 * further), layout="constrained")
    axis = figure.subplots()
    by_dynamic = colours(list(dict.fromkeys(line.dynamic for line in grouping.lines)))
    numbers: Numbers = []
    for y, cell in enumerate(cells):
        numbers += _row(axis, y, cell, by_dynamic[cell.dynamic])
    kind = " or ".join(sorted({"fold" if cell.on_folds else "seed" for cell in cells}, reverse=True))
    axis.plot([], [], "o", color=GREY, markersize=7, markerfacecolor="white", label=f"one {kind}")
    if any(row["n"] > 1 for row in numbers):
        axis.plot([], [], "o", color=GREY, markersize=7, label="mean of several")
    if any(row["published_accuracy"] is not None for row in numbers):
        axis.plot([], [], color=GREY, label="published", **STAR)
    _paths(axis, cells, f"the same {kind}")
    axis.set_xlim(widened(axis.get_xlim()))
    percent_axis(axis.xaxis)
    axis.set_xlabel("test accuracy")
    axis.set_yticks(range(len(cells)), labels, fontsize=9)
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.set_title(size_title(size), fontsize=11, loc="left")
    draw_grid(axis)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure, numbers, [run for cell in cells for run in cell.runs]


def _row(axis: Axes, y: int, cell: Cell, colour: str) -> Numbers:
    """Draw the marks of a cell at height ``y``; return the numbers of its runs."""
    marker, values = style_of(cell.dynamic, 0, colour).marker, cell.accuracies
    published = published_accuracy(cell.runs[0])
    axis.plot(values, [y] * len(values), marker, color=colour, markersize=7, markerfacecolor="white")
    if len(values) > 1:
        axis.plot([mean(values)], [y], marker, color=colour, markersize=7)
    if published is not None:
        axis.plot([published], [y], color=colour, **STAR)
    return [
        {**run_identity(cell, run), "n": len(values), "test_accuracy": run.accuracy, "mean_test_accuracy": mean(values),
         "published_accuracy": published}
        for run in cell.runs
    ]  # fmt: skip


def _paths(axis: Axes, cells: Sequence[Cell], label: str) -> None:
    """Join the marks of each seed or fold from row to row, if several of them have marks in several rows, but not too many."""
    points: dict[tuple[int, bool, int], list[tuple[float, int]]] = {}
    for y, cell in enumerate(cells):
        for repetition, value in zip(cell.repetitions, cell.accuracies, strict=True):
            points.setdefault((cell.images, cell.on_folds, repetition), []).append((value, y))
    paths = [path for path in points.values() if len(path) > 1]
    if 2 <= len(paths) <= MOST_PATHS:
        for i, path in enumerate(paths):
            axis.plot(*zip(*path, strict=True), color="#aaaaaa", linewidth=0.7, zorder=1, label="" if i else label)
