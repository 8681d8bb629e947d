"""The published analyses of the trained networks, and the numbers that docs/analysis.md and restrictions.md quote of them."""

import csv
import json
import re
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "results" / "analysis"
PAGE = (DOCS / "analysis.md").read_text()
RESTRICTIONS = (DOCS / "restrictions.md").read_text()
NETWORKS = {"parabolic": "parabolic", "hamiltonian": "Hamiltonian", "second_order": "second-order"}
INITIAL = ", initial weights"


def rows(folder, table, *, initial=False, **chosen):
    """Rows of a published table about the trained network of this folder, or about its initial weights."""
    name = NETWORKS[folder] + INITIAL * initial
    return [row for row in everything(folder, table) if row["network"] == name and matches(row, chosen)]


def everything(folder, table, **chosen):
    with (FOLDER / folder / f"{table}.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if matches(row, chosen)]


def matches(row, chosen):
    return all(row[key].startswith(value) for key, value in chosen.items())


def column(table, name):
    return [float(row[name]) for row in table]


def by_step(table, name, of):
    """One value for each step of a unit: ``of`` the values of the images."""
    table = sorted(table, key=lambda row: (row["unit"], row["step"]))
    return [of(column(list(each), name)) for _, each in groupby(table, lambda row: (row["unit"], row["step"]))]


def sentences(folder="*"):
    """All sentences of the published analyses, or of those in one folder."""
    found = (json.loads(path.read_text()) for path in sorted(FOLDER.glob(f"{folder}/*.json")))
    return [each for result in found for each in result.get("sentences", [])]


def section(heading):
    """The prose of a section of docs/analysis.md."""
    return prose(PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0])


def prose(text):
    """A part of a page without tables, pictures, links' targets and code."""
    text = "\n".join(line for line in text.split("\n") if not line.startswith(("|", "!", "<!--")))
    return re.sub(r"\]\([^)]*\)|`[^`]*`", " ", text)


def decimals(text):
    """The numbers with a decimal point in a text, as they are written."""
    return set(re.findall(r"(?<![\w.])\d+\.\d+(?:e-?\d+)?(?![\w.]*\d)", text))
