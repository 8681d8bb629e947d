"""Runs that were planned and gave no result are named whenever a report is made, with the reason."""

import json

import pytest
from made import read_csv

from pdenet_repro.cli.report import main
from pdenet_repro.report.runs import collect


def entry(dynamic, fraction, seed):
    folder = f"{dynamic}/fraction-{fraction:.2f}/seed-{seed}"
    configuration = {"dynamic": dynamic, "data.fraction": fraction, "seed": seed}
    return {"folder": folder, "name": f"{dynamic}, fraction {fraction:g}, seed {seed}", "configuration": configuration}


def plan(study, *entries):
    (study / "plan.json").write_text(
        json.dumps({"command": "python -m pdenet_repro -m study=mine", "runs": list(entries)})
    )


def test_a_report_made_again_still_names_what_never_began_and_why_a_run_failed(study, maker, capsys):
    failed = maker("dynamic=resnet", "data.fraction=0.1", right=[], finished=False)
    (failed / "failure.json").write_text(json.dumps({"reason": "the loss is not finite", "exit_code": 3}))
    plan(study, entry("parabolic", 0.1, 0), entry("parabolic", 0.1, 2), entry("resnet", 0.1, 0))
    for _ in range(2):
        assert main([str(study)]) == 0
        err = capsys.readouterr().err
        assert "missing: parabolic, fraction 0.1, seed 2: planned, and not begun" in err
        assert "failed: the loss is not finite" in err
        assert err.count("\n") == 2
    for name in ("report.html", "results.md"):
        text = (study / name).read_text()
        assert "Missing: 2 runs" in text
        assert "python -m pdenet_repro -m study=mine" in text
    assert "2 runs missing" in (study / "results.md").read_text()


def test_a_run_that_was_moved_is_not_missing(study):
    (study / "parabolic" / "fraction-0.05" / "seed-0").rename(study / "parabolic" / "fraction-0.05" / "moved")
    plan(study, entry("parabolic", 0.05, 0))
    assert collect(study)[study].missing == []


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": [1]}', '{"runs": [{"name": "x"}]}', '{"runs": null}'])
def test_a_damaged_plan_is_named_and_the_runs_reported(study, capsys, content):
    (study / "plan.json").write_text(content)
    assert main([str(study)]) == 2
    assert f"{study / 'plan.json'} is damaged" in capsys.readouterr().err
    assert len(read_csv(study / "runs.csv")) == 9


def test_a_damaged_note_of_a_failure(study, maker):
    failed = maker("dynamic=resnet", right=[], finished=False)
    (failed / "failure.json").write_text("[")
    (missing,) = collect(study)[study].missing
    assert missing.reason == "failed for an unknown reason: its failure.json is damaged"
