"""The accuracies that README quotes are those of docs/results, row by row.

``PYTHONPATH=src python tests/docs/test_results.py`` writes README's table anew, after runs were published.
"""

import csv
import re
from pathlib import Path

from pdenet_repro.config.dynamics import facts_of

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "docs" / "claims.md"
README = ROOT / "README.md"
HEADING = """| dynamic | images | published % | ours, test % | 95 % of this network | difference | verdict | training % |
|---|---:|---:|---:|---:|---:|---|---:|
"""
RESULTS = ROOT / "docs" / "results" / "stl10-paper" / "results.csv"


def row(result: dict[str, str]) -> str:
    """The line of README's table that says what a row of ``results.csv`` says."""
    low, high = (100 * float(result[f"interval_of_this_network_{end}"]) for end in ("low", "high"))
    published = f"{100 * float(result['published_accuracy']):.2f}" if result["published_accuracy"] else ""
    difference = f"{100 * float(result['difference']):+.2f}" if result["difference"] else ""
    cells = [
        facts_of(result["dynamic"]).label,
        f"{int(result['images']):,}",
        published,
        f"**{100 * float(result['test_accuracy']):.2f}**",
        f"{low:.2f} to {high:.2f}",
        difference,
        result["verdict"],
        f"{100 * float(result['train_accuracy']):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def rows() -> list[str]:
    with RESULTS.open() as file:
        return [row(result) for result in csv.DictReader(file)]


def quoted() -> tuple[str, str, str]:
    """README up to the rows of its table, the rows, and what follows them."""
    before, heading, rest = README.read_text().partition(HEADING)
    table, after = rest.split("\n\n", 1)
    return before + heading, table, "\n\n" + after


def test_readme_has_every_published_accuracy_and_no_other():
    assert quoted()[1].splitlines() == rows()


def test_claims_quote_published_accuracies_only():
    """In cells that refer to results every number of two decimals is an accuracy, an interval's end or a correlation."""
    with RESULTS.open() as file:
        known = {
            f"{100 * float(value):.2f}"
            for result in csv.DictReader(file)
            for key, value in result.items()
            if value and key.startswith(("test_accuracy", "train_accuracy", "interval_of"))
        }
    with RESULTS.with_name("comparisons.csv").open() as file:
        known |= {f"{float(result['error_correlation']):.2f}" for result in csv.DictReader(file)}
    cells = [line.split(" | ")[3] for line in CLAIMS.read_text().splitlines() if "](results/stl10-paper" in line]
    assert cells
    assert {number for cell in cells for number in re.findall(r"\d+\.\d\d\b", cell)} <= known


if __name__ == "__main__":
    before, _, after = quoted()
    README.write_text(before + "\n".join(rows()) + after)
