"""Sweeps as whole commands: killed, run twice at once, with runs that fail, in several processes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

SWEEP = (
    "-m", "data=shapes", "network=tiny", "schedule=demo", "schedule.epochs=3", "dynamic=parabolic,hamiltonian",
    "data.fraction=0.05,0.1", "evaluation.every=0", "device=cpu", "checkpoint.seconds=0.2", "name=sweep",
)  # fmt: skip
SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")
REPORT = ("figure1.png", "figure2.pdf", "figure3.csv", "results.md", "report.html")


def start(folder, *words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # float32 sums depend on the number of threads
    return subprocess.Popen(
        [sys.executable, "-m", "pdenet_repro", *SWEEP, *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def end(process):
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def runs(folder):
    return sorted(path.parent for path in (folder / "outputs" / "sweep").rglob("command.txt"))


def contents(folder):
    return {str(path.relative_to(folder)): [(path / name).read_bytes() for name in SAME] for path in runs(folder)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, err = end(start(folder))
    assert (code, err) == (0, "")
    assert "4 of 4 runs are done" in out
    assert all((folder / "outputs/sweep" / name).is_file() for name in REPORT)
    return folder


def test_killed_at_random_and_started_again_it_ends_the_same(tmp_path, undisturbed):
    moments, kills = random.Random(1), 0
    while kills < 3:
        process = start(tmp_path)
        until = time.monotonic() + 6 + moments.uniform(0, 5)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert kills > 0
    assert "4 of 4 runs are done" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_started_twice_at_once_they_share_the_work(tmp_path, undisturbed):
    both = [start(tmp_path) for _ in range(2)]
    ends = [end(process) for process in both]
    assert {code for code, _, _ in ends} <= {0, 5}
    for code, _, err in ends:
        if code == 5:  # it had nothing left to do while the other still trained
            assert "is being trained by another process" in err
            assert "Traceback" not in err
    code, out, _ = end(start(tmp_path))
    assert code == 0
    assert "0 of 4 runs to do" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_failed_and_damaged_runs_are_listed_and_the_figures_drawn_from_the_rest(tmp_path, undisturbed):
    shutil.copytree(undisturbed / "outputs", tmp_path / "outputs")
    study = tmp_path / "outputs" / "sweep"
    for name in REPORT:
        (study / name).unlink()
    damaged, lost = study / "parabolic/fraction-0.05/seed-0", study / "hamiltonian/fraction-0.10/seed-0"
    (damaged / "predictions.npz").write_bytes(b"cut")
    shutil.rmtree(lost)
    lost.parent.mkdir(exist_ok=True)
    lost.write_text("a file where the folder of a run belongs")
    code, out, err = end(start(tmp_path))
    assert code == 2
    assert "2 of 4 runs are done" in out
    assert "predictions.npz is damaged" in err
    assert "cannot write" in err
    assert "2 of 4 runs are missing; the same command tries again" in err
    assert "Traceback" not in err
    assert all((study / name).is_file() for name in REPORT)
    assert "Missing: 2 runs" in (study / "report.html").read_text()
    lost.unlink()
    shutil.rmtree(damaged)
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert "2 of 4 runs to do" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_a_run_without_a_finite_loss_fails_alone(tmp_path):
    words = ("schedule.learning_rate=1e30", "optimizer.bound=null", "dynamic=parabolic", "data.fraction=0.1")
    code, out, err = end(start(tmp_path, *words))
    assert code == 3
    assert "0 of 1 runs are done" in out
    assert "failed: parabolic, fraction 0.1, seed 0: the objective is" in err
    plan = start(tmp_path, *words, "--plan").communicate(timeout=100)[0]
    assert "1 runs: 1 failed" in plan


def test_in_two_processes_it_ends_the_same(tmp_path, undisturbed):
    code, out, err = end(start(tmp_path, "hydra/launcher=joblib"))
    assert (code, err) == (0, "")
    assert "parabolic, fraction 0.05, seed 0: epoch 3/3" in out  # lines say which run they are of
    assert contents(tmp_path) == contents(undisturbed)


@pytest.mark.parametrize("launcher", ["joblib", "processes"])
def test_workers_save_and_leave_when_a_terminal_stops_the_sweep(tmp_path, undisturbed, launcher):
    process = start(tmp_path, f"hydra/launcher={launcher}", "data.fraction=0.1")
    while not list(tmp_path.rglob("step-*.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = end(process)
    assert (code, err) == (75, "stopped by SIGINT: the runs save and leave; the same command goes on\n")
    until = time.monotonic() + 60
    while list(tmp_path.rglob("running.json")):  # a run that is killed leaves it behind
        assert time.monotonic() < until, "a worker goes on for a minute, or was killed"
        time.sleep(0.1)
    assert not list(tmp_path.rglob("summary.json")), "they had finished before: nothing was tried here"
    code, out, _ = end(start(tmp_path, "data.fraction=0.1"))
    assert code == 0
    assert "2 of 2 runs are done" in out
    assert "going on from the checkpoint" in out
    ours, theirs = contents(tmp_path), contents(undisturbed)
    assert ours == {key: theirs[key] for key in ours}


def test_a_signal_at_the_end_of_a_run_ends_the_sweep(tmp_path):
    process = start(tmp_path, "data.fraction=0.05")
    while not list(tmp_path.rglob("weights.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    code, out, err = end(process)
    assert code == 75
    assert (
        err
        == "stopped by SIGTERM after the run parabolic, fraction 0.05, seed 0; the same command goes on from there\n"
    )
    assert out.splitlines()[-1].startswith("parabolic, 100 training images, seed 0: test accuracy ")  # it was whole
    code, out, err = end(start(tmp_path, "data.fraction=0.05"))
    assert (code, err) == (0, "")
    assert "1 of 2 runs to do" in out


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_before_training_is_one_sentence(name):
    program = f"""
import os, signal, sys, time
from pdenet_repro import __main__
from pdenet_repro.cli import command
def carry_out(words):
    os.kill(os.getpid(), signal.{name})
    time.sleep(60)
command.carry_out = carry_out
sys.exit(__main__.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr == f"stopped by {name} while nothing was being trained; nothing is lost\n"


def test_submitted_to_processes(tmp_path, undisturbed):
    code, out, err = end(start(tmp_path, "hydra/launcher=processes", "data.fraction=0.05"))
    assert code == 0, err
    assert "each job prints into outputs/sweep/jobs" in out
    assert "2 of 2 runs are done" in out
    assert all(
        path.is_file() for path in (tmp_path / "outputs/sweep/jobs").iterdir()
    )  # no folder for a name put in later
    ours, theirs = contents(tmp_path), contents(undisturbed)
    assert ours == {name: theirs[name] for name in ours}
