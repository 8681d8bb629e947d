"""The published analyses of the trained networks, and how docs/analysis.md writes numbers of them."""

import csv
import json
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGE = " ".join((DOCS / "analysis.md").read_text().split())
INITIAL = ", initial weights"
NETWORKS = ("parabolic", "hamiltonian")


def rows(name, **chosen):
    """Of a published table ``folder/name``; columns may be compared with a string, or with a function of it."""
    with (DOCS / "results" / "analysis" / f"{name}.csv").open(newline="") as file:
        return [
            row
            for row in csv.DictReader(file)
            if all(value(row[key]) if callable(value) else row[key] == value for key, value in chosen.items())
        ]


def trained(name):
    return not name.endswith(INITIAL)


def initial(name):
    return name.endswith(INITIAL)


def column(table, name):
    return [float(row[name]) for row in table]


def by_step(table, name, of):
    """One value for each step of a unit: ``of`` the values of the images."""
    table = sorted(table, key=lambda row: (row["unit"], row["step"]))
    return {
        place: of(column(of_step, name)) for place, of_step in groupby(table, lambda row: (row["unit"], row["step"]))
    }


def ends(values, form=".2g"):
    """The least and the largest value, as the page writes them."""
    return f"{min(values):{form}} to {max(values):{form}}"


def listed(values, form):
    *most, last = (f"{value:{form}}" for value in values)
    return f"{', '.join(most)} and {last}"


def says(*sentences):
    missing = [sentence for sentence in sentences if sentence not in PAGE]
    assert missing == []


def sentence(name, start):
    """The one published sentence that begins so; some numbers are in no table, as each is of one image or of all pairs."""
    with (DOCS / "results" / "analysis" / f"{name}.json").open() as file:
        (found,) = [each for each in json.load(file)["sentences"] if each.startswith(start)]
    return found


def numbers(text, before, after):
    """The numbers, separated by commas, in a text between two others."""
    return [float(value) for value in text.split(before)[1].split(after)[0].split(", ")]
