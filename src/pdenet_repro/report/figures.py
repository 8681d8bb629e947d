"""Figures 1 to 3 of the paper, each with the numbers it is drawn from."""

from collections.abc import Sequence
from itertools import cycle
from statistics import mean, stdev
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.report.examples import Example
from pdenet_repro.report.published import published
from pdenet_repro.report.runs import Collection, Run, label
from pdenet_repro.runs.confusion import draw_confusion_matrix

OTHERS = ("#cc79a7", "#e69f00", "#56b4e9", "#000000")  # of dynamics that state no colour (Okabe & Ito)
SHORTEST = 0.01  # accuracy axis of Figure 2: differences of a few test images are not to look large
COLUMNS = 5  # of confusion matrices, at most

Numbers = list[dict[str, Any]]


class Percent(PercentFormatter):
    """Per cent; with one decimal where the ticks are not all whole."""

    def set_locs(self, locs: Any) -> None:
        """Choose the decimals; matplotlib calls it with the ticks before it asks for their texts."""
        super().set_locs(locs)
        numbers = 100 * np.asarray(locs)
        self.decimals = 0 if np.allclose(numbers, numbers.round(), rtol=0, atol=1e-6) else 1


def colours(dynamics: Sequence[str]) -> dict[str, str]:
    """A colour for each dynamic: its own, or the next one that is free."""
    spare = cycle(OTHERS)
    return {name: facts_of(name).colour or next(spare) for name in dynamics}


def figure1(collection: Collection, examples: Sequence[Example]) -> tuple[Figure, Numbers]:
    """Test images and, for each network (the most images, first seed), its ten class probabilities as bars."""
    runs = [collection.largest(dynamic)[0] for dynamic in collection.dynamics]
    colour = colours(collection.dynamics)
    figure = Figure(figsize=(2.4 + 2.5 * len(runs), 0.35 + 2.3 * len(examples)), layout="constrained")
    axes = figure.subplots(len(examples), 1 + len(runs), squeeze=False, width_ratios=[0.9] + [1.0] * len(runs))
    numbers: Numbers = []
    for top, (row, example) in enumerate(zip(axes, examples, strict=True)):
        names, truth = runs[0].class_names, int(runs[0].labels[example.index])
        row[0].imshow(example.pixels.transpose(1, 2, 0), interpolation="nearest")
        row[0].set_title(names[truth], fontsize=12, fontweight="bold")
        row[0].set_xlabel(f"test image {example.index}", fontsize=8)
        row[0].set_xticks([])
        row[0].set_yticks([])
        for column, (axis, run) in enumerate(zip(row[1:], runs, strict=True)):
            probabilities = run.probabilities[example.index]
            _bars(axis, probabilities, names, truth, colour[run.dynamic], named=column == 0)
            if top == 0:
                axis.set_title(f"{label(run.dynamic)}, {run.images:,} images", fontsize=10)
            if top == len(examples) - 1:
                axis.set_xlabel("class probability", fontsize=9)
            numbers += [
                {"test_image": example.index, "true_class": names[truth], "dynamic": run.dynamic, "images": run.images,
                 "seed": run.config.seed, "class": name, "probability": float(p)}
                for name, p in zip(names, probabilities, strict=True)
            ]  # fmt: skip
    return figure, numbers


def _bars(axis: Axes, values: np.ndarray, names: Sequence[str], truth: int, colour: str, *, named: bool) -> None:
    """The true class in full colour, the others pale; the largest bar carries its number."""
    shades = [colour if i == truth else f"{colour}55" for i in range(len(names))]
    axis.barh(range(len(names)), values, color=shades, height=0.8)
    axis.set_yticks(range(len(names)), names if named else [], fontsize=8)
    if named:
        axis.get_yticklabels()[truth].set_fontweight("bold")
    axis.invert_yaxis()
    axis.set_xlim(0, 1.18)
    axis.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    best = int(values.argmax())
    axis.text(values[best] + 0.02, best, f"{values[best]:.2f}", va="center", fontsize=8)


def figure2(collection: Collection) -> tuple[Figure, Numbers, Numbers]:
    """Test accuracy against the number of training images, and at every epoch on the most images."""
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    by_size, by_epoch = _against_size(left, collection), _against_epoch(right, collection)
    low, high = left.get_ylim()
    if high - low < SHORTEST:
        left.set_ylim((low + high - SHORTEST) / 2, (low + high + SHORTEST) / 2)
    for axis in (left, right):
        axis.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))  # no 2.5, which needs a decimal
        axis.yaxis.set_major_formatter(Percent(1.0))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False)
    return figure, by_size, by_epoch


def _against_size(axis: Axes, collection: Collection) -> Numbers:
    numbers: Numbers = []
    marked = False
    for dynamic, colour in colours(collection.dynamics).items():
        cells = [runs for size in collection.sizes if (runs := collection.cell(dynamic, size))]
        curves = {cell[0].images: [run.summary["test_accuracy"] for run in cell] for cell in cells}
        marker = facts_of(dynamic).marker
        _band(axis, curves, colour, label(dynamic), marker)
        for cell in cells:
            if len(cell) > 1:
                values = [run.summary["test_accuracy"] for run in cell]
                axis.plot([cell[0].images] * len(cell), values, ".", color=colour, markersize=4, alpha=0.7)
            numbers += [
                {"dynamic": dynamic, "images": run.images, "seed": run.config.seed, "fold": run.config.data.fold,
                 "test_accuracy": run.summary["test_accuracy"]}
                for run in cell
            ]  # fmt: skip
        marked |= _mark_published(axis, cells[-1][0], cells[-1][0].images, colour)
    if marked:
        axis.plot([], [], "*", color="black", markersize=11, label="published")
    axis.set_xlabel("training images")
    axis.set_ylabel("test accuracy")
    axis.set_title("after training")
    axis.margins(x=0.06)
    if len(collection.sizes) <= 6:
        axis.set_xticks(collection.sizes, [f"{n:,}" for n in collection.sizes])
    return numbers


def _against_epoch(axis: Axes, collection: Collection) -> Numbers:
    numbers: Numbers = []
    shown: set[int] = set()
    for dynamic, colour in colours(collection.dynamics).items():
        with_curve = [run for run in collection.runs if run.dynamic == dynamic and len(run.test_by_epoch) > 1]
        most = max((run.images for run in with_curve), default=0)
        runs = [run for run in with_curve if run.images == most]
        if not runs:
            continue
        shown.add(most)
        values: dict[int, list[float]] = {}
        for run in runs:
            for epoch, accuracy in run.test_by_epoch:
                values.setdefault(epoch, []).append(accuracy)
            numbers += [
                {"dynamic": dynamic, "images": most, "seed": run.config.seed, "epoch": epoch, "test_accuracy": accuracy}
                for epoch, accuracy in run.test_by_epoch
            ]
            if len(runs) > 1:
                axis.plot(*zip(*run.test_by_epoch, strict=True), color=colour, linewidth=0.5, alpha=0.5)
        _band(axis, values, colour, label(dynamic), facts_of(dynamic).marker if len(values) < 20 else None)
        _mark_published(axis, runs[0], max(values), colour)
    axis.set_xlabel("epoch")
    if numbers:
        axis.set_title(f"during training, {' or '.join(f'{n:,}' for n in sorted(shown))} images")
        axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    else:
        axis.set_title("during training")
        axis.text(0.5, 0.5, "no run recorded it (evaluation.every=1)", ha="center", transform=axis.transAxes)
        axis.set_xticks([])
    return numbers


def _band(axis: Axes, values: dict[int, list[float]], colour: str, name: str, marker: str | None) -> None:
    """The mean as a line, one standard deviation to both sides as a band where there are several values."""
    at = sorted(values)
    middle = np.array([mean(values[x]) for x in at])
    spread = np.array([stdev(values[x]) if len(values[x]) > 1 else 0.0 for x in at])
    axis.plot(at, middle, color=colour, label=name, marker=marker, markersize=5, linewidth=1.8)
    if spread.any():
        axis.fill_between(at, middle - spread, middle + spread, color=colour, alpha=0.15, linewidth=0)


def _mark_published(axis: Axes, run: Run, at: int, colour: str) -> bool:
    value = published(run)
    if value is not None:
        axis.plot([at], [value], "*", color=colour, markeredgecolor="white", markersize=13, zorder=5, clip_on=False)
    return value is not None


def figure3(collection: Collection) -> tuple[Figure, Numbers]:
    """Confusion matrices, rows the dynamics, columns growing training data; one colour scale, first seed of each cell."""
    every = collection.sizes
    sizes = (
        every
        if len(every) <= COLUMNS
        else every[(len(every) - 1) % -(-len(every) // COLUMNS) :: -(-len(every) // COLUMNS)]
    )
    dynamics = collection.dynamics
    names = collection.runs[0].class_names
    cells = {(d, s): collection.cell(d, s) for d in dynamics for s in sizes}
    largest = max(int(cell[0].confusion.sum(1).max()) for cell in cells.values() if cell)
    side = 3.0
    figure = Figure(figsize=(side * len(sizes) + 1.8, side * len(dynamics) + 1.3), layout="constrained")
    axes = figure.subplots(len(dynamics), len(sizes), squeeze=False)
    numbers: Numbers = []
    for i, dynamic in enumerate(dynamics):
        for j, size in enumerate(sizes):
            axis, bottom, left = axes[i, j], i == len(dynamics) - 1, j == 0
            axis.set_xticks(range(len(names)) if bottom else [], names if bottom else [], rotation=90, fontsize=8)
            axis.set_yticks(range(len(names)) if left else [], names if left else [], fontsize=8)
            if i == 0:
                axis.set_title(f"{size:,} training images", fontsize=11)
            if left:
                axis.set_ylabel(label(dynamic), fontsize=12, fontweight="bold")
            if not cells[dynamic, size]:
                axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
                axis.text(0.5, 0.5, "no run", ha="center", color="#666666", transform=axis.transAxes)
                continue
            run = cells[dynamic, size][0]
            draw_confusion_matrix(axis, run.confusion, largest, fontsize=6.5)
            numbers += [
                {"dynamic": dynamic, "images": size, "seed": run.config.seed, "true_class": names[true],
                 "predicted_class": names[predicted], "count": int(count)}
                for (true, predicted), count in np.ndenumerate(run.confusion)
            ]  # fmt: skip
    figure.supxlabel("predicted class", fontsize=10)
    figure.supylabel("true class", fontsize=10)
    picture = next(axis.images[0] for axis in axes.flat if axis.images)
    figure.colorbar(picture, ax=axes[0], shrink=0.8, pad=0.02, label="test images")
    return figure, numbers
