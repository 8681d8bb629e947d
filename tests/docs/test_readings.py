"""The page of readings: its keys compose, its variations are those of the studies, its effects those that are published."""

import re
from pathlib import Path

import pytest
from project_scripts import load

from pdenet_repro import compose
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.schema import STATISTICS, all_settings, value_of

ROOT = Path(__file__).parents[2]
script = load("readings_effects")

PAGE = (ROOT / "docs" / "readings.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.split("\n") if line.count(" | ") == 6][1:]
WORD = re.compile(r"`((?:[a-z]\w*\.)?[a-z]\w*=[^` ]+(?: [a-z]\w*\.\w+=[^` ]+)*)`")


def test_the_table_is_read():
    assert len(ROWS) > 15
    assert ROWS[0][0] == "norm inside the units"


def test_the_effects_are_those_that_are_published():
    assert script.with_effects(PAGE, script.published()) == PAGE, (
        "renew the column with: python scripts/readings_effects.py"
    )


def test_an_effect_is_written_with_its_interval_and_a_link():
    row = "| a | b | c | d | e | `x-1`, `x-2` | not run yet |"
    known = {"variation": "x-1", "difference": "0.0123", "difference_95_low": "-0.001", "difference_95_high": "0.02",
             "dynamic": "hamiltonian", "images": "500", "about": "these two networks"}  # fmt: skip
    after = script.with_effects(f"{row}\nother", [known, {**known, "variation": "x-3"}])
    assert "[x-1: +1.23 (-0.10 to +2.00; hamiltonian, 500 images, these two networks); x-2: not run yet](" in after
    assert after.endswith(") |\nother")
    assert script.with_effects(after, []) == f"{row}\nother"


def test_every_variation_belongs_to_a_study():
    planned = {
        config.variation for name in ("readings", "readings_half") for config in compose_sweep([f"study={name}"])
    }
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[5])}
    assert named == planned - {""} | {
        f"statistics-{kind}" for kind in STATISTICS if kind != compose().evaluation.statistics
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_default_is_what_recipe_paper_takes_and_the_other_side_is_another(row):
    paper, keys = compose(), [key for key, _ in all_settings()]
    for words in WORD.findall(row[3]):
        chosen = compose(*words.split())
        assert [value_of(chosen, key) for key in keys] == [value_of(paper, key) for key in keys], words
    for words in WORD.findall(row[4]):
        if "tf32" not in words:
            other = compose("dynamic=hamiltonian", *words.split())
            assert other != compose("dynamic=hamiltonian"), words
