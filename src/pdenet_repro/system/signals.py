"""Handles the signals that ask a program to stop: while it trains, it finishes its step and saves first; then it exits.

SIGINT (Ctrl-C), SIGTERM, SIGHUP (a lost connection) and SIGUSR1 are the stop signals. One request to stop may arrive twice:
``timeout``, ``make`` and ``systemctl stop`` signal a whole process group, whose members pass the signal on as well. So stop
signals within ``ONE_REQUEST`` seconds are one request. A later signal is a second request: the process exits at once. A signal
that was ignored when the process started (``nohup``, a background job of a script) stays ignored.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
ONE_REQUEST = 2.0  # seconds within which stop signals count as one request

Handlers = dict[signal.Signals, Any]


class Interrupted(BaseException):
    """A stop signal ended a run or a sweep, which the same command continues. Like KeyboardInterrupt this is no ``Exception``."""

    exit_code = 75  # EX_TEMPFAIL: the same command continues the run


class Stopped(KeyboardInterrupt):
    """A stop signal came while nothing was being trained, so that there is nothing to save."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _StopHandler:
    """Signal handler that calls ``react`` at the first request to stop, and ends the process at the second."""

    first: float | None = None  # time of the first request; one for the process, whichever handler received it

    def __init__(self, react: Callable[[int], None]) -> None:
        self.react = react

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if _StopHandler.first is None:
            _StopHandler.first = now
            self.react(number)
        elif now - _StopHandler.first > ONE_REQUEST:
            os._exit(128 + number)


def _install(handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...]) -> Handlers:
    """Install a handler for signals that are not ignored; return the former ones. Outside the main thread: do nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    ignored = (signal.SIG_IGN, None)  # None: another library handles it
    return {n: signal.signal(n, handler) for n in numbers if signal.getsignal(n) not in ignored}


def _restore(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def raising_stopped() -> Iterator[None]:
    """Context in which a stop signal raises ``Stopped``, except within `StopRequest`."""

    def leave(number: int) -> None:
        raise Stopped(number)

    _StopHandler.first = None
    before = _install(_StopHandler(leave), STOP_SIGNALS)
    try:
        yield
    finally:
        _restore(before)


def ignore_stop_signals() -> None:
    """Ignore stop signals from now on, at the end of a process: Python prints a traceback if it is interrupted there."""
    _install(signal.SIG_IGN, STOP_SIGNALS)  # type: ignore[arg-type]


class StopRequest:
    """Context in which the first stop signal sets ``received`` to its name and does not end the process. May be nested.

    ``signals``: the stop signals; a job of a cluster has another one.
    """

    def __init__(self) -> None:
        self.signals = STOP_SIGNALS
        self.received: str | None = None
        self.depth = 0

    def __enter__(self) -> "StopRequest":
        self.depth += 1
        if self.depth == 1:
            self.received = _StopHandler.first = None
            self.before = _install(_StopHandler(self._receive), self.signals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            _restore(self.before)

    def _receive(self, number: int) -> None:
        self.received = signal.Signals(number).name


stop_request = StopRequest()  # the only one, since signal handlers belong to the whole process


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Context in which stop signals wait; a process that is started within it has them blocked until ``unblock_stop_signals``."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_stop_signals() -> None:
    """Unblock the stop signals in a process that was started within ``stop_signals_blocked``."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
