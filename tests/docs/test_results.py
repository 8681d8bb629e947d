"""The accuracies that README and docs quote are those of docs/results, row by row.

``PYTHONPATH=src python tests/docs/test_results.py`` writes README's table anew, after runs were published.
"""

import csv
import re
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import mean

from scipy.stats import chi2

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
    assert f"by {deviation:.2f} points (pooled standard deviation, 6 degrees of freedom" in README_WORDS
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
    assert f"standard deviation above {second_order:.2f} to doubt" in README_WORDS
    assert f"need one below {hamiltonian:.2f} (Hamiltonian)" in README_WORDS


def numbers(study: str) -> Iterator[str]:
    """The accuracies, intervals, correlations and p-values of a published study, as the claims write them."""
    for result in read(study, "results.csv"):
        for key, value in result.items():
            if value and key.startswith(
                ("test_accuracy", "train_accuracy", "interval_of", "standard_deviation", "difference")
            ):
                yield f"{abs(100 * float(value)):.2f}"
    for result in read(study, "comparisons.csv"):
        for key, value in result.items():
            if value and key.startswith(("error_correlation", "p_holm")):
                yield f"{float(value):.2f}"
            if value and key.startswith("difference"):
                yield f"{abs(100 * float(value)):.2f}"


def test_claims_quote_published_numbers_only():
    """In cells that refer to studies every number of two decimals is one of these studies."""
    cells = [line.split(" | ")[3] for line in CLAIMS.read_text().splitlines() if "](results/stl10-" in line]
    assert cells
    for cell in cells:
        studies = set(re.findall(r"\]\(results/([\w-]+)/", cell)) - {"analysis"}
        known = {number for study in studies for number in numbers(study)}
        if "](results/README.md#repeated-runs)" in cell:
            known |= set(re.findall(r"\d+\.\d\d\b", (RESULTS / "README.md").read_text()))
        assert set(re.findall(r"\d+\.\d\d\b", cell)) <= known, cell


if __name__ == "__main__":
    before, _, after = quoted()
    README.write_text(before + "\n".join(rows()) + after)
