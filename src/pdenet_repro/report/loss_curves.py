"""Loss curves: the terms of the objective and the accuracies at every epoch of training."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdenet_repro.report.figures import Numbers, draw_curves, draw_grid, percent_axis, run_identity, size_title, styles
from pdenet_repro.report.groups import Grouping
from pdenet_repro.report.run import Run

PANELS = (
    ("mean cross-entropy", ("data_loss",)),
    ("regulariser (11): smoothness and decay", ("smoothness", "decay")),
    ("running training accuracy", ("running_train_accuracy",)),
)
COLUMNS = ("learning_rate", "loss", "data_loss", "smoothness", "decay", "running_train_accuracy", "validation_accuracy")


def loss_curves(grouping: Grouping) -> tuple[Figure, Numbers, list[Run]] | None:
    """Draw the loss curves; return the figure, its numbers and its runs, or None if no run recorded a loss.

    All lines are on the same number of training images where possible.
    """
    line_styles = styles(grouping)
    size = grouping.common_size
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    numbers: Numbers = []
    shown: list[Run] = []
    for line, cell in grouping.comparable.items():
        runs = [run for run in cell.runs if run.by_epoch("data_loss")]
        shown += runs
        numbers += [{**run_identity(cell, run), **row} for run in runs for row in _rows(run)]
        name = f"{line.name}, n = {len(runs)}" + ("" if size else f", {cell.images:,} images")
        for axis, (_, columns) in zip(axes, PANELS, strict=True):
            if runs:
                draw_curves(axis, [_sum(run, columns) for run in runs], name, line_styles[line], linewidth=1.6)
    if not shown:
        return None
    for axis, (title, _) in zip(axes, PANELS, strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        draw_grid(axis)
    losses = [row["data_loss"] for row in numbers]
    if min(losses) > 0 and max(losses) > 10 * min(losses):
        axes[0].set_yscale("log")
    percent_axis(axes[-1].yaxis)
    figure.suptitle(size_title(size), fontsize=10)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure, numbers, shown


def _sum(run: Run, columns: Sequence[str]) -> dict[int, float]:
    parts = [run.by_epoch(column) for column in columns]
    return {epoch: sum(part.get(epoch, 0.0) for part in parts) for epoch in parts[0]}


def _rows(run: Run) -> Numbers:
    columns = {name: run.by_epoch(name) for name in COLUMNS}
    return [
        {"epoch": epoch, **{name: values.get(epoch) for name, values in columns.items()}}
        for epoch in columns["data_loss"]
    ]
