"""Orders to stop: noted once, whichever way they come; ignored where the parent ignores them; put back afterwards."""

import os
import signal
import subprocess
import sys

import pytest

from pdenet_repro import __main__ as command_line
from pdenet_repro.system import signals
from pdenet_repro.system.signals import Stopped, raising_stopped, stop_request


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in signals.STOP_SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", signals.STOP_SIGNALS)
def test_a_stop_signal_is_noted_and_its_repetitions_are_the_same_request(handlers, number):
    with stop_request as stop:
        for _ in range(3):
            signal.raise_signal(number)
        assert stop.received == number.name
        with stop_request:
            pass
        assert stop.received == number.name
    assert {number: signal.getsignal(number) for number in signals.STOP_SIGNALS} == handlers
    with stop_request as stop:
        assert stop.received is None


def test_a_second_request_ends_the_process(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    with stop_request:
        signal.raise_signal(signal.SIGTERM)
        now[0] += 1.9
        signal.raise_signal(signal.SIGTERM)
        assert ended == []
        now[0] += 0.2
        signal.raise_signal(signal.SIGINT)
    assert ended == [128 + signal.SIGINT]


def test_where_nothing_is_trained_a_stop_signal_is_raised_once(handlers):
    with raising_stopped():
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)  # the same request
    assert (str(stopped.value), stopped.value.exit_code) == ("SIGHUP", 128 + signal.SIGHUP)
    assert {number: signal.getsignal(number) for number in signals.STOP_SIGNALS} == handlers


def test_what_the_parent_ignores_stays_ignored(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    with raising_stopped(), stop_request as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.received is None
        signal.raise_signal(signal.SIGTERM)
        assert stop.received == "SIGTERM"


def test_a_command_in_a_notebook_leaves_streams_and_handlers_as_they_were(handlers, monkeypatch, capsys):
    streams = sys.stdout, sys.stderr
    monkeypatch.setattr(sys, "argv", ["pdenet_repro", "dynamic=wave"])
    assert command_line.main() == 2
    assert (sys.stdout, sys.stderr) == streams
    assert {number: signal.getsignal(number) for number in signals.STOP_SIGNALS} == handlers


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_do_not_stop_a_command(tmp_path, closed):
    words = "data=shapes network=tiny network.widths=[2] network.steps=1 network.connector_norm=instance schedule=demo "
    words += "schedule.epochs=1 data.fraction=0.05 name=closed"
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m pdenet_repro {words} {closed}"], cwd=tmp_path)
    assert done.returncode == 0
    (log,) = tmp_path.rglob("run.log")
    assert "test accuracy" not in log.with_name("run.lock").read_text()
    assert log.with_name("summary.json").is_file()
