"""The tables of accuracies (one row per cell) and of runs (one row per run); docs/report.md explains their columns."""

from collections.abc import Sequence
from statistics import mean, median, stdev
from typing import Any

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import STATISTICS
from pdenet_repro.report.groups import Cell, Grouping, counted
from pdenet_repro.report.published import departures, published_accuracy, readings
from pdenet_repro.report.run import Run
from pdenet_repro.report.statistics import (
    MARGIN,
    Verdict,
    equivalence,
    exact_interval,
    mean_of_known,
    one_more_draw,
    t_interval,
)
from pdenet_repro.report.tables import Column, Row, number, percent, points, probability
from pdenet_repro.system.formatting import duration

NOT_EXACT = "test images of a batch share its statistics: no exact interval holds"


def results(grouping: Grouping) -> list[Row]:
    """Return one row per cell: accuracy, its uncertainty, the published accuracy, and cost. Accuracies are fractions."""
    return [_result(cell) for cell in grouping.cells]


def _result(cell: Cell) -> Row:
    runs, values = cell.runs, cell.accuracies
    several = len(values) > 1
    test_images = runs[0].summary["test_images"]
    shared = runs[0].test_images_share_statistics
    low, high = t_interval(values) or (None, None)
    exact_low, exact_high = (None, None) if several or shared else exact_interval(values[0], test_images)
    rate, extra = _speed(runs)
    return {
        **identity(cell),
        **repetitions(runs),
        "n": len(values),
        "test_images": test_images,
        "test_accuracy": mean(values),
        "standard_deviation": stdev(values) if several else None,
        "interval_over_seeds_low": None if low is None else max(0.0, low),
        "interval_over_seeds_high": None if high is None else min(1.0, high),
        "interval_of_this_network_low": exact_low,
        "interval_of_this_network_high": exact_high,
        **_against_published(cell),
        **{f"test_accuracy_{kind}": mean_of_known(run.by_statistics.get(kind) for run in runs) for kind in STATISTICS},
        "train_accuracy": mean_of_known(run.summary.get("train_accuracy") for run in runs),
        "running_train_accuracy": mean_of_known(
            accuracies[max(accuracies)] for run in runs if (accuracies := run.by_epoch("running_train_accuracy"))
        ),
        "weights": runs[0].summary.get("weights"),
        "training_seconds": mean_of_known(run.summary.get("training_seconds") for run in runs),
        "wall_seconds": mean_of_known(run.summary.get("wall_seconds") for run in runs),
        "images_per_second_median": rate,
        "first_epoch_extra_seconds": extra,
        "peak_memory_mib": max((run.summary.get("peak_memory_mib") or 0 for run in runs), default=None),
        "notes": "; ".join(notes(cell)),
    }


def identity(cell: Cell) -> Row:
    """Return the entries that identify a cell: dynamic, settings of its group, number and fraction of training images."""
    run = cell.runs[0]
    named = {"dynamic": cell.dynamic, **dict(cell.group.settings)}
    return {**named, "images": cell.images, "fraction": run.config.data.fraction}


def repetitions(runs: Sequence[Run]) -> Row:
    """Return the seeds and the folds of the runs, each as numbers separated by blanks."""
    folds = sorted({run.config.data.fold for run in runs if run.config.data.fold is not None})
    return {"seeds": " ".join(map(str, sorted({run.config.seed for run in runs}))), "folds": " ".join(map(str, folds))}


def _against_published(cell: Cell) -> Row:
    known, values = published_accuracy(cell.runs[0]), cell.accuracies
    columns = ("published_accuracy", "difference", "p_one_more_draw", "margin", "difference_90_low", "difference_90_high",
               "p_equivalence")  # fmt: skip
    if known is None:
        return dict.fromkeys(columns) | {"verdict": ""}
    tested = equivalence(values, known)
    of_tests = (tested.low, tested.high, tested.p) if tested else (None, None, None)
    found = (known, mean(values) - known, one_more_draw(values, known), MARGIN, *of_tests)
    return dict(zip(columns, found, strict=True)) | {"verdict": str(tested.verdict if tested else Verdict.UNDECIDED)}


def notes(cell: Cell) -> list[str]:
    """Return what a reader of the cell's row must know in addition to its numbers, a phrase each."""
    run, found = cell.runs[0], []
    if run.test_images_share_statistics and len(cell.accuracies) == 1:
        found.append(NOT_EXACT)
    if published_accuracy(run) is not None:
        found += [f"differs from the recipe in a reading: {each}" for each in readings(run)]
        if len(cell.accuracies) == 1:
            found.append("one seed: the spread between runs is not known, so no verdict")
    if cell.on_folds and len({run.config.seed for run in cell.runs}) > 1:
        found.append("seeds of a fold are averaged before anything else")
    return found


def no_published_value(grouping: Grouping) -> list[str]:
    """Return a sentence for each cell on all of STL-10 that departs from the published experiment: the settings that differ."""
    sentences = []
    for cell in grouping.cells:
        run = cell.runs[0]
        known = run.config.recipe in facts_of(run.dynamic).published
        different = departures(run) if known else []
        if different and run.config.data.name == "stl10" and not different[0].startswith("data.fraction="):
            sentences.append(f"{cell.name}, {counted(cell.images, 'image')}: {', '.join(different)}")
    return sentences


def run_list(grouping: Grouping) -> list[Row]:
    """Return one row per run: accuracy, cost, hardware, versions, checksums and command."""
    return [_run_row(cell, run) for cell in grouping.cells for run in cell.runs]


def _run_row(cell: Cell, run: Run) -> Row:
    summary = run.summary
    hardware: Any = summary.get("hardware") or {}
    device = hardware.get("gpu") or hardware.get("cpu") or ""
    rate, extra = _speed([run])
    return {
        **identity(cell),
        "seed": run.config.seed,
        "fold": run.config.data.fold,
        "test_accuracy": run.accuracy,
        "train_accuracy": summary.get("train_accuracy"),
        "epochs": run.config.schedule.epochs,
        "epoch_reported": summary.get("epoch_reported"),
        "statistics": run.statistics,
        "precision": run.config.precision,
        "training_seconds": summary.get("training_seconds"),
        "wall_seconds": summary.get("wall_seconds"),
        "images_per_second_median": rate,
        "first_epoch_extra_seconds": extra,
        "finished": summary.get("finished"),
        "hardware": f"{device}, {counted(hardware['threads'], 'thread')}" if "threads" in hardware else device,
        "versions": ", ".join(f"{name} {version}" for name, version in (summary.get("versions") or {}).items()),
        "commit": summary.get("git_commit"),
        "result": run.result_id,
        "configuration": str(summary.get("configuration_sha256") or "")[:10],
        "subset": str(summary.get("subset_sha256") or "")[:10],
        "test_images_md5": (summary.get("data_md5") or {}).get("test_X.bin"),
        "folder": str(run.folder),
        "command": summary.get("command"),
        "attempts": "; ".join(_attempts(run)),
    }


def _attempts(run: Run) -> list[str]:
    """Describe each attempt at a run that was resumed: its times, epochs, hardware and versions."""
    attempts = run.summary.get("attempts") or []
    if len(attempts) < 2:
        return []
    return [
        ", ".join(f"{key} {value}" for key, value in each.items() if value not in (None, "", {})) for each in attempts
    ]


def _speed(runs: Sequence[Run]) -> tuple[float | None, float | None]:
    """Return the median of images per second over all epochs, and the mean excess of the first epoch over the median, in s."""
    rates = [float(row["images_per_second"]) for run in runs for row in run.timings if row.get("images_per_second")]
    seconds = [[float(row["seconds"]) for row in run.timings if row.get("seconds")] for run in runs]
    extra = [max(0.0, of_run[0] - median(of_run)) for of_run in seconds if len(of_run) > 2]
    return (median(rates) if rates else None), mean_of_known(extra)


def columns(digits: int, group_keys: Sequence[str]) -> dict[str, list[Column]]:
    """Return the columns of the two tables that show `results`: test accuracies, and training with its cost."""
    share, difference = percent(digits), points(digits)
    keys = [
        Column("dynamic", ("dynamic",), str),
        *(Column(key, (key,), str) for key in group_keys),
        Column("images", ("images",), number(0)),
    ]
    accuracy = [
        Column("published %", ("published_accuracy",), percent(2)),
        Column("test %", ("test_accuracy",), share),
        Column("n", ("n",), number(0)),
        Column("sd", ("standard_deviation",), share),
        Column("95 % over seeds", ("interval_over_seeds_low", "interval_over_seeds_high"), share),
        Column("95 % of this network", ("interval_of_this_network_low", "interval_of_this_network_high"), share),
        Column("difference", ("difference",), difference),
        Column("90 % of the difference", ("difference_90_low", "difference_90_high"), difference),
        Column("p, one more draw", ("p_one_more_draw",), probability),
        Column("verdict", ("verdict",), str),
        Column("notes", ("notes",), str),
    ]
    training = [
        *(Column(f"test %, {kind}", (f"test_accuracy_{kind}",), share) for kind in STATISTICS),
        Column("training %", ("train_accuracy",), share),
        Column("running training %", ("running_train_accuracy",), share),
        Column("weights", ("weights",), number(0)),
        Column("training time", ("training_seconds",), duration),
        Column("wall time", ("wall_seconds",), duration),
        Column("images/s, median", ("images_per_second_median",), number(1)),
        Column("first epoch longer by", ("first_epoch_extra_seconds",), duration),
        Column("peak MiB", ("peak_memory_mib",), number(0)),
    ]
    return {"results": [*keys, *accuracy], "training": [*keys, *training]}
