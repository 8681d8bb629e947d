"""The effect of each variation of a study on test accuracy, as a table and a figure.

A run with ``variation=`` is compared with its base run: the run of the same dynamic, training images and seed without a
variation. The table also shows the effect of other batch-norm statistics at test time, and of another seed alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure

from pdenet_repro.config.dynamics import facts_of, sort_key
from pdenet_repro.report.comparisons import THESE_NETWORKS
from pdenet_repro.report.figures import draw_grid
from pdenet_repro.report.groups import counted
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.run import Run
from pdenet_repro.report.settings import format_value
from pdenet_repro.report.statistics import holm, mcnemar, paired_interval, t_interval, unpaired_interval
from pdenet_repro.report.tables import Column, Row, number, percent, points, probability

SEED, STATISTICS, VARIATION = "another seed", "statistics at test time", "variation"
MEAN, NOT_RUN = "the mean of seeds", "not run yet"
# Smallest number of seeds of a mean with an interval in the figure; that of two seeds extends 12.7 standard errors to each side.
FEWEST_SEEDS = 3
COLUMNS = (
    "kind", "variation", "changed", "dynamic", "images", "fold", "seed", "about", "n", "base_accuracy", "accuracy", "difference",
    "standard_deviation", "difference_95_low", "difference_95_high", "interval", "only_base_right", "only_variation_right", "p",
)  # fmt: skip
# Colour, marker and legend entry of each kind of row.
DRAWN = {
    VARIATION: ("#0072b2", "o", "a variation: these two networks, paired 95 % interval over test images"),
    STATISTICS: (
        "#d55e00",
        "s",
        "the same network, other statistics of its batch norms: interval not paired, wider than necessary",
    ),
    SEED: (
        "#888888",
        "D",
        "another seed and no other setting: these two networks, paired 95 % interval over test images",
    ),
}


def effects(runs: Sequence[Run], missing: Sequence[Missing] = ()) -> list[Row]:
    """Return one row for each variation and seed, and for the mean of several seeds; none for a study without variations.

    A variation that is planned and not finished has a row without numbers, if a base run of any seed is there or planned.
    Differences and intervals are fractions. ``p`` is of McNemar's test; ``p_holm`` is corrected for the number of rows that have
    a ``p`` (Holm).
    """
    if not any(run.config.variation for run in runs) and not any(each.variation for each in missing):
        return []
    bases = {_pair_key(run): run for run in runs if not run.config.variation}
    rows: list[dict[str, Any]] = []
    for run in sorted(runs, key=lambda run: (*_pair_key(run)[:3], run.config.variation, run.config.seed)):
        base = bases.get(_pair_key(run))
        if run.config.variation and base:
            rows.append(_compared(VARIATION, run.config.variation, base, run))
    rows += _means(rows)
    rows += _not_run(missing, runs)
    for place, base in bases.items():
        first = bases[min(other for other in bases if other[:3] == place[:3])]
        rows += _with_other_statistics(base) if base is first else [_compared(SEED, "seed", first, base)]
    order = {kind: i for i, kind in enumerate(DRAWN)}
    rows.sort(key=lambda row: (sort_key(row["dynamic"]), row["images"], order[row["kind"]]))
    adjusted = holm([row.get("p") for row in rows])
    return [{key: row.get(key) for key in COLUMNS} | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _pair_key(run: Run) -> tuple[str, int, int, int]:
    """Return what a run has in common with its base run: dynamic, training images, fold, seed."""
    seed, fold = run.repetition
    return run.dynamic, run.images, fold, seed


def _compared(kind: str, name: str, base: Run, run: Run) -> dict[str, Any]:
    only_base, only_run, p = mcnemar(base.correct, run.correct)
    changed = [f"{key}={format_value(run.settings[key])} ({format_value(base.settings[key])})"
               for key in run.settings if run.settings[key] != base.settings[key]]  # fmt: skip
    shared = base.test_images_share_statistics or run.test_images_share_statistics
    interval = paired_interval(only_base, only_run, len(run.correct))
    return _difference(run, base.accuracy, run.accuracy, interval) | {
        "kind": kind, "variation": name, "changed": ", ".join(changed), "about": THESE_NETWORKS,
        "interval": "paired, approximate: test images of a batch share its statistics" if shared else "paired",
        "only_base_right": only_base, "only_variation_right": only_run, "p": p,
    }  # fmt: skip


def _with_other_statistics(base: Run) -> Iterator[dict[str, Any]]:
    """Yield a row for each other kind of batch-norm statistics; a run records its accuracy, not its predictions."""
    for kind, accuracy in base.by_statistics.items():
        if kind != base.statistics:
            interval = unpaired_interval(base.accuracy, accuracy, base.summary["test_images"])
            yield _difference(base, base.accuracy, accuracy, interval) | {
                "kind": STATISTICS, "variation": f"statistics-{kind}", "about": "this network", "interval": "not paired",
                "changed": f"evaluation.statistics={kind} ({base.statistics})",
            }  # fmt: skip


def _difference(run: Run, before: float, after: float, interval: tuple[float, float]) -> dict[str, Any]:
    return {
        "dynamic": run.dynamic, "images": run.images, "fold": run.config.data.fold, "seed": run.config.seed, "n": 1,
        "base_accuracy": before, "accuracy": after, "difference": after - before,
        "difference_95_low": interval[0], "difference_95_high": interval[1],
    }  # fmt: skip


def _not_run(missing: Sequence[Missing], runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row without numbers for each missing run with a variation, if a base run of any seed is there or planned."""
    bases: set[tuple[str | None, float | None]] = {
        (run.dynamic, run.config.data.fraction) for run in runs if not run.config.variation
    }
    bases |= {(each.dynamic, each.fraction) for each in missing if not each.variation}
    for gap in missing:
        if (
            gap.variation
            and gap.dynamic is not None
            and gap.fraction is not None
            and (gap.dynamic, gap.fraction) in bases
        ):
            images = round(gap.fraction * runs[0].images / runs[0].config.data.fraction)
            yield {
                "kind": VARIATION,
                "variation": gap.variation,
                "dynamic": gap.dynamic,
                "images": images,
                "about": NOT_RUN,
            }


def _means(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for the mean over seeds, with Student's interval, of each variation that has several seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ("variation", "dynamic", "images", "fold")), []).append(row)
    for same in groups.values():
        if len(same) > 1:
            differences = [row["difference"] for row in same]
            low, high = t_interval(differences) or (None, None)
            yield {
                **{key: same[0][key] for key in ("kind", "variation", "changed", "dynamic", "images", "fold")},
                **{key: mean(row[key] for row in same) for key in ("base_accuracy", "accuracy", "difference")},
                "about": MEAN, "n": len(same), "standard_deviation": stdev(differences), "difference_95_low": low,
                "difference_95_high": high, "interval": "over seeds (Student)",
            }  # fmt: skip


def columns(digits: int) -> list[Column]:
    """Return the columns that show `effects`; ``digits`` are the decimals of percentages."""
    share, difference = percent(digits), points(digits)
    return [
        Column("variation", ("variation",), str),
        Column("setting (compared with)", ("changed",), str),
        Column("dynamic", ("dynamic",), str),
        Column("images", ("images",), number(0)),
        Column("seed", ("seed",), str),
        Column("about", ("about",), str),
        Column("n", ("n",), number(0)),
        Column("compared with %", ("base_accuracy",), share),
        Column("test %", ("accuracy",), share),
        Column("effect, points", ("difference",), difference),
        Column("95 % interval", ("difference_95_low", "difference_95_high"), difference),
        Column("interval", ("interval",), str),
        Column("only right without", ("only_base_right",), number(0)),
        Column("only right with", ("only_variation_right",), number(0)),
        Column("p", ("p",), probability),
        Column("p, Holm", ("p_holm",), probability),
    ]


def effects_figure(rows: Sequence[Row]) -> Figure:
    """Draw a mark and an interval for each row, in one panel per dynamic and number of training images.

    Marks of means are filled; those of fewer than `FEWEST_SEEDS` seeds have no interval.
    """
    panels: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        panels.setdefault((row["dynamic"], row["images"]), []).append(row)
    heights = [len(of_panel) + 1.5 for of_panel in panels.values()]
    figure = Figure(figsize=(9, 1.2 + 0.28 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, ((dynamic, images), of_panel) in zip(axes, panels.items(), strict=True):
        for y, row in enumerate(of_panel):
            if row["difference"] is None:
                axis.text(0, y, f" {NOT_RUN}", va="center", fontsize=8, color="#888888")
                continue
            colour, marker, _ = DRAWN[row["kind"]]
            low, high = row["difference_95_low"], row["difference_95_high"]
            if low is not None and (row["about"] != MEAN or row["n"] >= FEWEST_SEEDS):
                axis.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.6)
            filled = colour if row["about"] == MEAN else "white"
            axis.plot(100 * row["difference"], y, marker, color=colour, markersize=6, markerfacecolor=filled)
        axis.axvline(0, color="black", linewidth=0.8, zorder=1)
        counts = Counter(row["variation"] for row in of_panel if row["about"] != MEAN)
        labels = [_line(row, several=counts[row["variation"]] > 1) for row in of_panel]
        axis.set_yticks(range(len(of_panel)), labels, fontsize=9)
        axis.set_ylim(len(of_panel) - 0.4, -0.6)
        axis.set_title(f"{facts_of(dynamic).label}, {counted(images, 'training image')}", fontsize=11, loc="left")
        draw_grid(axis)
    axes[-1].set_xlabel("test accuracy minus that of the run it is compared with, percentage points")
    kinds = [kind for kind in DRAWN if any(row["kind"] == kind for row in rows)]
    for kind in kinds:
        colour, marker, words = DRAWN[kind]
        axes[-1].plot([], [], marker, color=colour, markerfacecolor="white", linestyle="-", label=words)
    if numbers := [row["n"] for row in rows if row["about"] == MEAN]:
        axes[-1].plot([], [], "o", color=DRAWN[VARIATION][0], linestyle="-" if max(numbers) >= FEWEST_SEEDS else "",
                      label=f"mean over seeds; Student's 95 % interval from {FEWEST_SEEDS} seeds on")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=8)
    return figure


def _line(row: Row, *, several: bool) -> str:
    """Return the label of a row in the figure; it names the seed if that is not 0 or the variation has ``several`` runs."""
    name = str(row["variation"])
    if row["kind"] == SEED:
        return f"{name} {row['seed']}"
    if row["about"] == MEAN:
        return f"{name}, mean of {row['n']} seeds"
    return f"{name}, seed {row['seed']}" if row["seed"] or (several and row["seed"] is not None) else name
