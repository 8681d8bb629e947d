"""A published study: small, whole, and enough to draw everything again."""

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from made import NAMES, Maker, npz, read_csv

from pdenet_repro.cli.report import main
from pdenet_repro.report import publish as module
from pdenet_repro.report.runs import collect
from pdenet_repro.runs import provenance
from pdenet_repro.runs.folder import RunFolder, config_digest, load_config, load_summary, verify

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
    gone = ("weights.safetensors", "predictions.npz", "examples.npz", "config.yaml")  # the last has absolute paths
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


@pytest.fixture
def of_the_machine(tmp_path, monkeypatch):
    """A study with a user's dynamic and a failed run, whose folders and commands have absolute paths with blanks."""
    root = tmp_path / "it's my" / "outputs"
    file = tmp_path / "it's my" / "kept.py"
    file.parent.mkdir()
    file.write_text("class Kept(Dynamic):\n    pass\n")
    typed = "'" + str(file).replace("'", r"\'") + ":Kept'"
    words = ("data.root=" + str(root.parent / "images"), f"output_root={root}", f"dynamic=second_order,{typed}")
    command = shlex.join(["python", "-m", "pdenet_repro", "-m", *words])
    for dynamic in ("second_order", typed):
        folder = Maker(root)(
            f"dynamic={dynamic}",
            words[0],
            right=range(90),
            extra={"command": command, "attempts": [{"command": command}]},
        )
        (folder / "command.txt").write_text(command + "\n")
    failed = Maker(root)("dynamic=resnet", right=[], finished=False)
    (failed / "failure.json").write_text(json.dumps({"reason": f"cannot write '{failed}/x': no space in {tmp_path}"}))
    plan = {"folder": "resnet/fraction-1.00/seed-1", "name": "resnet, seed 1", "configuration": {"dynamic": "resnet"}}
    (root / "made" / "plan.json").write_text(json.dumps({"command": command, "runs": [plan]}))
    monkeypatch.setattr(
        provenance,
        "command",
        lambda *_: shlex.join(["report", str(root / "made"), "--publish", str(tmp_path / "public")]),
    )
    return root / "made"


def places(folder, *names):
    """The files below a folder that name one of the folders ``names``."""
    return [path for path in folder.rglob("*") if path.is_file() and any(n in path.read_bytes() for n in names)]


def test_no_absolute_path_of_the_machine_is_published(of_the_machine, tmp_path, capsys):
    named = str(tmp_path.parent).encode(), b"it's my", b"""it'"'"'s my"""
    assert places(of_the_machine, *named)
    target = tmp_path / "public"
    assert main([str(of_the_machine), "--publish", str(target)]) == 0
    assert places(target, *named) == []
    (origin,) = (line for line in (target / "results.md").read_text().splitlines() if line.startswith("- report: "))
    report = ["report", "FOLDER/made", "--publish", "FOLDER/public"]
    assert shlex.split(origin.partition("report: ")[2].partition(", commit ")[0]) == report
    assert {row["folder"] for row in read_csv(target / "runs.csv")} == {
        f"FOLDER/public/{dynamic}/fraction-1.00/seed-0" for dynamic in ("second_order", "Kept")
    }
    for run in collect(target)[target].runs:
        typed = (run.folder / "command.txt").read_text()
        assert shlex.split(typed)[4:] == [
            "data.root=FOLDER/images", "output_root=FOLDER/outputs", "dynamic=second_order,'FOLDER/kept.py:Kept'",
        ]  # fmt: skip
        assert run.summary["command"] + "\n" == run.summary["attempts"][0]["command"] + "\n" == typed
        assert (run.config.data.root, run.config.output_root) == ("FOLDER/images", "FOLDER/outputs")
        assert shlex.split(run.summary["published"]["command"]) == report
    assert (
        "dynamic_file: FOLDER/kept.py\n" in (target / "Kept" / "fraction-1.00" / "seed-0" / "config.yaml").read_text()
    )
    assert "cannot write 'resnet/fraction-1.00/seed-0/x': no space in FOLDER/" in (target / "results.md").read_text()
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert main([str(target)]) == 0  # an ordinary report of what is published
    (target / "report.html").unlink()  # which is not published
    assert places(target, *named) == []
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before


def test_a_published_run_without_its_paths_passes_every_check_and_records_the_originals(
    of_the_machine, tmp_path, capsys
):
    target = tmp_path / "public"
    assert main([str(of_the_machine), "--publish", str(target)]) == 0
    for run in collect(target)[target].runs:
        own = of_the_machine / run.folder.relative_to(target)
        verify(run.folder, run.summary)
        assert run.summary["configuration_sha256"] == config_digest(run.config) == config_digest(load_config(own))
        left_out = run.summary["published"]["left_out_sha256"]
        for name in ("config.yaml", "command.txt"):
            assert left_out[name] == hashlib.sha256((own / name).read_bytes()).hexdigest()
            assert (own / name).read_bytes() != (run.folder / name).read_bytes()
        assert run.summary["published"]["summary_sha256"] == load_summary(own)["summary_sha256"]
    capsys.readouterr()
    assert main([str(of_the_machine), "--compare", str(target)]) == 1  # because of the missing runs alone
    assert capsys.readouterr().out.count("FOLDER") == 0


def test_what_is_published_twice_or_published_again_is_the_same(of_the_machine, tmp_path):
    def published(source, name):
        target = tmp_path / name
        assert main([str(source), "--publish", str(target)]) == 0
        return {path.relative_to(target): path.read_bytes() for path in target.rglob("*.*") if "seed-0" in str(path)}

    first = published(of_the_machine, "public")
    assert published(of_the_machine, "public") == first
    assert published(tmp_path / "public", "again") == first
    assert published(tmp_path / "public", "public") == first


def test_paths_of_a_study_that_was_published_with_them_go_when_it_is_published_again(
    of_the_machine, tmp_path, monkeypatch
):
    target = tmp_path / "public"
    with monkeypatch.context() as earlier:
        earlier.setattr(module, "without_folders", lambda value, _: value)
        earlier.setattr(module, "last_part", lambda path: path)
        assert main([str(of_the_machine), "--publish", str(target)]) == 0
    (run, *_) = collect(target)[target].runs
    config = (run.folder / "config.yaml").read_bytes()
    assert places(target, str(tmp_path).encode())
    assert main([str(target), "--publish", str(target)]) == 0
    assert places(target, str(tmp_path).encode()) == []
    assert load_summary(run.folder)["published"]["left_out_sha256"]["config.yaml"] == hashlib.sha256(config).hexdigest()


def test_files_without_absolute_paths_are_copied_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Maker(Path("my outputs"))("dynamic=parabolic", "data.root=../my data", right=range(90))
    assert main(["my outputs/made", "--publish", "public"]) == 0
    (run,) = collect(Path("public"))[Path("public")].runs
    for name in ("config.yaml", "command.txt"):
        assert (run.folder / name).read_bytes() == (own / name).read_bytes()
        assert name not in run.summary["published"]["left_out_sha256"]
    assert read_csv(tmp_path / "public" / "runs.csv")[0]["folder"] == "public/parabolic/fraction-1.00/seed-0"
