"""Pictures of runs."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdenet_repro.report.runs import ORDER, Run
from pdenet_repro.storage import make_folder, storage_errors

COLOURS = dict(zip(ORDER, ("#c1440e", "#1f6fb4", "#2e8b57", "#6b6b6b"), strict=True))  # one a dynamic, everywhere
LABELS = {"parabolic": "parabolic", "hamiltonian": "Hamiltonian", "second_order": "second-order", "resnet": "ResNet"}


def draw_curves(runs: Sequence[Run], path: Path) -> bool:
    """Test accuracy (full line) and training accuracy (thin) at every epoch; False, and no file, if none was recorded."""
    shown = [run for run in runs if run.summary and sum(bool(row["test_accuracy"]) for row in run.metrics) > 1]
    if not shown:
        return False
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    labelled = set()
    for run in shown:
        assert run.summary
        dynamic = run.summary["dynamic"]
        colour = COLOURS.get(dynamic, "black")
        for column, style in (
            ("test_accuracy", {"linewidth": 2.0, "marker": "o"}),
            ("train_accuracy", {"linewidth": 0.8}),
        ):
            points = [(int(row["epoch"]), 100 * float(row[column])) for row in run.metrics if row[column]]
            name = LABELS.get(dynamic, dynamic) if column == "test_accuracy" and dynamic not in labelled else None
            axes.plot(*zip(*points, strict=True), color=colour, label=name, markersize=4, **style)
            labelled.add(dynamic)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy (%)")
    axes.set_title("test (thick) and training (thin)", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    make_folder(path.parent)
    with storage_errors(path):
        figure.savefig(path, dpi=150)
    return True
