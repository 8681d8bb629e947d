"""Whole commands, killed and stopped at random moments: the same command ends in the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from waiting import end as finish
from waiting import wait_until

pytestmark = pytest.mark.slow

# A small run of many steps, each of which is saved: there is a moment to stop at, however fast the machine.
RUN = (
    "data=shapes", "network=tiny", "network.widths=[2]", "network.steps=1", "network.connector_norm=instance",
    "schedule=short", "schedule.epochs=3", "schedule.batch_size=4", "data.fraction=0.1", "evaluation.every=2",
    "device=cpu", "checkpoint.seconds=0", "name=killed",
)  # fmt: skip
SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")


def start(folder, *more, **keywords):
    words = [sys.executable, *keywords.pop("options", ()), "-m", "pdenet_repro", *RUN, *more]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    return subprocess.Popen(words, cwd=folder, text=True, **streams)


def run_folder(folder):
    return folder / "outputs" / "killed" / "parabolic" / "fraction-0.10" / "seed-0"


def contents(folder):
    return {name: (run_folder(folder) / name).read_bytes() for name in SAME}


def wait_for_training(folder, process):
    """Until there is a checkpoint that was not there before."""
    checkpoints = run_folder(folder) / "checkpoints"
    before = set(checkpoints.glob("step-*.safetensors"))
    wait_until(lambda: set(checkpoints.glob("step-*.safetensors")) - before, process)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, err = finish(start(folder))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("parabolic, 200 training images, seed 0: test accuracy ")
    assert str(run_folder(folder).relative_to(folder)) in out.splitlines()[-1]
    return contents(folder)


def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path, undisturbed):
    """Also killed at every moment of a run in one process: tests/runs/test_training_run.py."""
    moments = random.Random(0)
    for _ in range(2):
        process = start(tmp_path)
        wait_for_training(tmp_path, process)
        time.sleep(moments.uniform(0, 1))  # any moment will do
        process.kill()
        process.communicate()
    code, _, err = finish(start(tmp_path))
    assert (code, err) == (0, "")
    assert contents(tmp_path) == undisturbed


def test_a_signal_saves_and_leaves_with_a_code_of_its_own(tmp_path, undisturbed):
    for order in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        process = start(tmp_path)
        wait_for_training(tmp_path, process)
        process.send_signal(order)
        code, _, err = finish(process)
        assert code == 75
        assert err.startswith(f"stopped by {order.name} at epoch ")
        assert "the same command continues from there" in err
        assert err.count("\n") == 1
    code, out, _ = finish(start(tmp_path))
    assert code == 0
    assert "continuing from the checkpoint at epoch " in out
    assert contents(tmp_path) == undisturbed


def test_two_at_once_and_a_finished_run(tmp_path, undisturbed):
    first = start(tmp_path)
    wait_for_training(tmp_path, first)
    code, _, err = finish(start(tmp_path))
    assert code == 5
    assert "is being trained by another process" in err
    assert err.count("\n") == 1
    assert finish(first)[0] == 0
    assert contents(tmp_path) == undisturbed

    code, out, err = finish(start(tmp_path, options=("-X", "importtime")))
    assert code == 0
    assert out.startswith("already finished: parabolic, 200 training images")
    assert not [line for line in err.splitlines() if line.endswith(" torch")]  # at once: nothing heavy is loaded

    code, _, err = finish(start(tmp_path, "schedule.learning_rate=0.05"))
    assert code == 2
    assert "schedule.learning_rate" in err
    assert "0.1" in err
    assert "0.05" in err
    assert contents(tmp_path) == undisturbed


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_terminal_that_is_gone_and_tensorboard_on_a_full_disk_cost_lines_not_the_run(tmp_path, undisturbed):
    """Event files get names with the time in them; every one of them is turned to the full device."""
    (tmp_path / "sitecustomize.py").write_text(FULL_EVENTS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    with open("/dev/full", "w") as full:
        code, _, err = finish(start(tmp_path, env=environment, stdout=full))
    assert code == 0, err
    assert err.count("No space left on device") == 1
    assert "TensorBoard" in err
    assert contents(tmp_path) == undisturbed
    assert "test accuracy" in (run_folder(tmp_path) / "run.log").read_text()


FULL_EVENTS = """
import builtins
import io

opened = builtins.open

def open(file, *more, **keywords):
    return opened("/dev/full" if "tfevents" in str(file) else file, *more, **keywords)

builtins.open = io.open = open
"""
