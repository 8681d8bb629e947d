"""Comparisons of trained networks: pairs of dynamics or groups on the same number of images, and accuracy by class."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from statistics import mean, stdev

import numpy as np

from pdenet_repro.report.groups import Cell, Group, Grouping
from pdenet_repro.report.published import READINGS
from pdenet_repro.report.results import repetitions
from pdenet_repro.report.run import Run
from pdenet_repro.report.statistics import difference_from_zero, holm, mcnemar, mean_of_known, t_interval
from pdenet_repro.report.tables import Column, Row, number, percent, points, probability

THESE_NETWORKS = "these two networks"  # what a comparison of single seeds is about: not the dynamics
Similarity = tuple[float | None, float | None]  # fraction of equal predictions, correlation of errors


def comparisons(grouping: Grouping) -> list[Row]:
    """Return one row per pair of cells on the same number of images: two dynamics of a group, or a dynamic in two groups.

    Of two groups one is the first; a dynamic that it does not have is compared with all of its dynamics. Two dynamics of groups
    that differ in `READINGS` alone are compared where neither group has the other dynamic. Differences are means
    over the seeds that both have, in fractions; ``p_holm`` is corrected for the number of rows that have a ``p`` (Holm).
    """
    own = {cell: similarity(combinations(cell.runs, 2)) for cell in grouping.cells}
    rows = [row for one, other in _pairs(grouping) if (row := _compare(one, other, own[one], own[other]))]
    return [{**row, "p_holm": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]


def _pairs(grouping: Grouping) -> Iterator[tuple[Cell, Cell]]:
    reference = grouping.groups[0] if grouping.groups else None
    in_reference = {line.dynamic for line in grouping.lines if line.group == reference}
    trained = {(line.group, line.dynamic, images) for line in grouping.lines for images in line.cells}
    for one, other in combinations(grouping.lines, 2):
        dynamics = {one.dynamic, other.dynamic}
        against_first = reference in (one.group, other.group) and (len(dynamics) == 1 or not dynamics <= in_reference)
        for images in sorted(set(one.cells) & set(other.cells)):
            if one.cells[images].on_folds != other.cells[images].on_folds:
                continue  # a seed cannot be paired with a fold
            crossed = {(one.group, other.dynamic, images), (other.group, one.dynamic, images)}
            apart = len(dynamics) == 2 and not crossed & trained and _same_but_readings(one.group, other.group)
            if one.group == other.group or against_first or apart:
                yield one.cells[images], other.cells[images]


def _same_but_readings(one: Group, other: Group) -> bool:
    return all(pair[0] in READINGS for pair in {*one.settings} ^ {*other.settings})


def _compare(one: Cell, other: Cell, own: Similarity, others_own: Similarity) -> Row | None:
    shared = [each for each in one.repetitions if each in other.repetitions]
    pairs = {each: found for each in shared if (found := _same_seed(one.repetitions[each], other.repetitions[each]))}
    if not pairs:
        return None
    flat = [pair for found in pairs.values() for pair in found]
    differences = [mean(a.accuracy - b.accuracy for a, b in found) for found in pairs.values()]
    several = len(differences) > 1
    low, high = t_interval(differences) or (None, None)
    only_first, only_second, p = (
        (None, None, difference_from_zero(differences)) if several else mcnemar(flat[0][0].correct, flat[0][1].correct)
    )
    same, errors = similarity(flat)
    dependent = any(run.test_images_share_statistics for pair in flat for run in pair)
    return {
        "first": one.name,
        "second": other.name,
        "images": one.images,
        "about": f"the mean of {'folds' if one.on_folds else 'seeds'}" if several else THESE_NETWORKS,
        "n": len(differences),
        **repetitions([a for a, _ in flat]),
        "difference": mean(differences),
        "standard_deviation": stdev(differences) if several else None,
        "difference_95_low": low,
        "difference_95_high": high,
        "only_first_right": only_first,
        "only_second_right": only_second,
        "test": "paired t" if several else "McNemar, approximate" if dependent else "McNemar",
        "p": p,
        "same_prediction": same,
        "same_prediction_seeds_of_first": own[0],
        "same_prediction_seeds_of_second": others_own[0],
        "error_correlation": errors,
        "error_correlation_seeds_of_first": own[1],
        "error_correlation_seeds_of_second": others_own[1],
    }


def _same_seed(first: Sequence[Run], second: Sequence[Run]) -> list[tuple[Run, Run]]:
    by_seed = {run.config.seed: run for run in second}
    return [(run, by_seed[run.config.seed]) for run in first if run.config.seed in by_seed]


def similarity(pairs: Iterable[tuple[Run, Run]]) -> Similarity:
    """Return the fraction of equal predictions and the correlation of the confusion matrices off their diagonals.

    Both are means over pairs of runs, None without pairs. The correlation is 1 if both networks mistake the same classes for
    the same others equally often, 0 on average if the wrong classes of one are random, and None if a matrix is constant off
    its diagonal, as without errors.
    """
    same, correlations = [], []
    for first, second in pairs:
        same.append(float((first.predicted == second.predicted).mean()))
        off = ~np.eye(len(first.confusion), dtype=bool)
        one, other = first.confusion[off].astype(float), second.confusion[off].astype(float)
        correlations.append(float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else None)
    return mean_of_known(same), mean_of_known(correlations)


def columns(digits: int) -> list[Column]:
    """Return the columns that show `comparisons`; ``digits`` are the decimals of percentages."""
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
    """Return one row per comparable line and class: the fraction of the class's test images that is classified correctly."""
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
    """Return the rows of `per_class` as a formatted table with one row per network and one column per class."""
    across: dict[tuple[str, int], dict[str, str]] = {}
    names = {(line.dynamic, *dict(line.group.settings).values()): line.name for line in grouping.lines}
    for row in rows:
        name = names[(row["dynamic"], *(row[key] for key in grouping.naming))]
        entry = across.setdefault((name, row["images"]), {"network": name, "images": f"{row['images']:,}"})
        entry[row["class"]] = percent(digits)(row["accuracy"])
    return list(across.values())
