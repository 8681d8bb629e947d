"""How far apart are the accuracies of trainings of equal settings and seed, by machine, version of PyTorch and commit?

    python scripts/repeats.py    # after runs were published in docs/results

The script finds published runs of equal settings, seed included. It writes them to docs/results/repeats.csv, and as a table
with their pooled standard deviation into docs/results/README.md, between the two comments of ``MARKS``.
"""

import csv
import io
from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import chi2, t

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.report.comparisons import similarity
from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import collect
from pdenet_repro.runs.folder import config_digest

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGE, TABLE = RESULTS / "README.md", RESULTS / "repeats.csv"
MARKS = "<!-- written by scripts/repeats.py -->\n", "<!-- end of what it writes -->"
# The commits of published runs whose initial weights PyTorch drew, which 2.11 and 2.15 do differently; later commits
# draw as 2.15 did (docs/spec.md, section 5)
DRAWN_BY_PYTORCH = ("57ab4ca", "2835bc7", "097e09c", "1a19ded")


def by_configuration() -> list[list[Run]]:
    """Return the published runs in sets of equal images and equal settings, seed included."""
    found: dict[tuple[object, ...], list[Run]] = {}
    for study in sorted(path.parent for path in RESULTS.glob("*/runs.csv")):
        for run in collect(study, weights=False)[study].runs:
            found.setdefault((config_digest(run.config), *run.data_identity), []).append(run)
    return list(found.values())


def repeated() -> list[list[Run]]:
    """Return the sets of at least two runs."""
    return [runs for runs in by_configuration() if len(runs) > 1]


def pooled(sets: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the pooled standard deviation of several sets of numbers, each about its own mean, and its degrees of freedom."""
    freedom = sum(len(values) - 1 for values in sets)
    return sqrt(sum((value - mean(values)) ** 2 for values in sets for value in values) / freedom), freedom


def computed_on(run: Run) -> str:
    """Return the hardware of a run, the version of PyTorch, and the commit."""
    hardware, torch = run.summary["hardware"], run.summary["versions"]["torch"].partition("+")[0]
    device = hardware["gpu"] or hardware["cpu"].partition("(R)")[0] + " CPU"
    return f"{device}, {torch}, {run.summary['git_commit'][:7]}"


def initial_weights(run: Run) -> str:
    """Return the version of PyTorch whose draw the initial weights are; for equal settings it identifies them."""
    drawn = run.summary["git_commit"].startswith(DRAWN_BY_PYTORCH)
    return str(run.summary["versions"]["torch"]).partition("+")[0] if drawn else "2.15.0"


def of_equal_initial_weights(sets: Sequence[Sequence[Run]]) -> list[list[Run]]:
    """Return the sets divided by `initial_weights`; a part may be a single run."""
    parts: dict[tuple[int, str], list[Run]] = {}
    for number, runs in enumerate(sets):
        for run in runs:
            parts.setdefault((number, initial_weights(run)), []).append(run)
    return list(parts.values())


def as_csv(sets: Sequence[Sequence[Run]]) -> str:
    """Return a CSV table with a row for each run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["set", "dynamic", "images", "seed", "variation", "test_accuracy", "computed_on", "folder"])
    for number, runs in enumerate(sets, start=1):
        for run in runs:
            where = run.folder.relative_to(RESULTS)
            variation = run.config.variation
            writer.writerow(
                [number, run.dynamic, run.images, run.config.seed, variation, run.accuracy, computed_on(run), where]
            )
    return out.getvalue()


def as_markdown(sets: Sequence[Sequence[Run]]) -> str:
    """Return a table with a row for each set, and what follows from all of them."""
    lines = [
        "| dynamic | images | seed | variation | test %, and hardware, torch, commit "
        "| standard deviation | same prediction % | error correlation |",
        "|---|---:|---:|---|---|---:|---:|---:|",
    ]
    for runs in sets:
        first = runs[0]
        each = "; ".join(f"{100 * run.accuracy:.2f} ({computed_on(run)})" for run in runs)
        alike = [similarity([pair]) for pair in combinations(runs, 2)]
        same = ", ".join(f"{100 * share:.1f}" for share in sorted(share for share, _ in alike if share is not None))
        errors = ", ".join(f"{value:.2f}" for value in sorted(value for _, value in alike if value is not None))
        cells = [
            facts_of(first.dynamic).label,
            f"{first.images:,}",
            first.config.seed,
            first.config.variation or "",
            each,
        ]
        lines.append("| " + " | ".join(map(str, [*cells, f"{stdev(accuracies(runs)):.2f}", same, errors])) + " |")
    lines += [
        "",
        f"Trained again (rounding, and for some pairs other initial weights): {spread(sets)}",
        "",
        f"Trained again from the same initial weights (rounding alone): {spread(of_equal_initial_weights(sets))}",
    ]
    return "\n".join(lines) + "\n"


def accuracies(runs: Sequence[Run]) -> list[float]:
    """Return the test accuracies in per cent."""
    return [100 * run.accuracy for run in runs]


def spread(sets: Sequence[Sequence[Run]]) -> str:
    """Return two sentences on the pooled standard deviation of the accuracies in each set.

    Interval and limit hold if the accuracies of every set are normally distributed with the same standard deviation.
    """
    deviation, freedom = pooled([accuracies(runs) for runs in sets])
    low, high = (deviation * sqrt(freedom / chi2.ppf(level, freedom)) for level in (0.975, 0.025))
    return (
        f"pooled standard deviation {deviation:.2f} points ({freedom} degrees of freedom, 95 % interval {low:.2f} to "
        f"{high:.2f}). By this, two trainings differ by more than {limit(deviation, freedom):.1f} points in 5 % of cases."
    )


def limit(deviation: float, freedom: int) -> float:
    """Return the difference that two new trainings exceed in 5 % of cases, by Student's distribution."""
    return float(t.ppf(0.975, freedom) * sqrt(2) * deviation)


def page_with(table: str) -> str:
    """Return the page with this table between its marks."""
    before, rest = PAGE.read_text().split(MARKS[0])
    return before + MARKS[0] + table + MARKS[1] + rest.partition(MARKS[1])[2]


def main() -> None:
    """Write the CSV table and the page."""
    sets = repeated()
    TABLE.write_text(as_csv(sets))
    PAGE.write_text(page_with(as_markdown(sets)))


if __name__ == "__main__":
    main()
