"""Runs against a published study: reproduced within the tolerance, not reproduced, without a reference."""

import shutil

import pytest
from made import Maker

from pdenet_repro.cli.report import main
from pdenet_repro.report.reference import TOLERANCE

DYNAMICS = ("parabolic", "hamiltonian", "second_order")


@pytest.fixture
def reference(tmp_path, maker):
    """Three dynamics with 90 of 200 test images right, and the same on more images, published."""
    for dynamic in DYNAMICS:
        maker(f"dynamic={dynamic}", "data.fraction=0.1", right=range(90), images=100)
        maker(f"dynamic={dynamic}", right=range(150), images=1000)
    target = tmp_path / "docs" / "results" / "made"
    assert main([str(tmp_path / "made"), "--publish", str(target)]) == 0
    return target


def again(tmp_path, *right, words=(), **options):
    """The three runs on a tenth of the images once more, with so many test images right."""
    maker = Maker(tmp_path / "again")
    for dynamic, count in zip(DYNAMICS, right, strict=True):
        maker(f"dynamic={dynamic}", "data.fraction=0.1", *words, right=range(count), images=100, **options)
    return str(tmp_path / "again" / "made")


def test_runs_within_the_tolerance_are_reproduced(reference, tmp_path, capsys):
    within = int(200 * TOLERANCE)
    study = again(tmp_path, 90 - within, 90, 90 + within)
    capsys.readouterr()
    assert main([study, "--compare", str(reference.parent)]) == 0  # it finds the study below docs/results
    rows = [line for line in capsys.readouterr().out.splitlines() if "reproduced" in line]
    assert [row.split()[0] for row in rows[:3]] == ["parabolic", "Hamiltonian", "second-order"]
    assert all("not reproduced" not in row for row in rows)
    assert "45.00" in rows[0]
    assert f"-{100 * TOLERANCE:.2f}" in rows[0]
    assert rows[0].endswith(str(reference / "parabolic" / "fraction-0.10" / "seed-0"))


def test_a_run_beyond_it_is_not_and_the_exit_code_says_so(reference, tmp_path, capsys):
    study = again(tmp_path, 90, 90, 90 + int(200 * TOLERANCE) + 1)
    capsys.readouterr()
    assert main([study, "--compare", str(reference)]) == 1
    rows = capsys.readouterr().out.splitlines()[1:4]
    assert ["not reproduced" in row for row in rows] == [False, False, True]


def test_other_training_images_are_no_reproduction(reference, tmp_path, capsys):
    study = again(tmp_path, 90, 90, 90, extra={"subset_sha256": "cd" * 32})
    assert main([study, "--compare", str(reference)]) == 1
    assert capsys.readouterr().out.count("not reproduced: it was trained on other images") == 3


def test_a_run_that_is_missing_or_has_no_reference_is_named(reference, tmp_path, capsys):
    study = again(tmp_path, 90, 90, 90)
    Maker(tmp_path / "again")("dynamic=resnet", "data.fraction=0.1", right=[], finished=False)
    assert main([study, "--compare", str(reference)]) == 1
    assert "not finished: 1 of 3 epochs are done" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "again" / "made" / "resnet")
    Maker(tmp_path / "again")("dynamic=resnet", "data.fraction=0.1", right=range(90))
    assert main([study, "--compare", str(reference)]) == 1
    assert "no reference" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["no folder", "no runs", "other settings", "other images"])
def test_a_missing_reference_is_one_sentence(reference, tmp_path, capsys, how):
    study = again(
        tmp_path, 90, 90, 90,
        words=("optimizer.momentum=0.5",) if how == "other settings" else (),
        drawn="2" if how == "other images" else "1",
    )  # fmt: skip
    empty = tmp_path / "empty"
    empty.mkdir()
    where = {"no folder": tmp_path / "nowhere", "no runs": empty}.get(how, reference)
    capsys.readouterr()
    assert main([study, "--compare", str(where)]) == 2
    error = capsys.readouterr().err
    assert str(where) in error
    assert error.count("\n") == 1
    assert main([study, "--compare", str(reference), "--output", "x"]) == 2
