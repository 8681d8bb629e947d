"""Tables as rows of named entries; written as CSV and Markdown, to a terminal, and into the page."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import mean, stdev

import numpy as np

from pdenet_repro.report.published import TEST_IMAGES, published
from pdenet_repro.report.runs import Collection, Run, label
from pdenet_repro.report.statistics import exact_interval, mcnemar, same_accuracy
from pdenet_repro.system.formatting import aligned, duration

Row = Mapping[str, str]


def results(collection: Collection) -> list[Row]:
    """A row for each dynamic and number of images: accuracy beside the published one, and what it cost."""
    return [
        _result(runs)
        for dynamic in collection.dynamics
        for images in collection.sizes
        if (runs := collection.cell(dynamic, images))
    ]


def _result(runs: Sequence[Run]) -> Row:
    first, tests = runs[0], [run.summary["test_accuracy"] for run in runs]
    ours, images = mean(tests), first.summary["test_images"]
    low, high = exact_interval(ours, images)
    known = published(first)
    return {
        "dynamic": label(first.dynamic),
        "images": str(first.images),
        "published %": _percent(known),
        "test %": _percent(ours),
        "sd": f"{100 * stdev(tests):.2f}" if len(tests) > 1 else "",
        "n": str(len(tests)),
        "95 % interval": f"{100 * low:.2f} to {100 * high:.2f}",
        "difference": "" if known is None else f"{100 * (ours - known):+.2f}",
        "p": "" if known is None else _probability(same_accuracy(ours, known, TEST_IMAGES)),
        "training %": _percent(mean(run.summary["train_accuracy"] for run in runs)),
        "weights": f"{first.summary['weights']:,}",
        "time": duration(mean(run.summary["training_seconds"] for run in runs)),
        "images/s": f"{mean(run.summary['images_per_second'] for run in runs):.0f}",
        "peak MiB": f"{max(run.summary['peak_memory_mib'] for run in runs):.0f}",
    }


def agreement(collection: Collection) -> list[Row]:
    """Each two dynamics, trained on the most images both have, same seed: how often they predict alike, and McNemar's test."""
    rows: list[Row] = []
    for one, other in combinations(collection.dynamics, 2):
        pairs = [
            (a, b)
            for images in collection.sizes[::-1]
            for a in collection.cell(one, images)
            for b in collection.cell(other, images)
            if a.repetition == b.repetition and len(a.labels) == len(b.labels)
        ]
        if not pairs:
            continue
        a, b = pairs[0]
        only_a, only_b, p = mcnemar(a.correct, b.correct)
        rows.append(
            {
                "networks": f"{label(one)}, {label(other)}",
                "images": str(a.images),
                "seed": str(a.config.seed),
                "same prediction %": _percent(float((a.probabilities.argmax(1) == b.probabilities.argmax(1)).mean())),
                "only first right": str(only_a),
                "only second right": str(only_b),
                "McNemar p": _probability(p),
            }
        )
    return rows


def per_class(collection: Collection) -> list[Row]:
    """Accuracy on each class of each dynamic on the most images, mean over the runs."""
    rows: list[Row] = []
    for dynamic in collection.dynamics:
        runs = collection.largest(dynamic)
        matrix = np.mean([run.confusion for run in runs], axis=0)
        shares = matrix.diagonal() / matrix.sum(1)
        values = {name: _percent(float(share)) for name, share in zip(runs[0].class_names, shares, strict=True)}
        rows.append({"dynamic": label(dynamic), "images": str(runs[0].images), **values})
    return rows


def run_list(collection: Collection) -> list[Row]:
    """Where each run comes from."""
    return [
        {
            "dynamic": label(run.dynamic),
            "images": str(run.images),
            "seed": str(run.config.seed),
            "fold": "" if run.config.data.fold is None else str(run.config.data.fold),
            "test %": _percent(run.summary["test_accuracy"]),
            "finished": str(run.summary["finished"]),
            "training time": duration(run.summary["training_seconds"]),
            "hardware": str(run.summary["hardware"]["gpu"] or run.summary["hardware"]["cpu"])
            + f", {run.summary['hardware']['threads']} threads",
            "versions": ", ".join(f"{name} {version}" for name, version in run.summary["versions"].items()),
            "commit": str(run.summary["git_commit"] or ""),
            "subset": str(run.summary["subset_sha256"])[:12],
            "folder": str(run.folder),
            "command": str(run.summary["command"]),
        }
        for run in collection.runs
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Header and rows; empty without rows."""
    file = io.StringIO()
    if rows:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return file.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """A table for a README."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *[list(row.values()) for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def to_text(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Chosen columns for a terminal."""
    return "\n".join(aligned([columns, *[[row[name] for name in columns] for row in rows]], left=(0,)))
