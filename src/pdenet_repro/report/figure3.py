"""Figure 3: confusion matrices, one row per dynamic and one column per number of training images."""

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.report.figures import Numbers, run_identity, run_of
from pdenet_repro.report.groups import Grouping, counted
from pdenet_repro.report.run import Run
from pdenet_repro.runs.confusion import MANY_CLASSES, draw_confusion_matrix

PAPER = (0.2, 0.4, 0.6, 0.8, 1.0)  # fractions of the training images in the paper's figure
COLUMNS = 5  # largest number of columns
ROWS = 12  # largest number of rows


def figure3(grouping: Grouping) -> tuple[Figure, Numbers, list[Run]]:
    """Draw Figure 3; return it, its numbers and its runs, which are all of one seed or fold ("no run" where it has none)."""
    sizes = columns(grouping)
    lines = [line for line in grouping.lines if not line.cells.keys().isdisjoint(sizes)]
    further, lines = len(lines[ROWS:]), lines[:ROWS]
    repetition = grouping.common_repetition(line.cells[size] for line in lines for size in sizes if size in line.cells)
    found = {(line, size): run_of(line.cells.get(size), repetition) for line in lines for size in sizes}
    runs = [run for run in found.values() if run]
    names = runs[0].class_names
    largest = max(int(run.confusion.max()) for run in runs)
    figure = Figure(figsize=(1.2 + 3.1 * len(sizes), 1.0 + 3.1 * len(lines)), layout="constrained")
    axes = figure.subplots(len(lines), len(sizes), squeeze=False, sharex=True, sharey=True)
    ticks = range(len(names)) if len(names) <= MANY_CLASSES else []
    numbers: Numbers = []
    for row, line in zip(axes, lines, strict=True):
        row[0].set_ylabel("\n".join([*line.name.split(", "), "true class"]), fontsize=11)
        for axis, size in zip(row, sizes, strict=True):
            run = found[line, size]
            axis.set_xticks(ticks, [names[i] for i in ticks], rotation=90, fontsize=7)
            axis.set_yticks(ticks, [names[i] for i in ticks], fontsize=7)
            axis.set_xlim(-0.5, len(names) - 0.5)
            axis.set_ylim(len(names) - 0.5, -0.5)
            axis.set_aspect("equal")
            axis.set_title(f"{size:,} images" + (f": {run.accuracy:.1%}" if run else ""), fontsize=9)
            if run is None:
                axis.text(0.5, 0.5, "no run", ha="center", va="center", transform=axis.transAxes, color="#888888")
                axis.set_facecolor("#f6f6f6")
                continue
            draw_confusion_matrix(axis, run.confusion, largest, fontsize=6.5)
            numbers += [
                {**run_identity(line.cells[size], run), "true_class": names[true], "predicted_class": names[predicted],
                 "count": int(count)}
                for (true, predicted), count in np.ndenumerate(run.confusion)
            ]  # fmt: skip
    which = "fold" if next(iter(lines[0].cells.values())).on_folds else "seed"
    more = f"; {counted(further, 'further row')} left out" if further else ""
    figure.suptitle(f"{which} {repetition}{more}", fontsize=10)
    figure.supxlabel("predicted class", fontsize=10)
    picture = next(axis.images[0] for axis in axes.flat if axis.images)
    figure.colorbar(picture, ax=axes, shrink=0.8 / len(lines), anchor=(0, 1), pad=0.02, label="test images")
    return figure, numbers, runs


def columns(grouping: Grouping) -> list[int]:
    """Return the numbers of training images to show: the paper's if the study has or plans them, else evenly chosen ones."""
    whole = grouping.full_size
    paper = [round(share * whole) for share in PAPER] if whole else []
    for sizes in (grouping.planned_sizes, grouping.sizes):
        step = -(-len(sizes) // COLUMNS)
        chosen = paper if paper and set(paper) <= set(sizes) else sizes[(len(sizes) - 1) % step :: step]
        if not set(chosen).isdisjoint(grouping.sizes):  # otherwise every matrix would be "no run"
            break
    return chosen
