"""Runs as processes: what became of one that died, when a sweep gives up, whether compiled code is found again."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.sweeps.launch import Failures, _why_it_ended

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


def test_a_sweep_gives_up_when_the_first_runs_fail_for_the_same_reason():
    configs = compose_sweep([*SMALL, "seed=range(0,4)"])

    def gives_up(*reasons, most=3):
        failures = Failures(most)
        for config, reason in zip(configs, reasons, strict=False):
            failures.record(config, reason)
        return failures.give_up

    assert gives_up("cannot write /a/1: full", "cannot write /a/2: full", "cannot write /a/3: full")
    assert not gives_up("loss is nan at step 1", "loss is nan at step 2")
    assert not gives_up("loss is nan at step 1", "", "loss is nan at step 3", "loss is nan at step 3")
    assert not gives_up("loss is nan", "out of memory", "loss is nan")
    assert not gives_up("x", "x", "x", "x", most=None)
    # what else ends afterwards does not matter: jobs that the sweep cancels itself, runs that were training meanwhile
    assert gives_up("loss is nan", "loss is nan", "loss is nan", "its job was cancelled")
    assert gives_up("loss is nan", "loss is nan", "loss is nan", "")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_process_that_a_signal_ended_is_named_with_it(name):
    said = _why_it_ended(-getattr(signal, name))
    assert name in said
    assert ("memory" in said) == (name == "SIGKILL")
    assert "exit code 3" in _why_it_ended(3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_next_run_finds_the_compiled_code_of_the_same_network(tmp_path):
    """The compiler is replaced by one that counts: the second run, in a process of its own, does not call it."""
    calls = tmp_path / "calls"
    compiler = tmp_path / "counting-g++"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *.cpp*) echo "$PDENET_RUN" "$*" >> {calls};; esac\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    environment = os.environ | {
        "CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    words = [
        *SMALL[:2],
        "schedule=demo",
        "schedule.epochs=1",
        "data.fraction=0.05",
        "performance=compile",
        "device=cpu",
    ]
    words += ["network.widths=[2]", "network.steps=1", "schedule.last_batch=drop"]
    command = [sys.executable, "-m", "pdenet_repro", "-m", *words, "seed=0,1"]
    counts = []
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith(("[2 of 2]", "2 of 2 runs are done")):
                counts.append(len(calls.read_text().splitlines()))
        assert process.wait(timeout=300) == 0, process.stderr.read()
    assert counts[0] > 0
    assert counts == [counts[0]] * 2


def test_a_stop_signal_after_the_end_of_a_run_does_not_turn_success_into_failure():
    """It arrives while, and after, the run sends its outcome to the command."""
    program = """
import os, signal, sys, time
from pdenet_repro.sweeps import worker


class Pipe:
    def recv(self):
        time.sleep(3600)

    def send(self, outcome):
        os.kill(os.getpid(), signal.SIGTERM)
        print(outcome, flush=True)


leave = sys.exit


def leave_late(code):
    os.kill(os.getpid(), signal.SIGTERM)
    leave(code)


worker.run_with_exit_code = lambda *arguments: (0, "")
sys.exit = leave_late
worker.train_in_child(None, "", "", 1, Pipe())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(0, '')\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a sweep has no socket")
def test_a_temporary_folder_with_a_long_path_is_one_sentence(tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pdenet_repro", "-m", "data=shapes", "network=tiny", "seed=0,1"],
        env=os.environ | {"TMPDIR": str(folder)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.startswith(f"TMPDIR: a sweep cannot make its socket in {folder} (")
    assert done.stderr.count("\n") == 1
