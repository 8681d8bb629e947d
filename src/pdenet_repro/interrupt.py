"""SIGINT, SIGTERM and SIGUSR1 ask a run to finish its step, save and leave; a second one leaves at once.

On a cluster, under submitit, the order to leave is SIGUSR2 (sent before the time limit and at preemption), which its
own handler answers by queueing the job again; SIGTERM is to be ignored there.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

QUEUED = "SUBMITIT_EXECUTOR" in os.environ  # this process is a job that submitit started


def _signals() -> list[signal.Signals]:
    names = [os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")] if QUEUED else ["INT", "TERM", "USR1"]
    return [getattr(signal, f"SIG{name}") for name in names if hasattr(signal, f"SIG{name}")]


class Interrupted(BaseException):
    """The run was asked to stop, and has saved what it had. Like KeyboardInterrupt it ends a whole sweep."""

    exit_code = 75  # EX_TEMPFAIL: run the same command again to go on


class StopRequest:
    """Context in which the signals are noted in ``received`` instead of ending the process."""

    def __init__(self) -> None:
        self.received: str | None = None

    def __enter__(self) -> "StopRequest":
        self.previous = {}
        if threading.current_thread() is threading.main_thread():  # Python takes signals there only
            self.previous = {number: signal.signal(number, self._note) for number in _signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and not QUEUED:
            os._exit(128 + number)
        self.received = signal.Signals(number).name


@contextmanager
def leaving_at_once(sentence: str) -> Iterator[None]:
    """While other processes do the work: a signal prints ``sentence`` and ends this one, before a launcher kills them."""

    def leave(number: int, frame: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name}: {sentence}", file=sys.stderr, flush=True)
        os._exit(Interrupted.exit_code)

    previous = {number: signal.signal(number, leave) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


_parent = os.getppid()


def orphaned() -> bool:
    """Whether the process that started this one is gone."""
    return os.getppid() != _parent


def stop_with_parent() -> None:
    """In a worker process: save and leave when the process that gave it its work is gone."""

    def watch() -> None:
        while not orphaned():
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def queue_again() -> None:
    """Under submitit, hand the order to leave on to its handler: it queues this job again and ends the process."""
    if QUEUED:
        signal.raise_signal(_signals()[0])
