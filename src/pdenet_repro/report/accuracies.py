"""Strip plot of test accuracies: a row for each line of a study, all trained on the same number of images."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdenet_repro.report.figures import (
    DASHES,
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
from pdenet_repro.report.groups import VARIATION, Cell, Group, Grouping
from pdenet_repro.report.published import published_accuracy
from pdenet_repro.report.run import Run

FEWEST = 4  # smallest number of rows: Figure 2 shows three networks well enough
MOST_PATHS = len(DASHES)  # largest number of seeds whose marks are joined: more lines than these cannot be followed
LABEL = 60  # largest number of letters in one line of a label
GREY = "#666666"  # of the marks in the legend


def accuracies(grouping: Grouping) -> tuple[Figure, Numbers, list[Run], str] | None:
    """Draw the strip plot, or return None if it would have fewer than `FEWEST` rows.

    Returns the figure, its numbers, its runs, and a note for its caption: the settings that most rows have in common, which
    the labels of these rows leave out, and where the axis begins if that is not at 0. A row is a line's cell on the number of
    images that most lines have; the one with the largest mean is on top. Each seed (or official fold) has an open mark, the
    mean of several a filled one, and a published accuracy a star. The numbers have the order of the rows, and one entry for
    each run.
    """
    cells = sorted(grouping.comparable.values(), key=lambda cell: -mean(cell.accuracies))
    if len(cells) < FEWEST:
        return None
    size = grouping.common_size
    common = _common_settings(cells)
    groups = [Group(tuple(own for own in cell.group.settings if own not in common.settings)) for cell in cells]
    names = [group.named(cell.dynamic) for cell, group in zip(cells, groups, strict=True)]
    names = names if size else [f"{name}, {cell.images:,} images" for name, cell in zip(names, cells, strict=True)]
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
        axis.plot([], [], "o", color=GREY, markersize=7, label="mean")
    if any(row["published_accuracy"] is not None for row in numbers):
        axis.plot([], [], color=GREY, label="published", **STAR)
    _paths(axis, cells)
    axis.set_xlim(widened(axis.get_xlim()))
    start = axis.get_xlim()[0]
    percent_axis(axis.xaxis)
    axis.set_xlabel("test accuracy")
    axis.set_yticks(range(len(cells)), labels, fontsize=9)
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.set_title(size_title(size), fontsize=11, loc="left")
    draw_grid(axis)
    figure.legend(loc="outside lower center", ncols=7, handlelength=3, frameon=False, fontsize=8)
    notes = [f"where not named: {common.name}"] if common.settings else []
    notes += [f"the axis begins at {100 * start:.1f} %"] if start > 0 else []
    return figure, numbers, [run for cell in cells for run in cell.runs], "; ".join(notes)


def _common_settings(cells: Sequence[Cell]) -> Group:
    """Return the settings of groups that more than half of the cells have; without variations, as "no variation" has no name."""
    counts = Counter(own for cell in cells for own in cell.group.settings if own[0] != VARIATION)
    return Group(tuple(own for own, n in counts.items() if 2 * n > len(cells)))


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


def _paths(axis: Axes, cells: Sequence[Cell]) -> None:
    """Join the marks of each seed or fold from row to row, if several of them have marks in several rows, but not too many.

    Each has dashes and a legend entry of its own.
    """
    points: dict[tuple[int, bool, int], list[tuple[float, int]]] = {}
    for y, cell in enumerate(cells):
        for repetition, value in zip(cell.repetitions, cell.accuracies, strict=True):
            points.setdefault((cell.images, cell.on_folds, repetition), []).append((value, y))
    paths = {key: path for key, path in sorted(points.items()) if len(path) > 1}
    if 2 <= len(paths) <= MOST_PATHS:
        for ((_, on_folds, repetition), path), dashes in zip(paths.items(), DASHES, strict=False):
            label = f"{'fold' if on_folds else 'seed'} {repetition}"
            axis.plot(*zip(*path, strict=True), color="#999999", linewidth=0.8, linestyle=dashes, zorder=1, label=label)
