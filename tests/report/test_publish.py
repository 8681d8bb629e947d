"""A published study: small, whole, and enough to draw everything again."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from made import NAMES, npz, read_csv

from pdenet_repro.cli.report import main
from pdenet_repro.report.runs import collect
from pdenet_repro.runs.folder import RunFolder, load_config, load_summary, verify

TABLES = ("results.csv", "comparisons.csv", "per_class.csv", "figure2_left.csv", "figure2_right.csv", "figure3.csv")


@pytest.fixture
def published(study, maker, tmp_path):
    maker("dynamic=resnet", right=[], finished=False)
    target = tmp_path / "docs" / "results" / "made"
    assert main([str(study), "--publish", str(target)]) == 0
    return target


def give(folder, probabilities):
    """Put other class probabilities into a made run."""
    labels = np.arange(len(probabilities)) % probabilities.shape[1]
    content = npz(probabilities=probabilities, labels=labels, class_names=np.array(NAMES))
    (folder / "predictions.npz").write_bytes(content)
    summary = load_summary(folder)
    summary["files_sha256"]["predictions.npz"] = hashlib.sha256(content).hexdigest()
    del summary["summary_sha256"]
    RunFolder(load_config(folder)).finish(summary)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_everything_is_drawn_again_from_the_published_folders_alone(study, published, tmp_path, capsys):
    assert main([str(study), "--output", str(tmp_path / "own")]) == 0
    own, before = contents(tmp_path / "own"), contents(published)
    assert own == before
    figure1 = (published / "figure1.csv").read_text()
    shutil.rmtree(study)
    for name in (*TABLES, "figure1.csv"):
        (published / name).unlink()
    capsys.readouterr()
    assert main([str(published.parent)]) == 0
    assert contents(published) == before
    assert (published / "figure1.csv").read_text() == figure1
    assert "missing: resnet/fraction-1.00/seed-0: not finished: 1 of 3 epochs are done" in capsys.readouterr().err


def test_predictions_are_exact_and_probabilities_nearly(study, published):
    for run in collect(published)[published].runs:
        place = run.folder.relative_to(published)
        (original,) = (each for each in collect(study)[study].runs if each.folder == study / place)
        assert (run.predicted == original.predicted).all()
        assert (run.labels == original.labels).all()
        assert (run.confusion == original.confusion).all()
        assert run.probabilities == pytest.approx(original.probabilities, abs=5e-4)
        assert run.result_id == original.result_id


def test_a_tie_after_rounding_does_not_change_a_prediction(maker, tmp_path):
    folder = maker("dynamic=parabolic", right=range(90))
    probabilities = np.full((200, 10), 0.1, np.float32)
    probabilities[:, 7] += 1e-6  # nothing in half precision
    give(folder, probabilities)
    target = tmp_path / "public"
    assert main([str(tmp_path / "made"), "--publish", str(target)]) == 0
    (run,) = collect(target)[target].runs
    assert run.probabilities.astype(np.float16)[0, 7] == run.probabilities.astype(np.float16)[0, 0]
    assert (run.predicted == 7).all()


def test_the_summary_lists_what_is_there_and_what_was_left_out(study, published):
    folder = published / "parabolic" / "fraction-0.05" / "seed-0"
    summary, original = load_summary(folder), load_summary(study / folder.relative_to(published))
    verify(folder, summary)
    there = {path.name for path in folder.iterdir()}
    assert there == {"config.yaml", "command.txt", "metrics.csv", "timings.csv", "predictions.npz", "summary.json"}
    left_out = summary["published"]["left_out_sha256"]
    gone = ("weights.safetensors", "predictions.npz", "examples.npz")
    assert left_out == {name: original["files_sha256"][name] for name in gone}
    assert summary["published"]["summary_sha256"] == original["summary_sha256"]
    assert {name: summary[name] for name in ("test_accuracy", "command")} == {
        name: original[name] for name in ("test_accuracy", "command")
    }
    (folder / "predictions.npz").write_bytes(b"cut")
    assert main([str(published)]) == 2  # named, and the others are reported


def test_publishing_again_adds_a_run_and_fills_its_gap(study, published, maker):
    shutil.rmtree(study / "resnet")
    maker("dynamic=resnet", right=range(30))
    assert main([str(study), "--publish", str(published)]) == 0
    assert "resnet" in {row["dynamic"] for row in read_csv(published / "runs.csv")}
    assert "Missing" not in (published / "results.md").read_text()
    before = (published / "parabolic" / "fraction-0.05" / "seed-0" / "summary.json").read_text()
    assert main([str(published), "--publish", str(published)]) == 0  # what is published already stays as it is
    assert (
        json.loads(before)["published"]["left_out_sha256"]
        == load_summary(published / "parabolic" / "fraction-0.05" / "seed-0")["published"]["left_out_sha256"]
    )


def test_runs_with_weights_are_never_overwritten(study, capsys):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    assert main([str(study), "--publish", str(study)]) == 2
    assert "holds a run with its weights" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in before.items())


def test_two_runs_with_one_place_and_other_refusals(study, maker, tmp_path, capsys):
    maker("dynamic=parabolic", "data.fraction=0.05", "optimizer.momentum=0.5", "name=second", right=range(9))
    both = [str(study), str(tmp_path / "second")]
    assert main([*both, "--publish", str(tmp_path / "public")]) == 2
    assert "would share parabolic/fraction-0.05/seed-0" in capsys.readouterr().err
    assert main([str(study), "--publish", str(tmp_path / "public"), "--output", "x"]) == 2
    assert "--output x: must not be given with --publish" in capsys.readouterr().err


@pytest.mark.pictures
def test_thirty_runs_of_eight_thousand_images_stay_below_fifteen_megabytes(maker, tmp_path):
    """By the size of one run whose probabilities are as hard to compress as can be, and of the study's own files."""
    folder = maker("dynamic=parabolic", right=range(4000), tests=8000)
    give(folder, np.random.default_rng(0).dirichlet(np.ones(10), 8000).astype(np.float32))
    target = tmp_path / "public"
    assert main([str(tmp_path / "made"), "--publish", str(target)]) == 0
    size = {path: path.stat().st_size for path in target.rglob("*") if path.is_file()}
    of_run = sum(bytes_ for path, bytes_ in size.items() if "seed-0" in path.parts)
    assert 30 * of_run + 4 * (sum(size.values()) - of_run) < 15e6


def test_a_published_run_keeps_the_copy_of_a_user_s_dynamic(maker, tmp_path):
    file = tmp_path / "kept.py"
    file.write_text('class Kept(Dynamic):\n    facts = Facts("kept in a file", marker="X")\n')
    run = maker(f"dynamic={file}:Kept", right=range(90))
    target = tmp_path / "published"
    assert main([str(tmp_path / "made"), "--publish", str(target)]) == 0
    shutil.rmtree(tmp_path / "made")
    file.unlink()
    (found,) = collect(target)[target].runs
    assert (found.folder / "dynamic.py").is_file()
    assert found.folder.name == run.name
    assert "kept in a file" in (target / "results.md").read_text()
    verify(found.folder, load_summary(found.folder))
