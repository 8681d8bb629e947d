"""Launches the runs of a sweep on this machine, each in a process of its own, one after the other or several at a time.

A process that dies ends no other run and frees its memory. The processes are forked from one that has imported PyTorch
(multiprocessing's fork server), so that each begins at once. When the command gets a stop signal, it passes it to its runs,
which save, and waits for them. When the command is killed, its pipes to the runs close, and the runs save and exit too.
"""

import multiprocessing
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from typing import Any

from pdenet_repro.config.schema import Config
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps import worker
from pdenet_repro.sweeps.plan import names
from pdenet_repro.sweeps.state import State, state_of, work_to_do
from pdenet_repro.system import lock, signals
from pdenet_repro.system.errors import StorageError, UserError
from pdenet_repro.system.formatting import duration

SAVE_TIMEOUT = 120.0  # seconds that stopped runs have to save: for a step, an evaluation batch, a large file
LONGEST_TMPDIR = 70  # so that the path of a socket below it has at most 107 characters, which Linux allows
EXIT_TIMEOUT = 10.0  # seconds for which a run whose command was killed may still hold its folder


class Failures:
    """Why runs of a sweep failed; the sweep gives up if its first ``give_up_after`` runs failed for the same reason."""

    def __init__(self, give_up_after: int | None) -> None:
        self.give_up_after, self.ended = give_up_after, 0
        self.reasons: dict[Path, str] = {}
        self.give_up = False  # whether the sweep starts no more runs

    def record(self, config: Config, reason: str) -> None:
        """Record that a run has ended; ``reason``: why it failed, empty if it did not."""
        self.ended += 1
        if reason:
            self.reasons[path_of(config)] = reason
        if self.ended == len(self.reasons) == self.give_up_after:
            # paths and numbers differ between runs that fail for the same reason
            self.give_up = len({re.sub(r"\S*/\S*|\d+", "", reason) for reason in self.reasons.values()}) == 1


@dataclass
class Child:
    """A process that trains one run."""

    config: Config
    name: str
    process: Any
    pipe: connection.Connection
    flops: int  # of the whole work of this process
    begun: float = field(default_factory=time.monotonic)

    def outcome(self) -> tuple[int, str]:
        """Wait for the end of the process; return its exit code and why it failed or stopped, empty after success."""
        self.process.join()
        try:
            outcome: tuple[int, str] = self.pipe.recv()
            return outcome
        except (EOFError, OSError):
            folder, reason = RunFolder(self.config), _why_it_ended(self.process.exitcode)
            if not lock.held(folder.path):
                folder.record_failure(UserError(reason))
            print(f"{self.name}: {reason}", file=sys.stderr, flush=True)
            return 1, reason
        finally:
            self.pipe.close()


def _why_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code} and without a message"
    name = signal.Signals(-exit_code).name
    perhaps = ", perhaps because the memory ran out (see the system's log)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{perhaps}"


class LocalSweep:
    """Trains every run that is not finished and that no other process trains, ``at_a_time`` of them at once."""

    def __init__(self, configs: Sequence[Config], at_a_time: int, command: str, failures: Failures) -> None:
        self.waiting, self.at_a_time, self.command, self.failures = list(configs), at_a_time, command, failures
        self.number, self.of, self.names = 0, len(configs), names(configs)
        self.running: list[Child] = []
        self.flops_done, self.seconds = 0, 0.0  # of the runs that succeeded
        self.where = "before the first run"  # for the message after a stop between two runs
        self.context = _context()

    def launch(self) -> None:
        """Train until no run is left for this sweep, or it gives up; Interrupted if a signal came and the runs have ended."""
        idle_since = time.monotonic()
        with signals.stop_request as stop:
            try:
                while (self.waiting or self.running) and not stop.received:
                    while len(self.running) < self.at_a_time and (config := self._next()):
                        if stop.received:  # _next() takes time
                            break
                        self._start(config)
                    if self.running:
                        idle_since = time.monotonic()
                    elif self.failures.give_up or time.monotonic() - idle_since > EXIT_TIMEOUT:
                        break  # other processes train the waiting runs
                    self._wait(0.5)
                if stop.received:
                    raise signals.Interrupted(self._stop(stop.received))
            finally:
                for child in self.running:
                    child.pipe.close()

    def _next(self) -> Config | None:
        """Take the next run that can start from ``waiting`` and return it; None if there is none now."""
        for config in [] if self.failures.give_up else list(self.waiting):
            state = state_of(config).state
            if state is State.RUNNING:  # in another process, which may be about to exit
                continue
            self.waiting.remove(config)
            if state is not State.DONE:
                return config
        return None

    def _start(self, config: Config) -> None:
        self.number += 1
        name = self.names[path_of(config)]
        flops = work_to_do(config).flops(config)
        print(f"\n[{self.number} of {self.of}] {name}{self._time_left(flops)}", flush=True)
        ours, theirs = self.context.Pipe()
        arguments = (config, self.command, name if self.at_a_time > 1 else "", self.at_a_time, theirs)
        process = self.context.Process(target=worker.train_in_child, args=arguments)
        with signals.stop_signals_blocked():
            process.start()
        theirs.close()
        self.running.append(Child(config, name, process, ours, flops))

    def _wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` until a run ends, and record the outcome of each run that has ended."""
        ended = connection.wait([child.process.sentinel for child in self.running], seconds)
        for child in [child for child in self.running if child.process.sentinel in ended]:
            self.running.remove(child)
            code, reason = child.outcome()
            if code == 0:
                self.flops_done += child.flops
                self.seconds += time.monotonic() - child.begun
            self.failures.record(child.config, reason if code != signals.Interrupted.exit_code else "")
            self.where = reason if code == signals.Interrupted.exit_code else f"after the run {child.name}"

    def _stop(self, signal_name: str) -> str:
        """Have the runs save and exit, wait for them, and return the sentence for the user."""
        for child in self.running:
            with suppress(OSError):  # the run has just ended
                child.pipe.send(signal_name)
        until = time.monotonic() + SAVE_TIMEOUT
        while self.running and time.monotonic() < until:
            self._wait(0.5)
        for child in self.running:
            child.process.kill()
        if self.running:
            return (
                f"stopped by {signal_name}: {len(self.running)} runs did not answer within {SAVE_TIMEOUT:.0f} s and were ended; "
                f"the same command continues from their last checkpoints"
            )
        if self.at_a_time > 1:
            return f"stopped by {signal_name}: the runs have saved; the same command continues"
        if self.where.startswith("stopped by"):
            return self.where
        return f"stopped by {signal_name} {self.where}; the same command continues from there"

    def _time_left(self, flops: int) -> str:
        """Return words on the time until the sweep ends, estimated from its finished runs; empty before the first of them."""
        if not self.flops_done:
            return ""
        flops += sum(work_to_do(config).flops(config) for config in self.waiting)
        flops += sum(child.flops for child in self.running)
        elapsed = sum(time.monotonic() - child.begun for child in self.running)
        seconds = (flops * self.seconds / self.flops_done - elapsed) / self.at_a_time
        return f"; about {duration(max(0.0, seconds))} left for all runs"


def _context() -> Any:
    """Return the multiprocessing context: on Linux it forks from a process with PyTorch imported and stop signals blocked."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pdenet_repro.sweeps.preload"])
    resource_tracker.ensure_running()  # its start unblocks signals, so it must come before the next lines
    with signals.stop_signals_blocked():
        try:
            forkserver.ensure_running()
        except OSError as error:  # such as "AF_UNIX path too long"
            raise StorageError(
                f"TMPDIR: a sweep cannot make its socket in {tempfile.gettempdir()} ({error}); set TMPDIR to a "
                f"writable folder whose path has at most {LONGEST_TMPDIR} characters"
            ) from error
    return context
