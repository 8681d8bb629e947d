"""What the signals to stop do: while a run trains, it finishes its step, saves and leaves; otherwise the command leaves.

SIGINT (Ctrl-C), SIGTERM, SIGHUP (a lost connection) and SIGUSR1 are such orders. One order may arrive twice: ``timeout``,
``make`` and ``systemctl stop`` send it to a whole process group and pass it on as well. So signals within ``ONE_ORDER``
seconds are one order, and a later one is a second order: the process leaves at once. A signal that was ignored when the
process started (``nohup``, a background job of a script) stays ignored.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

ORDERS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
ONE_ORDER = 2.0  # seconds

Handlers = dict[signal.Signals, Any]


class Interrupted(BaseException):
    """The run was told to stop and has saved what it had. Like KeyboardInterrupt it is no ``Exception``."""

    exit_code = 75  # EX_TEMPFAIL: the same command goes on


class Stopped(KeyboardInterrupt):
    """A signal came while nothing was being trained: there is nothing to save."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _Orders:
    """Signal handler that calls ``react`` at the first order, and ends the process at the second."""

    first: float | None = None  # when the first order came; of the process, whichever handler it met

    def __init__(self, react: Callable[[int], None]) -> None:
        self.react = react

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if _Orders.first is None:
            _Orders.first = now
            self.react(number)
        elif now - _Orders.first > ONE_ORDER:
            os._exit(128 + number)


def _install(handler: Callable[[int, FrameType | None], None], numbers: tuple[signal.Signals, ...]) -> Handlers:
    """Install a handler for signals that are not ignored; returns the handlers before. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    ignored = (signal.SIG_IGN, None)  # None: another library handles it
    return {n: signal.signal(n, handler) for n in numbers if signal.getsignal(n) not in ignored}


def _restore(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def raising_stopped() -> Iterator[None]:
    """Context in which a signal raises ``Stopped`` wherever nothing else is arranged."""

    def leave(number: int) -> None:
        raise Stopped(number)

    _Orders.first = None
    before = _install(_Orders(leave), ORDERS)
    try:
        yield
    finally:
        _restore(before)


def ignore_orders() -> None:
    """For the end of a process: an interpreter that is interrupted while it shuts down prints a traceback."""
    _install(signal.SIG_IGN, ORDERS)  # type: ignore[arg-type]


class StopRequest:
    """Context in which the first order is noted in ``received`` instead of ending the process. May be nested.

    ``signals``: which signals are orders; a job of a cluster has another one.
    """

    def __init__(self) -> None:
        self.signals = ORDERS
        self.received: str | None = None
        self.depth = 0

    def __enter__(self) -> "StopRequest":
        self.depth += 1
        if self.depth == 1:
            self.received = _Orders.first = None
            self.before = _install(_Orders(self._note), self.signals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            _restore(self.before)

    def _note(self, number: int) -> None:
        self.received = signal.Signals(number).name


stop_request = StopRequest()  # of this process, as its signals are


@contextmanager
def orders_blocked() -> Iterator[None]:
    """Context in which orders wait. A process that is started within it never gets them, unless it allows them again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def allow_orders() -> None:
    """In a process that was started within ``orders_blocked``: have orders delivered from now on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
