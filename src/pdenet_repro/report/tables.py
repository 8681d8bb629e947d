"""Runs as a table for a terminal."""

from collections.abc import Sequence

from pdenet_repro.report.runs import Run
from pdenet_repro.tracking import duration

HEADER = ("dynamic", "weights", "images", "seed", "epochs", "training", "test", "time", "images/s", "folder")


def result_table(runs: Sequence[Run]) -> str:
    """A line a finished run: weights, accuracy on training and test images, time; then the unfinished ones."""
    rows = [
        (
            run.summary["dynamic"],
            f"{run.summary['weights']:,}",
            str(run.summary["train_images"]),
            str(run.summary["seed"]),
            str(run.summary["epochs"]),
            f"{run.summary['train_accuracy']:.2%}",
            f"{run.summary['test_accuracy']:.2%}",
            duration(run.summary["training_seconds"]),
            f"{run.summary['images_per_second']:.0f}",
            str(run.folder),
        )
        for run in runs
        if run.summary
    ]
    unfinished = [f"not finished: {run.folder} ({len(run.metrics)} epochs done)" for run in runs if not run.summary]
    return "\n".join([*_aligned([HEADER, *rows]), *unfinished])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest entry; the first and the last left-aligned, numbers right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
