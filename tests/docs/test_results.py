"""The accuracies that README and docs quote are those of docs/results, row by row.

``PYTHONPATH=src python tests/docs/test_results.py`` writes README's table anew, after runs were published.
"""

import csv
import re
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import mean

import numpy as np
from project_scripts import load
from scipy.stats import chi2, t

from pdenet_repro.config.dynamics import facts_of

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "docs" / "claims.md"
README = ROOT / "README.md"
README_WORDS = " ".join(README.read_text().split())
COLUMNS = "| recipe | dynamic | images | published % | ours, test % | trainings | difference and its 90 % interval | verdict |"
HEADING = f"{COLUMNS}\n|---|---|---:|---:|---:|---:|---|---|\n"
RESULTS = ROOT / "docs" / "results"
RECIPES = {"authors": "stl10-authors", "paper": "stl10-paper"}  # in the order of README's table


def read(study: str, table: str) -> list[dict[str, str]]:
    with (RESULTS / study / table).open(newline="") as file:
        return list(csv.DictReader(file))


def percent(result: dict[str, str], key: str, words: str = "{:.2f}") -> str:
    """A value in per cent, or nothing where the row has none."""
    return words.format(100 * float(result[key])) if result[key] else ""


def row(recipe: str, result: dict[str, str]) -> str:
    """The line of README's table that says what a row of ``results.csv`` says."""
    low, high = (percent(result, f"difference_90_{end}", "{:+.2f}") for end in ("low", "high"))
    cells = [
        f"`{recipe}`",
        facts_of(result["dynamic"]).label,
        f"{int(result['images']):,}",
        percent(result, "published_accuracy"),
        percent(result, "test_accuracy", "**{:.2f}**") + percent(result, "standard_deviation", " ± {:.2f}"),
        result["n"],
        percent(result, "difference", "{:+.2f}") + (f" ({low} to {high})" if low else ""),
        result["verdict"],
    ]
    return f"| {' | '.join(cells)} |"


def rows() -> list[str]:
    return [row(recipe, result) for recipe, study in RECIPES.items() for result in read(study, "results.csv")]


def quoted() -> tuple[str, str, str]:
    """README up to the rows of its table, the rows, and what follows them."""
    before, heading, rest = README.read_text().partition(HEADING)
    table, after = rest.split("\n\n", 1)
    return before + heading, table, "\n\n" + after


def test_readme_has_every_published_accuracy_and_no_other():
    assert quoted()[1].splitlines() == rows()


def test_every_network_has_learned_its_training_images():
    """README says so of every row of its table."""
    every = [result for study in RECIPES.values() for result in read(study, "results.csv")]
    assert {percent(result, "train_accuracy") for result in every} == {"100.00"}


def test_readme_has_the_scatter_of_seeds_on_all_images():
    results = read("stl10-authors", "results.csv")
    assert {result["n"] for result in results} == {"3"}
    deviation, freedom = sqrt(mean((100 * float(result["standard_deviation"])) ** 2 for result in results)), 6
    low, high = (deviation * sqrt(freedom / chi2.ppf(p, freedom)) for p in (0.975, 0.025))
    assert f"all nine, {deviation:.2f} points (pooled, 6 degrees of freedom" in README_WORDS
    assert f"95 % interval {low:.2f} to {high:.2f})" in README_WORDS


def test_readme_has_the_scatter_at_which_single_trainings_would_decide():
    """The 90 % interval of the difference reaches 1.645 sqrt(2) standard deviations to each side of it."""
    results = {
        result["dynamic"]: result for result in read("stl10-paper", "results.csv") if result["published_accuracy"]
    }
    second_order, hamiltonian = (
        (abs(100 * float(results[dynamic]["difference"])) - 1.5) / (1.645 * sqrt(2))
        for dynamic in ("second_order", "hamiltonian")
    )
    assert f"any standard deviation below {second_order:.2f} points" in README_WORDS
    assert f"(Hamiltonian) only from one below {hamiltonian:.2f}." in README_WORDS


def test_three_seeds_reach_reproduced_in_fewer_than_half_of_all_cases():
    """README says so for three trainings that scatter like ours and do not differ from the published one on average."""
    random = np.random.default_rng(0)
    published, ours = random.normal(0, 0.43, 20_000), random.normal(0, 0.43, (20_000, 3))
    half = t.ppf(0.95, 2) * ours.std(axis=1, ddof=1) * sqrt(1 + 1 / 3)
    reproduced = abs(ours.mean(axis=1) - published) + half < 1.5
    assert 0.4 < reproduced.mean() < 0.48


def test_claims_compare_the_means_of_repeated_trainings():
    """Row 15: Hamiltonian minus parabolic and second-order, by the pooled standard deviation of the repeated runs."""
    repeats = load("repeats")
    sets = {(runs[0].dynamic, runs[0].config.seed, runs[0].config.variation): runs for runs in repeats.repeated()}
    accuracies = {name: repeats.accuracies(runs) for name, runs in sets.items()}
    deviation, freedom = repeats.pooled([*accuracies.values()])
    parabolic, hamiltonian, second_order = (
        accuracies[name, 0, ""] for name in ("parabolic", "hamiltonian", "second_order")
    )
    words = CLAIMS.read_text()
    several = (f"{mean(values):.2f} % ({len(values)})" for values in (parabolic, hamiltonian, second_order))
    assert "means of all published trainings are {}, {} and {}".format(*several) in words
    for others, before in ((parabolic, "ahead by "), (second_order, "and ")):
        half = t.ppf(0.975, freedom) * deviation * sqrt(1 / len(hamiltonian) + 1 / len(others))
        apart = mean(hamiltonian) - mean(others)
        interval = f"{apart - half:.1f} to {apart + half:.1f})"
        assert re.search(rf"{before}{apart:.1f} (points )?\((95 % interval )?{re.escape(interval)}", words)


def numbers(study: str) -> Iterator[str]:
    """The accuracies, intervals, correlations and p-values of a published study, as the claims write them."""
    for result in read(study, "results.csv"):
        for key, value in result.items():
            if value and key.startswith(
                ("test_accuracy", "train_accuracy", "interval_of", "standard_deviation", "difference")
            ):
                yield f"{abs(100 * float(value)):.2f}"
    yield from (percent(run, "test_accuracy") for run in read(study, "runs.csv"))
    for result in read(study, "comparisons.csv"):
        for key, value in result.items():
            if value and key.startswith(("error_correlation", "p")):
                yield f"{float(value):.2f}"
            if value and key.startswith("difference"):
                yield f"{abs(100 * float(value)):.2f}"
        if (n := int(result["n"])) > 1:  # the 90 % interval of the mean paired difference, by which the verdicts go
            half = t.ppf(0.95, n - 1) * float(result["standard_deviation"]) / sqrt(n)
            yield from (f"{abs(100 * (float(result['difference']) + end)):.2f}" for end in (-half, half))


def test_claims_quote_published_numbers_only():
    """In cells that refer to studies every number of two decimals is one of these studies."""
    cells = [line.split(" | ")[3] for line in CLAIMS.read_text().splitlines() if "](results/stl10-" in line]
    assert cells
    for cell in cells:
        studies = set(re.findall(r"\]\(results/([\w-]+)/", cell)) - {"analysis"}
        known = {number for study in studies for number in numbers(study)}
        if "](results/README.md#repeated-runs)" in cell:
            known |= set(re.findall(r"\d+\.\d\d\b", (RESULTS / "README.md").read_text()))
            cell = re.sub(r"means of all published trainings are .*? that with", "", cell)  # tested above
        assert set(re.findall(r"\d+\.\d\d\b", cell)) <= known, cell


if __name__ == "__main__":
    before, _, after = quoted()
    README.write_text(before + "\n".join(rows()) + after)
