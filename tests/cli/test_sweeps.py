"""Sweeps as whole commands: killed, run twice at once, with runs that fail, in several processes."""

import contextlib
import json
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
    "-m", "data=shapes", "network=tiny", "network.widths=[2]", "network.steps=1",
    "schedule=demo", "schedule.epochs=3", "dynamic=parabolic,hamiltonian",
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


def wait_for(folder, pattern, process):
    """The first path that fits, as soon as there is one while the command still runs."""
    while not (found := list(folder.rglob(pattern))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return found[0]


def training_process(folder, process):
    """The number of a process that trains for this command, not of one that was killed and left its sign of life."""
    while True:
        for sign in folder.rglob("running.json"):
            try:
                number = json.loads(sign.read_text())["process"]
                if os.getpgid(number) == process.pid:
                    return number
            except (OSError, ValueError):
                pass  # it has just ended
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_killed_at_random_and_started_again_it_ends_the_same(tmp_path, undisturbed):
    """The command is killed, or a run that trains; whichever, the command that follows goes on."""
    moments = random.Random(1)
    for victim, launcher in (("run", "serial"), ("command", "serial"), ("run", "local"), ("command", "local")):
        process = start(tmp_path, f"launcher={launcher}")
        number = training_process(tmp_path, process)
        time.sleep(moments.uniform(0, 1))
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(process.pid if victim == "command" else number, signal.SIGKILL)
        process.terminate()
        process.communicate()
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert "4 of 4 runs are done" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_a_run_that_is_killed_is_named_with_its_signal_and_the_others_are_trained(tmp_path, undisturbed):
    process = start(tmp_path)
    wait_for(tmp_path, "step-*.safetensors", process)
    os.kill(training_process(tmp_path, process), signal.SIGKILL)
    code, out, err = end(process)
    assert code == 1
    assert "3 of 4 runs are done" in out
    assert (
        "failed: parabolic, fraction 0.05, seed 0: its process was ended by SIGKILL, perhaps because the memory" in err
    )
    assert "Traceback" not in err
    shown = subprocess.run(
        [sys.executable, "-m", "pdenet_repro.status", "outputs/sweep"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "4 runs: 3 done, 1 failed" in shown.stdout
    assert "ended by SIGKILL" in shown.stdout
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert "going on from the checkpoint" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_started_twice_at_once_they_share_the_work(tmp_path, undisturbed):
    both = [start(tmp_path) for _ in range(2)]
    ends = [end(process) for process in both]
    assert {code for code, _, _ in ends} <= {0, 1}
    for code, _, err in ends:
        if code == 1:  # it had nothing left to do while the other still trained
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
    assert code == 1
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


def test_runs_that_fail_for_the_same_reason_end_the_sweep_if_that_is_wanted(tmp_path):
    words = (
        "schedule.learning_rate=1e30",
        "optimizer.bound=null",
        "dynamic=parabolic",
        "seed=0,1,2",
        "data.fraction=0.1",
    )
    code, out, err = end(start(tmp_path, *words, "launcher.give_up_after=2"))
    assert code == 1
    assert "0 of 3 runs are done" in out
    assert "[2 of 3]" in out
    assert "[3 of 3]" not in out
    assert "failed: parabolic, fraction 0.1, seed 0: the objective is" in err
    assert "the first 2 runs failed for the same reason, so no more were started" in err
    plan = start(tmp_path, *words, "--plan").communicate(timeout=100)[0]
    assert "3 runs: 2 failed, 1 to do" in plan


@pytest.mark.parametrize(
    ("launcher", "order", "to"),
    [("local", signal.SIGINT, "group"), ("serial", signal.SIGTERM, "group"), ("local", signal.SIGHUP, "command")],
)
def test_runs_have_saved_when_a_stopped_sweep_leaves(tmp_path, undisturbed, launcher, order, to):
    """A terminal's Ctrl-C and ``kill -- -GROUP`` reach all processes; ``make`` and ``timeout`` send the order twice."""
    process = start(tmp_path, f"launcher={launcher}", "data.fraction=0.1")
    wait_for(tmp_path, "step-*.safetensors", process)
    for _ in range(2):
        os.killpg(process.pid, order) if to == "group" else process.send_signal(order)
    process.send_signal(order)
    assert process.wait(timeout=120) == 75
    assert not list(tmp_path.rglob("running.json")), "a run goes on, or was killed"
    _, err = process.communicate()
    assert err.startswith(f"stopped by {order.name}")
    assert "the same command goes on" in err
    assert err.count("\n") == 1
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
def execute(words):
    os.kill(os.getpid(), signal.{name})
    time.sleep(60)
command.execute = execute
sys.exit(__main__.main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr == f"stopped by {name} while nothing was being trained; nothing is lost\n"


def test_at_a_time_on_shared_cores_it_ends_the_same(tmp_path, undisturbed):
    code, out, err = end(start(tmp_path, "launcher=local", "launcher.n=3"))
    assert (code, err) == (0, "")
    assert "parabolic, fraction 0.05, seed 0: epoch 3/3" in out  # lines say which run they are of
    assert contents(tmp_path) == contents(undisturbed)
    unfinished = runs(tmp_path)[0]
    (unfinished / "summary.json").unlink()
    clean = [sys.executable, "-m", "pdenet_repro.clean", "outputs/sweep"]
    shown = subprocess.run(clean, cwd=tmp_path, capture_output=True, text=True)
    assert "1 runs: 1 to do" in shown.stdout
    assert (unfinished / "weights.safetensors").is_file()
    assert subprocess.run([*clean, "--yes"], cwd=tmp_path).returncode == 0
    assert not unfinished.exists()
    assert len(runs(tmp_path)) == 3
