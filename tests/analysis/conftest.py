"""Hand-made runs, as the report's tests have them."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("made", Path(__file__).parents[1] / "report" / "made.py")
made = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made)


@pytest.fixture
def maker(tmp_path):
    return made.Maker(tmp_path)
