"""The recorded command is one that was typed."""

import sys

import pytest

from pdenet_repro.runs import provenance


@pytest.mark.parametrize(
    ("started", "found"),
    [
        (["python3", "-m", "pdenet_repro", "seed=1"], "python -m pdenet_repro seed=1"),
        (["python3", "-X", "dev", "-m", "pdenet_repro", "seed=1"], "python -m pdenet_repro seed=1"),
        (["python3", "mine.py", "a b"], "python mine.py 'a b'"),
        (["python3", "-m", "ipykernel_launcher", "-f", "kernel.json"], "python -m ipykernel_launcher -f kernel.json"),
    ],
)
def test_the_command_is_what_was_typed(monkeypatch, started, found):
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", ["the program", *[word for word in started if "=" in word]])
    assert provenance.command() == found
