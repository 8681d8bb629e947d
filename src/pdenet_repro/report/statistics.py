"""Confidence intervals and significance tests for the accuracies of one network or of several seeds.

Accuracies are fractions in [0, 1]. An interval from one network counts the uncertainty of the test images alone; an interval
over seeds counts that of training again, on the same test images. docs/report.md explains each of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import sqrt
from statistics import mean, stdev

import numpy as np
from scipy import stats

# Largest deviation from a published accuracy that does not count, as a fraction: two standard errors of the difference of two
# networks at 75 % on 8,000 images, 2 sqrt(2) 0.48 = 1.37 percentage points, rounded up to half a point (docs/report.md).
MARGIN = 0.015
LEVEL = 0.05  # significance level of every test


class Verdict(StrEnum):
    """Outcome of comparing runs with a published accuracy; docs/report.md defines each value."""

    REPRODUCED = "reproduced"
    EXCEEDED = "exceeded"
    NOT_REACHED = "not reached"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Equivalence:
    """Outcome of two one-sided tests: the verdict, and the 90 % interval of (ours - published) that determines it."""

    verdict: Verdict
    low: float
    high: float
    p: float  # p-value of "the difference is at least the margin": the larger of the two one-sided ones


def exact_interval(share: float, images: int) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) 95 % interval of one network's accuracy ``share`` on ``images`` independent images."""
    found = stats.binomtest(round(share * images), images).proportion_ci(1 - LEVEL, method="exact")
    return float(found.low), float(found.high)


def spread_of(values: Sequence[float]) -> float | None:
    """Return the standard deviation; None, for not known, if there are fewer than two values or all are equal up to rounding."""
    spread = stdev(values) if len(values) > 1 else 0.0
    return spread if spread > 1e-9 else None


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return Student's 95 % interval of the mean of independent values; None if their standard deviation is not known."""
    spread, n = spread_of(values), len(values)
    if spread is None:
        return None
    low, high = stats.t.interval(1 - LEVEL, n - 1, mean(values), spread / sqrt(n))
    return float(low), float(high)


def difference_from_zero(values: Sequence[float]) -> float | None:
    """Return the two-sided p-value of Student's test of mean 0; None if the standard deviation is not known."""
    return None if spread_of(values) is None else float(stats.ttest_1samp(values, 0).pvalue)


def _one_more(values: Sequence[float], published: float) -> tuple[float, float] | None:
    """Return our mean minus the published value, taken as one more run, and its standard error s sqrt(1 + 1/n)."""
    spread = spread_of(values)
    return None if spread is None else (mean(values) - published, spread * sqrt(1 + 1 / len(values)))


def one_more_draw(values: Sequence[float], published: float) -> float | None:
    """Return the two-sided p-value of "the published value is one more run of ours"; None if our spread is not known."""
    if (found := _one_more(values, published)) is None:
        return None
    difference, error = found
    return float(2 * stats.t.sf(abs(difference) / error, len(values) - 1))


def equivalence(values: Sequence[float], published: float) -> Equivalence | None:
    """Test at 5 % whether the mean of our runs is within `MARGIN` of the mean behind the published run.

    These are two one-sided tests (Schuirmann 1987). Our mean is known from n runs, the published one from a single run.
    Returns None if the spread of our runs is not known.
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
    """Compare two networks on the same images with McNemar's exact test.

    ``first`` and ``second`` say for each image whether the network is right: bool, (images,). Returns the number of images
    that only the first gets right, the number that only the second gets right, and the two-sided p-value.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 0, 0, 1.0
    return only_first, only_second, float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values of several tests, in the given order; None stays None and counts as no test."""
    tested = sorted((p, i) for i, p in enumerate(values) if p is not None)
    raised = [min(1.0, (len(tested) - rank) * p) for rank, (p, _) in enumerate(tested)]
    adjusted = dict(zip((i for _, i in tested), accumulate(raised, max), strict=True))
    return [adjusted.get(i) for i in range(len(values))]


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    known = [float(value) for value in values if value is not None]
    return mean(known) if known else None


def paired_interval(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of (accuracy of the second - of the first) for two networks on the same independent images.

    ``only_first``, ``only_second``: numbers of images that only this network gets right. It is Wald's interval with half an
    image added to each of the four counts (Agresti & Min 2005, Statistics in Medicine 24:729).
    """
    n, first, second = images + 2, only_first + 0.5, only_second + 0.5
    error = sqrt(first + second - (second - first) ** 2 / n) / n
    return _around((second - first) / n, error)


def unpaired_interval(first: float, second: float, images: int) -> tuple[float, float]:
    """Return the 95 % interval of (second - first) for two accuracies on ``images`` images each (Agresti & Caffo 2000).

    It assumes that the images differ. If they are the same, it is wider than the paired interval as long as the two networks
    tend to be right on the same images.
    """
    one, other = ((share * images + 1) / (images + 2) for share in (first, second))
    error = sqrt((one * (1 - one) + other * (1 - other)) / (images + 2))
    return _around(other - one, error)


def _around(middle: float, error: float) -> tuple[float, float]:
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) * error
    return max(-1.0, middle - reach), min(1.0, middle + reach)
