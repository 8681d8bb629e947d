"""Networks against each other: per pair of dynamics and number of images, and of groups; and accuracy by class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev

import numpy as np

from pdenet_repro.report.groups import Cell, Grouping
from pdenet_repro.report.results import repetitions
from pdenet_repro.report.runs import Run
from pdenet_repro.report.statistics import difference_from_zero, holm, mcnemar, t_interval
from pdenet_repro.report.tables import Column, Row, number, percent, points, probability

THESE_NETWORKS = "these two networks"  # one seed: nothing can be said of the dynamics


@dataclass(frozen=True)
class Alikeness:
    """How alike the predictions of two networks are."""

    same: float  # share of the test images with the same prediction
    errors: float | None  # correlation of the two confusion matrices off their diagonals; None where one has no errors


def comparisons(grouping: Grouping) -> list[Row]:
    """A row for each two dynamics of a group on the same images, and for each group against the first.

    A dynamic that the first group does not have is compared with all dynamics of the first group.

    Differences are over the seeds that both have; p is corrected for the number of rows (Holm).
    """
    own = {id(cell): _own_seeds(cell) for cell in grouping.cells}
    rows = [row for one, other in _pairs(grouping) if (row := _compare(one, other, own[id(one)], own[id(other)]))]
    adjusted = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _pairs(grouping: Grouping) -> Iterator[tuple[Cell, Cell]]:
    reference = grouping.groups[0] if grouping.groups else None
    in_reference = {line.dynamic for line in grouping.lines if line.group == reference}
    for one, other in combinations(grouping.lines, 2):
        dynamics = {one.dynamic, other.dynamic}
        against_first = reference in (one.group, other.group) and (len(dynamics) == 1 or not dynamics <= in_reference)
        if one.group == other.group or against_first:
            for images in sorted(set(one.cells) & set(other.cells)):
                if one.cells[images].on_folds == other.cells[images].on_folds:  # a seed and a fold are no pair
                    yield one.cells[images], other.cells[images]


def _compare(one: Cell, other: Cell, own: Alikeness | None, others_own: Alikeness | None) -> Row | None:
    shared = [each for each in one.repetitions if each in other.repetitions]
    pairs = [(each, pair) for each in shared for pair in _same_seed(one.repetitions[each], other.repetitions[each])]
    if not pairs:
        return None
    differences = [
        mean(a.accuracy - b.accuracy for of, (a, b) in pairs if of == each)
        for each in dict.fromkeys(of for of, _ in pairs)
    ]
    several = len(differences) > 1
    low, high = t_interval(differences) or (None, None)
    only_first, only_second, p = (None, None, difference_from_zero(differences)) if several else _mcnemar(pairs[0][1])
    alike = [alikeness(a, b) for _, (a, b) in pairs]
    return {
        "first": one.name,
        "second": other.name,
        "images": one.images,
        "about": f"the mean of {'folds' if one.on_folds else 'seeds'}" if several else THESE_NETWORKS,
        "n": len(differences),
        **repetitions([a for _, (a, _) in pairs]),
        "difference": mean(differences),
        "standard_deviation": stdev(differences) if several else None,
        "difference_95_low": low,
        "difference_95_high": high,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "test": "paired t" if several else "McNemar",
        "p": p,
        "same_prediction": mean(each.same for each in alike),
        "same_prediction_seeds_of_first": own.same if own else None,
        "same_prediction_seeds_of_second": others_own.same if others_own else None,
        "error_correlation": _mean([each.errors for each in alike]),
        "error_correlation_seeds_of_first": own.errors if own else None,
        "error_correlation_seeds_of_second": others_own.errors if others_own else None,
    }


def _same_seed(first: Sequence[Run], second: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    by_seed = {run.config.seed: run for run in second}
    for run in first:
        if run.config.seed in by_seed:
            yield run, by_seed[run.config.seed]


def _mcnemar(pair: tuple[Run, Run]) -> tuple[int, int, float]:
    first, second = pair
    return mcnemar(first.correct, second.correct)


def alikeness(first: Run, second: Run) -> Alikeness:
    """Share of equal predictions, and the correlation of the entries off the diagonals of the confusion matrices.

    The correlation is 1 where both mistake the same classes for the same others equally often, and 0 on average where
    the wrong classes of one are drawn at random.
    """
    off = ~np.eye(len(first.confusion), dtype=bool)
    one, other = first.confusion[off].astype(float), second.confusion[off].astype(float)
    errors = float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else None
    return Alikeness(float((first.predicted == second.predicted).mean()), errors)


def _own_seeds(cell: Cell) -> Alikeness | None:
    """The mean over pairs of seeds of one cell; None for one run."""
    found = [alikeness(a, b) for a, b in combinations(cell.runs, 2)]
    return Alikeness(mean(each.same for each in found), _mean([each.errors for each in found])) if found else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def columns(digits: int) -> list[Column]:
    """How the comparisons are shown to people."""
    share, difference = percent(digits), points(digits)
    return [
        Column("first", ("first",), str),
        Column("second", ("second",), str),
        Column("images", ("images",), number(0)),
        Column("about", ("about",), str),
        Column("n", ("n",), number(0)),
        Column("first minus second", ("difference",), difference),
        Column("95 % over seeds", ("difference_95_low", "difference_95_high"), difference),
        Column("only first right", ("only_first_right",), number(0)),
        Column("only second right", ("only_second_right",), number(0)),
        Column("test", ("test",), str),
        Column("p", ("p",), probability),
        Column("p, Holm", ("p_holm",), probability),
        Column("same prediction %", ("same_prediction",), share),
        Column("two seeds of first %", ("same_prediction_seeds_of_first",), share),
        Column("two seeds of second %", ("same_prediction_seeds_of_second",), share),
        Column("error correlation", ("error_correlation",), number(2)),
        Column("two seeds of first", ("error_correlation_seeds_of_first",), number(2)),
        Column("two seeds of second", ("error_correlation_seeds_of_second",), number(2)),
    ]


def per_class(grouping: Grouping) -> list[Row]:
    """A row for each line that can be shown beside the others, and class: share of the class's test images that is right."""
    rows: list[Row] = []
    for line, cell in grouping.comparable.items():
        matrix = np.mean([run.confusion for run in cell.runs], axis=0)
        shares = matrix.diagonal() / np.maximum(matrix.sum(1), 1)
        rows += [
            {"dynamic": line.dynamic, **dict(line.group.settings), "images": cell.images, "n": len(cell.runs), "class": name,
             "accuracy": float(share)}
            for name, share in zip(cell.runs[0].class_names, shares, strict=True)
        ]  # fmt: skip
    return rows


def classes_across(grouping: Grouping, rows: Sequence[Row], digits: int) -> list[dict[str, str]]:
    """The accuracies by class as a table with a column a class, for the page."""
    across: dict[tuple[str, int], dict[str, str]] = {}
    names = {(line.dynamic, *dict(line.group.settings).values()): line.name for line in grouping.lines}
    for row in rows:
        name = names[(row["dynamic"], *(row[key] for key in grouping.naming))]
        entry = across.setdefault((name, row["images"]), {"network": name, "images": f"{row['images']:,}"})
        entry[row["class"]] = percent(digits)(row["accuracy"])
    return list(across.values())
