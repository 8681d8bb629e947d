"""Intervals and tests: what one network, or several seeds, can say about an accuracy.

Accuracies are shares in 0..1. An interval from one network counts the uncertainty of the test images alone; an interval
over seeds counts that of training again, on the same test images. docs/report.md says in words what each of them means.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import sqrt
from statistics import mean, stdev

import numpy as np
from scipy import stats

# Deviation from a published accuracy that counts, as a share: two standard errors of the difference of two networks at
# 75 % on 8,000 images, 2 sqrt(2) 0.48 = 1.37 percentage points, rounded up to half a point (docs/report.md).
MARGIN = 0.015
LEVEL = 0.05  # of every test


class Verdict(StrEnum):
    """What the runs say about a published accuracy."""

    REPRODUCED = "reproduced"
    EXCEEDED = "exceeded"
    NOT_REACHED = "not reached"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Equivalence:
    """Outcome of two one-sided tests: the verdict, and the 90 % interval of (ours - published) that it is read off."""

    verdict: Verdict
    low: float
    high: float
    p: float  # of "the difference is at least the margin": the larger of the two one-sided p


def exact_interval(share: float, images: int) -> tuple[float, float]:
    """Clopper-Pearson 95 % interval of one network's accuracy, measured as a share of ``images`` independent images."""
    found = stats.binomtest(round(share * images), images).proportion_ci(1 - LEVEL, method="exact")
    return float(found.low), float(found.high)


def spread_of(values: Sequence[float]) -> float | None:
    """Standard deviation; None for fewer than two values, and where they are equal but for rounding: it is not known then."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return spread if spread > 1e-9 else None


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean of independent values, n - 1 degrees of freedom; None where the spread is not known."""
    spread, n = spread_of(values), len(values)
    if spread is None:
        return None
    low, high = stats.t.interval(1 - LEVEL, n - 1, mean(values), spread / sqrt(n))
    return float(low), float(high)


def difference_from_zero(values: Sequence[float]) -> float | None:
    """Student's test of values against mean 0, two-sided p; None where their spread is not known."""
    return None if spread_of(values) is None else float(stats.ttest_1samp(values, 0).pvalue)


def _one_more(values: Sequence[float], published: float) -> tuple[float, float] | None:
    """The difference of our mean and one more draw, and its standard error s sqrt(1 + 1/n); None without spread."""
    spread = spread_of(values)
    return None if spread is None else (mean(values) - published, spread * sqrt(1 + 1 / len(values)))


def one_more_draw(values: Sequence[float], published: float) -> float | None:
    """Could the published value be one more run of ours? Two-sided p of the prediction interval; None without spread."""
    if (found := _one_more(values, published)) is None:
        return None
    difference, error = found
    return float(2 * stats.t.sf(abs(difference) / error, len(values) - 1))


def equivalence(values: Sequence[float], published: float) -> Equivalence | None:
    """Two one-sided tests at 5 % of whether our runs' mean is within `MARGIN` of that behind the published run.

    Both sides are uncertain: ours by n runs, the published by one (Schuirmann 1987 for the tests). None for fewer than two
    runs, or without spread.
    """
    if (found := _one_more(values, published)) is None:
        return None
    (difference, error), freedom = found, len(values) - 1
    reach = float(stats.t.ppf(1 - LEVEL, freedom)) * error
    low, high = difference - reach, difference + reach
    if low > -MARGIN and high < MARGIN:
        verdict = Verdict.REPRODUCED
    elif low > MARGIN:
        verdict = Verdict.EXCEEDED
    else:
        verdict = Verdict.NOT_REACHED if high < -MARGIN else Verdict.UNDECIDED
    return Equivalence(verdict, low, high, float(stats.t.sf((MARGIN - abs(difference)) / error, freedom)))


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test on the same images: (right only in the first, only in the second, two-sided p).

    ``first`` and ``second`` are (images,) bool: where each network is right.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 0, 0, 1.0
    return only_first, only_second, float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p of a family of tests, in the given order; None stays None and does not count."""
    tested = sorted((p, i) for i, p in enumerate(values) if p is not None)
    raised = [min(1.0, (len(tested) - rank) * p) for rank, (p, _) in enumerate(tested)]
    adjusted = dict(zip((i for _, i in tested), accumulate(raised, max), strict=True))
    return [adjusted.get(i) for i in range(len(values))]


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None; None where there are none."""
    known = [float(value) for value in values if value is not None]
    return mean(known) if known else None


def paired_interval(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """95 % interval of (accuracy of the second - of the first) for two networks on the same ``images`` independent images.

    ``only_first``, ``only_second``: images that one network alone classifies rightly. Wald's interval with half an image
    added to each of the four counts (Agresti & Min 2005, Statistics in Medicine 24:729).
    """
    n, first, second = images + 2, only_first + 0.5, only_second + 0.5
    error = sqrt(first + second - (second - first) ** 2 / n) / n
    return _around((second - first) / n, error)


def unpaired_interval(first: float, second: float, images: int) -> tuple[float, float]:
    """95 % interval of (second - first) for two accuracies, each on ``images`` images of its own (Agresti & Caffo 2000).

    For the same images it is wider than a paired one as long as the two networks tend to be right on the same images.
    """
    one, other = ((share * images + 1) / (images + 2) for share in (first, second))
    error = sqrt((one * (1 - one) + other * (1 - other)) / (images + 2))
    return _around(other - one, error)


def _around(middle: float, error: float) -> tuple[float, float]:
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) * error
    return max(-1.0, middle - reach), min(1.0, middle + reach)
