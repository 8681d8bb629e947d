"""Captions and origins of figures, tables and files: what they show, on which data, of which runs, by which command."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pdenet_repro.report.groups import Grouping, counted, listed
from pdenet_repro.report.run import Run
from pdenet_repro.runs import provenance

MOST_COMMANDS = 8  # largest number of commands that are listed
DATA = {"stl10": "STL-10", "shapes": "the built-in shapes, not STL-10"}
FIGURES = {
    "accuracies": (
        "Accuracies: dynamics and groups of settings by test accuracy",
        "Test accuracy of each dynamic and group of settings on the number of training images that most of them have, the "
        "largest mean on top. Open marks are single seeds (or official folds), filled ones the mean of several; stars are "
        "published accuracies. Colours and marks distinguish dynamics. Where two to four seeds have networks in several rows, "
        "grey lines join those of each seed.",
    ),
    "effects": (
        "Effects: what each variation changes",
        "Test accuracy of each network minus that of the network it is compared with: the same dynamic, training images and "
        "seed, one setting changed. Open marks are single networks, filled ones means over seeds. The bars show how far other "
        "test images could move the difference of these two networks; another seed moves it too, as the grey rows show.",
    ),
    "figure1": (
        "Figure 1: test images and class probabilities",
        "Test images, their true class, and the probability that each network gives each class (full colour: the true "
        "one; of more than twenty classes the five likeliest).",
    ),
    "figure2": (
        "Figure 2: accuracy by training images and by epoch",
        "Left: test accuracy of the reported iterate against the number of training images. Lines are means over seeds, "
        "with a gap where there is no run; dots are single runs; wide bars are one standard deviation over seeds; narrow "
        "bars, for a single seed, are the exact 95 % interval over test images; stars are published accuracies, right of "
        "their runs; the dotted line is chance. Points at the same number of images are moved apart sideways. Right: test "
        "accuracy during training. Thin lines are single runs; thick lines are their mean at epochs that all of them "
        "have, with one standard deviation; crosses are accuracies with other statistics of the batch norms, where they "
        "were recorded.",
    ),
    "figure3": (
        "Figure 3: confusion matrices",
        "Each matrix counts the test images of each true class (row) by predicted class (column). There is one row of matrices "
        "per network and one column per number of training images; all are of one seed.",
    ),
    "loss_curves": (
        "Loss curves",
        "Mean over the batches of each epoch, with the weights as they were at each batch. Thin lines: single runs; thick lines: "
        "their mean.",
    ),
}
TABLES = {
    "accuracies": "Test accuracy of each run on the number of training images that most dynamics and groups have.",
    "effects": "What each variation changes in the test accuracy, against the run without it.",
    "results": "Test accuracies and what they cost, a row for each dynamic, group of settings and number of training images.",
    "comparisons": "Two dynamics of a group, or a dynamic of two groups, on the same number of training images.",
    "per_class": "Accuracy by class, on the number of training images that most dynamics and groups have.",
    "runs": "A row for each run: accuracy, cost, and where it comes from.",
    "figure1": "Probabilities of all classes for the test images of Figure 1.",
    "figure2_left": "Test accuracy of each run against the number of training images: Figure 2, left.",
    "figure2_right": "Test accuracy of each run by epoch: Figure 2, right.",
    "figure3": "Entries of the confusion matrices of Figure 3.",
    "loss_curves": "Terms of the objective and accuracies by epoch.",
}


def data_name(runs: Sequence[Run]) -> str:
    """Return the name of the runs' data set in captions."""
    name = runs[0].config.data.name
    return DATA.get(name, name)


def common_value(runs: Sequence[Run], of: Callable[[Run], Any]) -> str:
    """Return the value that all runs have in common, or ``mixed (0.1, 0.2)`` if they have several."""
    values = list(dict.fromkeys(of(run) for run in runs))
    return str(values[0]) if len(values) == 1 else f"mixed ({listed(sorted(values, key=str))})"


def seeds(runs: Sequence[Run]) -> str:
    """Return ``seed 0`` or ``seeds 0, 1, 2``, followed by the folds if there are any."""
    found = sorted({run.config.seed for run in runs})
    folds = sorted({run.config.data.fold for run in runs if run.config.data.fold is not None})
    words = f"{'seeds' if len(found) > 1 else 'seed'} {listed(found)}"
    return words + (f", {'folds' if len(folds) > 1 else 'fold'} {listed(folds)}" if folds else "")


def line(runs: Sequence[Run], missing: int = 0, differing: Sequence[str] = (), absent: str = "") -> str:
    """Return the line below a figure or table: data set, recipe, runs, seeds, epochs, precision, test images, missing runs.

    ``differing`` are settings that distinguish groups of the runs; ``absent`` is a phrase that names what is not shown.
    """
    parts = [
        data_name(runs),
        f"recipe {common_value(runs, lambda run: run.config.recipe)}",
        f"{counted(len(runs), 'run')} ({seeds(runs)})",
        f"epochs: {common_value(runs, lambda run: run.config.schedule.epochs)}",
        common_value(runs, lambda run: run.config.precision),
        f"{runs[0].summary['test_images']:,} test images",
    ]
    if differing:
        parts.append(f"groups differ in {', '.join(differing)}")
    if absent:
        parts.append(absent)
    if missing:
        parts.append(f"{counted(missing, 'run')} missing")
    words = "; ".join(parts)
    return words[0].upper() + words[1:]


def lead(grouping: Grouping, runs: Sequence[Run]) -> str:
    """Return the first sentence of a report: networks, data set, training images, seeds, recipe, epochs, test images."""
    names = list(dict.fromkeys(cell.name for cell in grouping.cells))
    return (
        f"{counted(len(runs), 'trained network')} ({'; '.join(names) if grouping.naming else ', '.join(names)}) on "
        f"{data_name(runs)}: {listed(grouping.sizes)} training images, {seeds(runs)}, recipe "
        f"{common_value(runs, lambda run: run.config.recipe)}, "
        f"epochs: {common_value(runs, lambda run: run.config.schedule.epochs)}, "
        f"{counted(int(runs[0].summary['test_images']), 'test image')}."
    )


def origin(runs: Sequence[Run], planned: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the origin of a figure or table as (term, description) pairs: commands, commits, checksums, settings.

    ``planned`` are commands of plans; they are listed too if no run has them, as those of missing runs.
    """
    sums = runs[0].summary.get("data_md5") or {}
    commands = Counter(run.summary.get("command") or "unknown" for run in runs).most_common()
    further = len(commands) - MOST_COMMANDS
    other = [command for command in dict.fromkeys(planned) if command not in dict(commands)]
    known = [
        ("report", f"{provenance.command('pdenet_repro.report')}, commit {provenance.git_commit() or 'unknown'}"),
        *((f"command of {counted(n, 'run')}", command) for command, n in commands[:MOST_COMMANDS]),
        ("further commands", f"{further} more in runs.csv" if further > 0 else ""),
        *(("command of the plan", command) for command in other),
        ("runs", f"{len(runs)}: {_counts(runs, lambda run: run.result_id)}"),
        ("commits of the runs", _counts(runs, lambda run: run.summary.get("git_commit") or "unknown")),
        ("configurations", _counts(runs, lambda run: str(run.summary.get("configuration_sha256") or "unknown")[:10])),
        ("data", ", ".join(f"{name} MD5 {md5}" for name, md5 in sums.items())),
        ("precision", _counts(runs, lambda run: run.config.precision)),
        ("epochs", _counts(runs, lambda run: run.config.schedule.epochs)),
        ("epoch reported", _counts(runs, lambda run: run.summary.get("epoch_reported") or "unknown")),
        ("statistics of batch norms", _counts(runs, lambda run: run.statistics or "none kept")),
    ]
    return [(term, words) for term, words in known if words]


def _counts(runs: Sequence[Run], of: Callable[[Run], Any]) -> str:
    """List each value, and the number of runs that have it unless it is all or one."""
    counts = Counter(of(run) for run in runs)
    if len(counts) in (1, len(runs)):
        return ", ".join(map(str, counts))
    return ", ".join(f"{value} ({counted(n, 'run')})" for value, n in counts.items())
