"""How far accuracies on a finite number of test images can be told apart."""

import numpy as np
from scipy import stats


def exact_interval(share: float, images: int) -> tuple[float, float]:
    """Clopper-Pearson 95 % interval of an accuracy measured as a share of ``images``."""
    found = stats.binomtest(round(share * images), images).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def same_accuracy(first: float, second: float, images: int) -> float:
    """Two-sided p of Fisher's exact test that two accuracies, each on ``images``, belong to equally good networks."""
    a, b = round(first * images), round(second * images)
    return float(stats.fisher_exact([[a, images - a], [b, images - b]]).pvalue)


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test on the same images: (right only in the first, only in the second, two-sided p).

    ``first`` and ``second`` are (images,) bool: where each network is right.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 0, 0, 1.0
    return only_first, only_second, float(stats.binomtest(only_first, only_first + only_second).pvalue)
