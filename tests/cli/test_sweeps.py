"""Sweeps as whole commands: killed, stopped, run twice at once, with runs that fail or die, in several processes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from waiting import PATIENCE, end, wait_until

from pdenet_repro.cli.status import clean, show_status
from pdenet_repro.system.lock import held

pytestmark = pytest.mark.slow

# Small runs of many steps, each of which is saved: there is a moment to stop at, however fast the machine.
SWEEP = (
    "-m", "data=shapes", "network=tiny", "network.widths=[2]", "network.steps=1", "network.connector_norm=instance",
    "schedule=demo", "schedule.epochs=3", "schedule.batch_size=4", "data.fraction=0.05", "evaluation.every=0",
    "dynamic=parabolic,hamiltonian,resnet", "device=cpu", "checkpoint.seconds=0", "name=sweep",
)  # fmt: skip
SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")
REPORT = ("figure1.png", "figure2.pdf", "figure3.csv", "results.md", "report.html")


def start(folder, *words, **environment):
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment  # float32 sums depend on the number of threads
    return subprocess.Popen(
        [sys.executable, "-m", "pdenet_repro", *SWEEP, *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def run(folder, dynamic):
    return folder / "outputs/sweep" / dynamic / "fraction-0.05/seed-0"


def contents(folder):
    paths = sorted(path.parent for path in (folder / "outputs/sweep").rglob("command.txt"))
    return {str(path.relative_to(folder)): [(path / name).read_bytes() for name in SAME] for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, err = end(start(folder))
    assert (code, err) == (0, "")
    assert "3 of 3 runs are done" in out
    assert all((folder / "outputs/sweep" / name).is_file() for name in REPORT)
    return folder


def wait_for_new_checkpoint(folder, process):
    before = set(folder.rglob("step-*.safetensors"))
    wait_until(lambda: set(folder.rglob("step-*.safetensors")) - before, process)


def training_process(folder, process):
    """The number of a process that trains for this command, not of one that was killed and left its heartbeat."""
    found = []

    def look():
        for sign in folder.rglob("running.json"):
            try:
                number = json.loads(sign.read_text())["process"]
                found.extend([number] * (os.getpgid(number) == process.pid))
            except (OSError, ValueError):
                pass  # it has just ended
        return found

    wait_until(look, process)
    return found[0]


def test_runs_and_commands_that_are_killed_end_the_same(tmp_path, undisturbed, capsys):
    """A run that is killed is named with its signal, and the others are trained; the same command continues."""
    process = start(tmp_path)
    wait_for_new_checkpoint(tmp_path, process)
    os.kill(training_process(tmp_path, process), signal.SIGKILL)
    code, out, err = end(process)
    assert code == 1
    assert "2 of 3 runs are done" in out
    assert "failed: parabolic, fraction 0.05, seed 0: its process was ended by SIGKILL, perhaps because the" in err
    assert "Traceback" not in err
    assert show_status([str(tmp_path / "outputs/sweep")]) == 0
    shown = capsys.readouterr().out
    assert "3 runs: 2 done, 1 failed" in shown
    assert "ended by SIGKILL" in shown

    shutil.rmtree(run(tmp_path, "hamiltonian"))
    process = start(tmp_path, "launcher=local")
    training_process(tmp_path, process)
    time.sleep(random.Random(1).uniform(0, 1))  # any moment will do
    process.kill()
    process.communicate()
    wait_until(lambda: not any(held(lock.parent) for lock in tmp_path.rglob("run.lock")))  # its runs save and leave
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert "3 of 3 runs are done" in out
    assert contents(tmp_path) == contents(undisturbed)


DYING = """
import ctypes
import os
import signal

from pdenet_repro.networks.dynamics import Facts, Parabolic


class Killed(Parabolic):
    facts = Facts("killed as the system does when the memory runs out")

    def step(self, state, theta):
        os.kill(os.getpid(), signal.SIGKILL)


class Faulty(Parabolic):
    facts = Facts("reads where there is nothing")

    def step(self, state, theta):
        ctypes.string_at(0)


class Hungry(Parabolic):
    facts = Facts("allocates more than there is")

    def step(self, state, theta):
        return super().step((state[0].new_empty(2**60),), theta)
"""


def test_runs_that_die_are_named_and_the_others_trained(tmp_path, undisturbed):
    (tmp_path / "dying.py").write_text(DYING)
    names = ("Killed", "Faulty", "Hungry")
    code, out, err = end(start(tmp_path, f"dynamic={','.join(f'./dying.py:{name}' for name in names)},parabolic"))
    assert code == 1
    assert "1 of 4 runs are done" in out
    for name, reason in zip(
        names, ("ended by SIGKILL", "ended by SIGSEGV", "the memory does not suffice"), strict=True
    ):
        assert any(line.startswith(f"failed: {name}, ") and reason in line for line in err.splitlines()), err
    assert "Traceback" not in err
    (done,) = [key for key in contents(undisturbed) if "parabolic" in key]
    assert [(run(tmp_path, "parabolic") / name).read_bytes() for name in SAME] == contents(undisturbed)[done]


def test_started_twice_at_once_several_at_a_time_they_share_the_work(tmp_path, undisturbed, capsys):
    ends = [end(process) for process in [start(tmp_path, "launcher=local", "launcher.n=3") for _ in range(2)]]
    assert {code for code, _, _ in ends} <= {0, 1}
    for code, _, err in ends:
        if code == 1:  # it had nothing left to do while the other still trained
            assert "is being trained by another process" in err
            assert "Traceback" not in err
    assert any("parabolic, fraction 0.05, seed 0: epoch 3/3" in out for _, out, _ in ends)  # whose lines these are
    assert contents(tmp_path) == contents(undisturbed)

    study, unfinished = str(tmp_path / "outputs/sweep"), run(tmp_path, "parabolic")
    (unfinished / "summary.json").unlink()
    assert clean([study]) == 0
    assert "1 runs: 1 to do" in capsys.readouterr().out
    assert (unfinished / "weights.safetensors").is_file()
    assert clean([study, "--yes"]) == 0
    assert not unfinished.exists()
    assert len(contents(tmp_path)) == 2


def test_failed_and_damaged_runs_are_listed_and_the_figures_drawn_from_the_rest(tmp_path, undisturbed):
    shutil.copytree(undisturbed / "outputs", tmp_path / "outputs")
    study = tmp_path / "outputs" / "sweep"
    for name in REPORT:
        (study / name).unlink()
    damaged, lost = run(tmp_path, "parabolic"), run(tmp_path, "hamiltonian")
    (damaged / "predictions.npz").write_bytes(b"cut")
    shutil.rmtree(lost)
    lost.write_text("a file where the folder of a run belongs")
    code, out, err = end(start(tmp_path))
    assert code == 1
    assert "1 of 3 runs are done" in out
    assert "predictions.npz is damaged" in err
    assert "cannot write" in err
    assert "2 of 3 runs are missing; the same command tries again" in err
    assert "Traceback" not in err
    assert all((study / name).is_file() for name in REPORT)
    assert "Missing: 2 runs" in (study / "report.html").read_text()
    lost.unlink()
    shutil.rmtree(damaged)
    code, out, err = end(start(tmp_path))
    assert (code, err) == (0, "")
    assert "2 of 3 runs to do" in out
    assert contents(tmp_path) == contents(undisturbed)


def test_runs_that_fail_for_the_same_reason_end_the_sweep_if_that_is_wanted(tmp_path, capsys):
    words = ("schedule.learning_rate=1e30", "optimizer.bound=null", "dynamic=parabolic", "seed=0,1,2")
    code, out, err = end(start(tmp_path, *words, "launcher.give_up_after=2"))
    assert code == 1
    assert "0 of 3 runs are done" in out
    assert "[2 of 3]" in out
    assert "[3 of 3]" not in out
    assert "failed: parabolic, fraction 0.05, seed 0: the objective is" in err
    assert "the first 2 runs failed for the same reason, so no more were started" in err
    assert show_status([str(tmp_path / "outputs/sweep")]) == 0
    assert "3 runs: 2 failed, 1 to do" in capsys.readouterr().out


def test_runs_have_saved_when_a_stopped_sweep_leaves(tmp_path, undisturbed):
    """A terminal's Ctrl-C and ``kill -- -GROUP`` reach all processes; ``make`` and ``timeout`` send the order twice."""
    for launcher, order, to in (
        ("local", signal.SIGINT, "group"),
        ("serial", signal.SIGTERM, "group"),
        ("local", signal.SIGHUP, "command"),
    ):
        process = start(tmp_path, f"launcher={launcher}")
        wait_for_new_checkpoint(tmp_path, process)
        for _ in range(2):
            os.killpg(process.pid, order) if to == "group" else process.send_signal(order)
        process.send_signal(order)
        code, _, err = end(process)
        assert code == 75, err
        assert not list(tmp_path.rglob("running.json")), "a run continues, or was killed"
        assert err.startswith(f"stopped by {order.name}")
        assert "the same command continues" in err
        assert err.count("\n") == 1
        assert not list(tmp_path.rglob("summary.json")), "they had finished before: nothing was tried here"
    code, out, _ = end(start(tmp_path))
    assert code == 0
    assert "3 of 3 runs are done" in out
    assert "continuing from the checkpoint" in out
    assert contents(tmp_path) == contents(undisturbed)


SIGNALLING = """
import os
import signal
import sys


def hook(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("weights.safetensors"):
        os.kill(os.getpgrp(), signal.SIGTERM)  # the command, which leads the group of its processes


sys.addaudithook(hook)
"""


def test_a_signal_at_the_end_of_a_run_ends_the_sweep(tmp_path, capsys):
    """The run itself has the signal sent when it writes its weights: a moment later the next run may have begun."""
    (tmp_path / "sitecustomize.py").write_text(SIGNALLING)
    process = start(tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    code, out, err = end(process)
    assert code == 75
    assert err == (
        "stopped by SIGTERM after the run parabolic, fraction 0.05, seed 0; the same command continues from there\n"
    )
    assert out.splitlines()[-1].startswith("parabolic, 100 training images, seed 0: test accuracy ")  # it was whole
    assert show_status([str(tmp_path / "outputs/sweep")]) == 0
    assert "3 runs: 1 done, 2 to do" in capsys.readouterr().out


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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr == f"stopped by {name} while nothing was being trained; nothing is lost\n"
