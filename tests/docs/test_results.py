"""The accuracies that README and docs quote are those of docs/results, row by row.

``PYTHONPATH=src python tests/docs/test_results.py`` writes README's table anew, after runs were published.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from pdenet_repro.config.dynamics import facts_of

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "docs" / "claims.md"
README = ROOT / "README.md"
HEADING = """| recipe | dynamic | images | published % | ours, test % | 95 % of this network | difference | verdict | training % |
|---|---|---:|---:|---:|---:|---:|---|---:|
"""
RESULTS = ROOT / "docs" / "results"
RECIPES = {"authors": "stl10-authors", "paper": "stl10-paper"}  # in the order of README's table


def read(study: str, table: str) -> list[dict[str, str]]:
    with (RESULTS / study / table).open(newline="") as file:
        return list(csv.DictReader(file))


def row(recipe: str, result: dict[str, str]) -> str:
    """The line of README's table that says what a row of ``results.csv`` says."""
    ends = [result[f"interval_of_this_network_{end}"] for end in ("low", "high")]
    published = f"{100 * float(result['published_accuracy']):.2f}" if result["published_accuracy"] else ""
    difference = f"{100 * float(result['difference']):+.2f}" if result["difference"] else ""
    cells = [
        f"`{recipe}`",
        facts_of(result["dynamic"]).label,
        f"{int(result['images']):,}",
        published,
        f"**{100 * float(result['test_accuracy']):.2f}**",
        " to ".join(f"{100 * float(end):.2f}" for end in ends if end),
        difference,
        result["verdict"],
        f"{100 * float(result['train_accuracy']):.1f}",
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


def numbers(study: str) -> Iterator[str]:
    """The accuracies, intervals, correlations and p-values of a published study, as the claims write them."""
    for result in read(study, "results.csv"):
        for key, value in result.items():
            if value and key.startswith(("test_accuracy", "train_accuracy", "interval_of")):
                yield f"{100 * float(value):.2f}"
    for result in read(study, "comparisons.csv"):
        for key, value in result.items():
            if value and key.startswith(("error_correlation", "p_holm")):
                yield f"{float(value):.2f}"


def test_claims_quote_published_numbers_only():
    """In cells that refer to studies every number of two decimals is one of these studies."""
    cells = [line.split(" | ")[3] for line in CLAIMS.read_text().splitlines() if "](results/stl10-" in line]
    assert cells
    for cell in cells:
        studies = set(re.findall(r"\]\(results/([\w-]+)/", cell)) - {"analysis"}
        known = {number for study in studies for number in numbers(study)}
        assert set(re.findall(r"\d+\.\d\d\b", cell)) <= known, cell


if __name__ == "__main__":
    before, _, after = quoted()
    README.write_text(before + "\n".join(rows()) + after)
