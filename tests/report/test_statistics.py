"""Intervals and tests against values computed by hand or from tables, and their level by simulation."""

from math import comb, sqrt

import numpy as np
import pytest

from pdenet_repro.report.statistics import (
    MARGIN,
    Verdict,
    difference_from_zero,
    equivalence,
    exact_interval,
    holm,
    mcnemar,
    one_more_draw,
    t_interval,
)

T_95_2 = 4.302653  # quantiles of Student's t, from tables: 97.5 % of 2 degrees of freedom,
T_90_2 = 2.919986  # 95 % of 2,
T_90_4 = 2.131847  # 95 % of 4


def tail(counts, share, images):
    return sum(comb(images, k) * share**k * (1 - share) ** (images - k) for k in counts)


def test_the_exact_interval_leaves_two_and_a_half_per_cent_on_both_sides():
    low, high = exact_interval(125 / 200, 200)
    assert tail(range(125, 201), low, 200) == pytest.approx(0.025, rel=0.001)
    assert tail(range(126), high, 200) == pytest.approx(0.025, rel=0.001)


def test_the_interval_over_seeds_is_of_the_mean_by_students_t():
    values = [0.735, 0.745, 0.756]
    spread = sqrt(sum((v - sum(values) / 3) ** 2 for v in values) / 2)
    low, high = t_interval(values)
    assert (low, high) == pytest.approx(
        (0.74533 - T_95_2 * spread / sqrt(3), 0.74533 + T_95_2 * spread / sqrt(3)), abs=1e-5
    )
    assert (round(100 * low, 1), round(100 * high, 1)) == (71.9, 77.1)


def test_one_more_draw_by_hand():
    values = [0.73, 0.75, 0.77]  # mean 0.75, s = 0.02
    t = (0.80 - 0.75) / (0.02 * sqrt(4 / 3))
    cumulated = 0.5 + t / (2 * sqrt(2 + t**2))  # Student's distribution with 2 degrees of freedom, in closed form
    assert one_more_draw(values, 0.80) == pytest.approx(2 * (1 - cumulated), rel=1e-9)
    assert one_more_draw(values, 0.75) == pytest.approx(1)
    assert one_more_draw([0.7, 0.7], 0.8) is None
    t = 0.02 * sqrt(3) / 0.02
    assert difference_from_zero([0.0, 0.02, 0.04]) == pytest.approx(2 * (1 - 0.5 - t / (2 * sqrt(2 + t**2))), rel=1e-9)
    assert difference_from_zero([0.1, 0.1]) is None


def test_equivalence_by_hand():
    values = [0.748, 0.750, 0.752]
    found = equivalence(values, 0.749)
    reach = T_90_2 * 0.002 * sqrt(4 / 3)
    assert (found.low, found.high) == pytest.approx((0.001 - reach, 0.001 + reach), abs=1e-6)
    assert found.verdict is Verdict.REPRODUCED
    assert found.p < 0.05
    assert equivalence([0.788, 0.790, 0.792], 0.75).verdict is Verdict.EXCEEDED
    assert equivalence([0.708, 0.710, 0.712], 0.75).verdict is Verdict.NOT_REACHED
    assert equivalence([0.70, 0.75, 0.80], 0.75).verdict is Verdict.UNDECIDED
    assert equivalence([0.764, 0.765, 0.766], 0.75).verdict is Verdict.UNDECIDED  # at the margin itself
    assert equivalence([0.75], 0.75) is None
    assert equivalence([0.75, 0.75], 0.75) is None


def test_the_verdict_is_that_of_the_two_one_sided_tests():
    random = np.random.default_rng(5)
    for _ in range(300):
        values = random.normal(0.75, 0.006, 4)
        found = equivalence(list(values), 0.75)
        assert (found.verdict is Verdict.REPRODUCED) == (found.p < 0.05)
        error = values.std(ddof=1) * sqrt(1.25)
        assert (found.high - found.low) / 2 == pytest.approx(2.353363 * error, rel=1e-5)


def rejections(draws, decide):
    return float(np.mean([decide(list(values[1:]), float(values[0])) for values in draws]))


def test_levels_by_simulation():
    """Published and ours are draws of one distribution: the level is 5 %, whatever the spread."""
    draws = np.random.default_rng(0).normal(0.75, 0.01, (4000, 4))
    assert rejections(draws, lambda ours, published: one_more_draw(ours, published) < 0.05) == pytest.approx(
        0.05, abs=0.012
    )
    covered = np.mean([low <= 0.75 <= high for low, high in (t_interval(list(row)) for row in draws)])
    assert covered == pytest.approx(0.95, abs=0.012)
    # Ours is as far above the published one's distribution as the margin: "reproduced" at most 5 %.
    shifted = draws + np.array([0, MARGIN, MARGIN, MARGIN])
    for spread in (1.0, 0.1):
        values = 0.75 + (shifted - 0.75 - [0, MARGIN, MARGIN, MARGIN]) * spread + [0, MARGIN, MARGIN, MARGIN]
        share = rejections(values, lambda ours, x: equivalence(ours, x).verdict is Verdict.REPRODUCED)
        assert share <= 0.05 + 0.012
        share = rejections(values, lambda ours, x: equivalence(ours, x).verdict is Verdict.EXCEEDED)
        assert share == pytest.approx(0.05, abs=0.012)


def test_mcnemar():
    first, second = np.array([1] * 10 + [0] * 5, bool), np.zeros(15, bool)
    assert mcnemar(first, second) == (10, 0, pytest.approx(2 / 2**10))
    assert mcnemar(first, first) == (0, 0, 1.0)


def test_holm_is_the_published_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # as R's p.adjust
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_family_at_five_per_cent():
    values = np.random.default_rng(1).uniform(size=(4000, 6))
    false = np.mean([min(p for p in holm(list(row)) if p is not None) < 0.05 for row in values])
    assert false == pytest.approx(0.05, abs=0.012)
