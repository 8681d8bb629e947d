"""The report's part on analyses, from the files they leave; damaged and missing ones."""

import json

import pytest
from matplotlib.figure import Figure

from pdenet_repro.analysis.result import Picture, Result, write
from pdenet_repro.cli.report import main
from pdenet_repro.report import analyses

ORIGIN = {
    "meaning": "what it is about",
    "command": "python -m pdenet_repro.analysis <kind>",
    "git_commit": "abc123",
    "versions": {"torch": "2.15.0"},
    "networks": [{"name": "parabolic", "folder": "made/parabolic"}],
}


def leave(study, *kinds):
    figure = Figure(figsize=(8, 4))
    figure.subplots().plot([1, 2])
    for kind in kinds:
        result = Result({kind: Picture(figure, "A line", "It rises.")}, {kind: [{"x": 1}]}, [f"Found by {kind}."])
        write(result, kind, study / "analysis", **ORIGIN)


def test_what_was_written_is_read_again(tmp_path):
    leave(tmp_path, "energy", "spectrum")
    (first, second), complaints = analyses.read(tmp_path)
    assert complaints == []
    assert (first.kind, second.kind) == ("energy", "spectrum")
    assert (first.meaning, first.sentences, first.tables) == (
        "what it is about",
        ["Found by energy."],
        ["analysis/energy.csv"],
    )
    (shown,) = first.pictures
    png = (tmp_path / "analysis" / "energy.png").read_bytes()
    assert (shown.heading, shown.caption, shown.png) == ("A line", "It rises.", png)
    assert first.origin["networks"] == "parabolic (made/parabolic)"


def test_none_is_nothing_to_tell(tmp_path):
    assert analyses.read(tmp_path) == ([], [])


DAMAGE = {
    "cut JSON": lambda folder: (folder / "energy.json").write_text('{"kind": '),
    "bytes": lambda folder: (folder / "energy.json").write_bytes(b"\xff\xfe"),
    "list": lambda folder: (folder / "energy.json").write_text("[1]"),
    "no sentences": lambda folder: (folder / "energy.json").write_text(
        json.dumps({key: value for key, value in json.loads((folder / "energy.json").read_text()).items()
                    if key != "sentences"})
    ),
    "no picture": lambda folder: (folder / "energy.png").unlink(),
    "cut picture": lambda folder: (folder / "energy.png").write_bytes((folder / "energy.png").read_bytes()[:500]),
    "elsewhere": lambda folder: (folder / "energy.json").write_text(
        (folder / "energy.json").read_text().replace('"energy": {', '"../energy": {')
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_named_and_the_others_are_shown(tmp_path, damage):
    leave(tmp_path, "energy", "spectrum")
    DAMAGE[damage](tmp_path / "analysis")
    found, complaints = analyses.read(tmp_path)
    assert [each.kind for each in found] == ["spectrum"]
    (complaint,) = complaints
    assert "energy" in complaint
    assert complaint.endswith("repeat the analysis")
    assert "\n" not in complaint


def test_the_report_has_them_and_says_what_is_damaged(maker, tmp_path, capsys):
    maker("dynamic=parabolic", right=range(100))
    study = tmp_path / "made"
    leave(study, "energy", "spectrum")
    (study / "analysis" / "energy.png").unlink()
    assert main([str(study)]) == 2
    assert capsys.readouterr().err.startswith(f"damaged: {study / 'analysis' / 'energy.png'} cannot be read")
    page = (study / "report.html").read_text()
    assert "energy.png cannot be read" in page
    assert "Spectrum: what it is about" in page
    assert "Found by spectrum." in page
    assert "python -m pdenet_repro.analysis &lt;kind&gt;" in page
    assert "abc123" in page
    assert "Results" in page
