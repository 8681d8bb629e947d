"""Repeated trainings: page and table are those that the script writes, its statistics those of tables and of a hand."""

import re
from itertools import combinations
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from project_scripts import load
from scipy.stats import bartlett, chi2, norm, t

ROOT = Path(__file__).parents[2]
script = load("repeats")


@pytest.fixture(scope="module")
def sets():
    return script.repeated()


def test_page_and_table_are_written_from_what_is_published_now(sets):
    again = "renew both with: python scripts/repeats.py"
    assert script.as_csv(sets) == script.TABLE.read_text(), again
    assert script.page_with(script.as_markdown(sets)) == script.PAGE.read_text(), again


def test_a_set_has_runs_of_one_dynamic_size_seed_and_variation(sets):
    for runs in sets:
        assert len(runs) > 1
        assert len({(run.dynamic, run.images, run.config.seed, run.config.variation) for run in runs}) == 1
        assert len({run.summary["subset_sha256"] for run in runs}) == 1, "they are trained on the same images"
        assert len({run.summary["summary_sha256"] for run in runs}) == len(runs), "no run is its own repetition"


def test_runs_of_the_same_initial_weights_have_nearly_the_same_first_epoch(sets):
    """Four steps after equal weights rounding has changed the mean loss less than other weights do."""
    for runs in sets:
        for one, other in combinations(runs, 2):
            apart = abs(float(one.metrics[0]["data_loss"]) - float(other.metrics[0]["data_loss"]))
            assert (apart < 0.018) == (script.initial_weights(one) == script.initial_weights(other))


def test_the_pooled_standard_deviation_is_that_of_a_hand():
    # means 2 and 3; squares 1 + 1 and 1 + 1 + 4; degrees of freedom 1 + 2
    deviation, freedom = script.pooled([[1, 3], [2, 2, 5]])
    assert (deviation, freedom) == (pytest.approx(sqrt(8 / 3)), 3)
    assert script.pooled([[1, 3], [7]]) == (pytest.approx(sqrt(2)), 1), "a single training says nothing about scatter"


def test_interval_and_limit_have_the_quantiles_of_printed_tables():
    """Eight pairs of standard deviation 1, so 8 degrees of freedom: chi-square 17.535 and 2.180, Student's t 2.306.

    Thus sqrt(8 / 17.535) = 0.675, sqrt(8 / 2.180) = 1.916 and 2.306 sqrt(2) = 3.26.
    """

    class OneRun:
        def __init__(self, accuracy):
            self.accuracy = accuracy / 100

    said = script.spread([[OneRun(40), OneRun(40 + sqrt(2))]] * 8)
    assert "8 degrees of freedom" in said
    assert re.findall(r"\d+\.\d+", said) == ["1.00", "0.68", "1.92", "3.3"]


def test_the_limit_holds_for_new_pairs():
    """Of simulated repetitions in sets of the published sizes, a new pair exceeds the limit in 5 % of cases."""
    random = np.random.default_rng(0)
    exceeded = []
    for _ in range(2000):
        drawn = [list(random.normal(45, 0.7, size)) for size in (4, 2, 2, 3, 2)]
        deviation, freedom = script.pooled(drawn)
        limit = script.limit(deviation, freedom)
        exceeded.append(abs(np.subtract(*random.normal(45, 0.7, 2))) > limit)
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.015)  # three standard errors


def test_the_tolerance_of_make_review_errs_as_often_as_its_page_says(sets):
    """A network is off by more than 4 points by chance, and one that is 5.6 points worse is within 4 points."""
    words = " ".join((ROOT / "docs" / "artifact.md").read_text().split())
    deviation, freedom = script.pooled([script.accuracies(runs) for runs in sets])
    low, high = (deviation * sqrt(freedom / chi2.ppf(level, freedom)) for level in (0.975, 0.025))
    rounding, _ = script.pooled([script.accuracies(runs) for runs in script.of_equal_initial_weights(sets)])
    spread = [sqrt(2) * each for each in (deviation, low, high, rounding)]  # of the difference of two trainings
    assert "{:.2f} points, with a 95 % interval from {:.2f} to {:.2f}".format(*spread) in words
    assert f"the difference of two one of {spread[3]:.2f}." in words
    one = [2 * norm.sf(4 / each) for each in spread]
    three = [1 - (1 - each) ** 3 for each in one]
    assert f"probability of {100 * one[0]:.1f} %, and at least one of three with {100 * three[0]:.1f} %" in words
    assert f"if it is {spread[2]:.2f} points, with {100 * one[2]:.1f} and {100 * three[2]:.1f} %" in words
    assert f"the probabilities are {100 * one[3]:.1f} and {100 * three[3]:.1f} %" in words
    detected = [100 * norm.cdf((5.6 - 4) / each) for each in spread]
    assert f"probability of {detected[0]:.0f} %" in words
    assert f"of {detected[2]:.0f} % if it is {spread[2]:.2f}" in words


def test_pages_quote_the_pooled_numbers(sets):
    """Standard deviations of repetition, and the limits that follow, are in README and docs those of the script."""
    known = [
        script.pooled([script.accuracies(runs) for runs in parts])
        for parts in (sets, script.of_equal_initial_weights(sets))
    ]
    deviations = {f"{deviation:.2f}" for deviation, _ in known}
    limits = {f"{script.limit(*each):.1f}" for each in known}
    for page in ("README.md", "docs/readings.md", "docs/artifact.md"):
        words = " ".join((ROOT / page).read_text().split())
        quoted = set(re.findall(r"standard deviation of (\d+\.\d\d) points", words))
        assert quoted, page
        assert quoted <= deviations, page
        assert set(re.findall(r"more than (\d\.\d) points in 5 % of cases", words)) <= limits, page
    deviation, freedom = known[0]
    effects = (ROOT / "docs" / "readings.md").read_text()
    assert f"is {t.ppf(1 - 0.025 / 10, freedom) * sqrt(2) * deviation:.1f} points (Bonferroni" in effects
    p = bartlett(*(script.accuracies(runs) for runs in sets)).pvalue
    assert f"Bartlett's test, p = {p:.2f}" in script.PAGE.read_text()
