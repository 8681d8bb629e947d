"""SIGINT, SIGTERM and SIGUSR1 ask a run to finish its step, save and leave; a second one leaves at once.

On a cluster, under submitit, the order to leave is SIGUSR2 (sent before the time limit and at preemption), which its
own handler answers by queueing the job again; SIGTERM is to be ignored there. Worker processes on this machine save and
leave when the command that started them is gone, however it ended.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType, TracebackType

EXECUTOR = os.environ.get("SUBMITIT_EXECUTOR")  # slurm or local, where submitit started this process
REQUEUE = "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
COMMAND = "PDENET_COMMAND_PROCESS"  # environment variable: whose end ends the workers that it started on this machine


def _signals() -> list[signal.Signals]:
    names = ["SIGINT", "SIGTERM", "SIGUSR1"]
    if EXECUTOR is not None:
        names = [REQUEUE, "SIGTERM"] if EXECUTOR == "local" else [REQUEUE]
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class Interrupted(BaseException):
    """The run was asked to stop, and has saved what it had. Like KeyboardInterrupt it ends a whole sweep."""

    exit_code = 75  # EX_TEMPFAIL: run the same command again to go on


class Stopped(KeyboardInterrupt):
    """A signal came while nothing was being trained: there is nothing to save."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def raise_when_signalled() -> None:
    """Have the signals end the process as an exception, which leaves in a sentence, wherever nothing else is arranged."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    for number in _signals():
        if signal.getsignal(number) != signal.SIG_IGN:  # of nohup and the like
            signal.signal(number, leave)


def ignore_signals() -> None:
    """All is done: an interpreter that is interrupted while it shuts down prints a traceback, and another exit code."""
    for number in _signals():
        signal.signal(number, signal.SIG_IGN)


class StopRequest:
    """Context in which the signals are noted in ``received`` instead of ending the process; within itself it goes on."""

    def __init__(self) -> None:
        self.received: str | None = None
        self.depth = 0

    def __enter__(self) -> "StopRequest":
        self.depth += 1
        if self.depth == 1:
            self.received, self.previous = None, {}
            if threading.current_thread() is threading.main_thread():  # Python takes signals there only
                self.previous = {number: signal.signal(number, self._note) for number in _signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            for number, handler in self.previous.items():
                signal.signal(number, handler)

    def leave_if_asked(self, where: str) -> None:
        """Raise Interrupted, saying where, if a signal came."""
        if self.received:
            raise Interrupted(f"stopped by {self.received} {where}")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and EXECUTOR is None and COMMAND not in os.environ:  # workers may be told in several ways
            os._exit(128 + number)
        self.received = signal.Signals(number).name


stop_request = StopRequest()  # of this process, as its signals are


@contextmanager
def leaving_at_once(sentence: str) -> Iterator[None]:
    """While other processes do the work: a signal prints ``sentence`` and ends this one, before a launcher kills them."""

    def leave(number: int, frame: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name}: {sentence}", file=sys.stderr, flush=True)
        for worker in multiprocessing.active_children():  # joblib's; one without a run yet would wait for minutes
            worker.terminate()
        os._exit(Interrupted.exit_code)

    previous = {number: signal.signal(number, leave) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def starting_workers(*trackers: str) -> Iterator[None]:
    """Processes started meanwhile learn whose they are (see ``stop_with_command``), and do not get the terminal's Ctrl-C.

    It would end what submitit puts between this process and a run, and workers that are still importing, with tracebacks.
    So SIGINT is blocked, which children inherit; here a thread that was started before does not block it, and Python's
    handler runs. ``trackers``: modules of processes that are started now, since starting one unblocks SIGINT.
    """
    over = threading.Event()
    receiver = threading.Thread(target=over.wait, daemon=True)
    receiver.start()
    before = dict(os.environ)
    os.environ[COMMAND] = str(os.getpid())
    # trackers warn of what a command that leaves at once has left to them to clean up
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before.get("PYTHONWARNINGS"), "ignore:resource_tracker"]))
    for name in trackers:
        import_module(name).ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        over.set()
        receiver.join()


def orphaned() -> bool:
    """Whether this is a worker on this machine, and the command that it works for is gone."""
    command = int(os.environ.get(COMMAND, os.getpid()))
    if command == os.getpid():
        return False
    if EXECUTOR != "local":
        return os.getppid() != command
    try:  # the parent is a process of submitit
        os.kill(command, 0)
    except OSError:
        return True
    try:  # one that has ended keeps its number until it is waited for, by a caller who may wait for our output first
        return Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:  # not Linux
        return False


@cache  # once a process, which may be given several runs
def stop_with_command() -> None:
    """In a worker process: save and leave when the command that gave it its work is gone."""
    if COMMAND not in os.environ:
        return
    if EXECUTOR == "local":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit ignores it; outside of training it may end the process

    def watch() -> None:
        while not orphaned():
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def queue_again() -> None:
    """Under submitit, hand its order to leave on to its handler: it queues this job again and ends the process."""
    if EXECUTOR is not None and stop_request.received == REQUEUE:
        signal.raise_signal(getattr(signal, REQUEUE))
