"""The runs of a study from its folder, and what is left of unfinished ones."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from pdenet_repro import compose
from pdenet_repro.cli.status import clean, show_status
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps.plan import write_plans
from pdenet_repro.sweeps.state import State, state_of, work_to_do
from pdenet_repro.sweeps.status import left_over, status
from pdenet_repro.system.errors import RunFolderError, UserError

WORDS = ("data=shapes", "network=tiny", "schedule=short", "name=sweep")


@pytest.fixture
def study(tmp_path):
    """Seeds 0 to 4: done, interrupted, failed, running on another host, to do."""
    configs = compose_sweep([*WORDS, f"output_root={tmp_path}", "seed=range(0,5)"])
    write_plans(configs, "python -m pdenet_repro ...")
    for config in configs[:4]:
        with RunFolder(config).locked():
            RunFolder(config).begin("")
    done, interrupted, failed, elsewhere, _ = map(RunFolder, configs)
    done.finish({"files_sha256": {}, "test_accuracy": 0.25, "training_seconds": 30.0, "wall_seconds": 65.0})
    (interrupted.path / "checkpoints").mkdir()
    (interrupted.path / "checkpoints/step-00000007-0123456789abcdef.safetensors").write_bytes(bytes(2_000_000))
    interrupted.write("progress.json", json.dumps({"epoch": 2, "epochs": 12, "seconds_left": 60}))
    failed.record_failure(UserError("out of luck"))
    elsewhere.write("running.json", json.dumps({"host": "another", "process": 1, "beat": 1}))
    elsewhere.write("progress.json", json.dumps({"epoch": 3, "epochs": 12, "seconds_left": 125}))
    return tmp_path / "sweep"


def test_every_state_is_shown_with_its_reason(study, capsys):
    states = [State.DONE, State.INTERRUPTED, State.FAILED, State.RUNNING, State.TO_DO]
    assert [run.state for run in status(study)] == states
    assert show_status([str(study)]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = (
        "test accuracy 25.00%, 1:05",
        "epoch 2 of 12 done, saved at step 7",
        "out of luck",
        "on another, epoch 3 of 12 done, 2:05 left",
        "to do",
    )
    for line, expected in zip(lines[1:6], words, strict=True):
        assert expected in line
    assert "5 runs: 1 done, 1 running, 1 interrupted, 1 failed, 1 to do; 2.0 MB on disk" in lines[-1]


@pytest.fixture
def submitted(study, monkeypatch, tmp_path):
    """All runs of the study have jobs, and ``squeue`` names those of the failed run and the one that is to do."""
    folders = [str(run.folder.absolute()) for run in status(study)]
    (study / "jobs/submission").mkdir(parents=True)
    (study / "jobs/submission/submitted.json").write_text(json.dumps({f"7_{i}": f for i, f in enumerate(folders)}))
    squeue = tmp_path / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text("#!/bin/sh\necho '9 7_2 PENDING'\necho '10 7_4 CONFIGURING'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(squeue.parent))
    return study


def test_files_that_a_run_removes_meanwhile_do_not_matter(study, monkeypatch):
    expected = [run.state for run in status(study)]
    walk = os.walk

    def removing(folder, **options):
        for name, folders, files in walk(folder, **options):
            yield name, folders, [*files, "removed.safetensors"]

    monkeypatch.setattr(os, "walk", removing)
    assert [run.state for run in status(study)] == expected


def test_a_run_whose_job_waits_is_queued_and_kept(submitted):
    found = status(submitted)
    assert [run.state for run in found] == [
        State.DONE, State.INTERRUPTED, State.QUEUED, State.RUNNING, State.QUEUED
    ]  # fmt: skip
    assert (found[2].note, found[4].note) == ("job 7_2 is pending", "job 7_4 is configuring")
    assert {run.folder for run in left_over(submitted)} == {found[1].folder}


def test_where_squeue_does_not_answer_that_is_said(submitted, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = status(submitted)
    assert found[4].state is State.TO_DO
    assert found[4].note.startswith("submitted as job 7_4; squeue fails here")


def test_a_run_that_trains_here_is_running(study, tmp_path):
    config = compose(*WORDS, f"output_root={tmp_path}", "seed=4")
    with RunFolder(config).locked():
        RunFolder(config).begin("")
        found = status(study)[4]
        assert found.state is State.RUNNING
        assert "no epoch done yet" in found.note


def test_clean_removes_only_when_told_and_only_what_runs_write(study, tmp_path, capsys):
    note = study / "parabolic/fraction-1.00/seed-1/note.txt"
    note.write_text("mine")
    note.with_name("dynamic.py").touch()  # the copy that a run keeps of a dynamic in a user's file
    before = {path for path in study.rglob("*") if path.is_file()}
    assert clean([str(study)]) == 0
    assert "--yes" in capsys.readouterr().out
    assert {path for path in study.rglob("*") if path.is_file()} == before
    with RunFolder(compose(*WORDS, f"output_root={tmp_path}", "seed=2")).locked():  # its next attempt
        assert clean([str(study), "--yes"]) == 0
    out = capsys.readouterr().out
    assert "seed-1: removed, but for note.txt" in out
    assert "seed-2" not in out
    assert clean([str(study), "--yes"]) == 0
    after = {path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()}
    assert {name for name in after if "seed-1" in name} == {note.relative_to(study).as_posix()}
    assert not any("seed-2" in name for name in after)
    assert any("seed-0/summary.json" in name for name in after)
    assert any("seed-3/running.json" in name for name in after)


@pytest.mark.parametrize("command", [show_status, clean])
def test_a_folder_without_runs_is_one_sentence(command, tmp_path, capsys):
    assert command([str(tmp_path / "none")]) == 2
    assert command([str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 2
    assert "holds no runs" in err


def test_status_loads_no_torch(study):
    program = f"import sys; from pdenet_repro.cli import status; status.show_status(['{study}']); "
    program += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


@pytest.fixture
def partly_private():
    """Configurations of two runs whose study somebody else may read, but not the folder of the second run."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        configs = compose_sweep([*WORDS, f"output_root={root}", "seed=0,1"])
        for config in configs:
            with RunFolder(config).locked():
                RunFolder(config).begin("")
        path_of(configs[1]).chmod(0)
        (path_of(configs[1]).parents[2] / "jobs" / "submission").mkdir(parents=True)
        (path_of(configs[1]).parents[2] / "jobs" / "submission").chmod(0)
        user = os.geteuid()
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            yield configs
        finally:
            os.seteuid(user)
            path_of(configs[1]).chmod(0o700)
            (path_of(configs[1]).parents[2] / "jobs" / "submission").chmod(0o700)


def test_a_private_run_is_named_and_hides_no_other(partly_private):
    study = path_of(partly_private[0]).parents[2]
    first, second = status(study)
    assert (first.state, second.state) == (State.TO_DO, State.FAILED)
    assert "seed-1/summary.json (Permission denied)" in second.note
    assert [run.folder for run in left_over(study)] == [first.folder]
    assert [state_of(config).state for config in partly_private] == [State.TO_DO, State.FAILED]
    assert work_to_do(partly_private[0]) == work_to_do(partly_private[1])
    with pytest.raises(RunFolderError, match="seed-1: Permission denied; name a study"):
        status(second.folder)
