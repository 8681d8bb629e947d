"""Compilation that a signal to stop ends within seconds, and that a signal to the whole process group does not disturb.

Compiling a network takes minutes. A signal that arrives meanwhile is noted, as always, and then ends the compilation by
``StoppedWhileCompiling``. The compilers run in a session of their own: a signal to the process group (Ctrl-C, ``timeout``) would
kill them alone otherwise, and the step would then be computed without them, with other rounding than promised.
"""

import functools
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

from pdenet_repro.system.signals import stop_request

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # those that have no handler in Python stay as they are


class StoppedWhileCompiling(BaseException):
    """A signal to stop arrived while a compiler was at work. The step at hand is not computed, or in part: it is not saved."""


class _Subprocess:
    """The module ``subprocess``, but what it starts has a session of its own."""

    run = staticmethod(functools.partial(subprocess.run, start_new_session=True))
    check_output = staticmethod(functools.partial(subprocess.check_output, start_new_session=True))
    Popen = staticmethod(functools.partial(subprocess.Popen, start_new_session=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


_handlers: dict[int, Any] = {}  # of the signals, while something is compiled


def _begin(*_: Any) -> None:
    if stop_request.received:
        raise StoppedWhileCompiling(stop_request.received)
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if callable(handler := signal.getsignal(number)):
                _handlers[number] = handler
                signal.signal(number, _stop)


def _end(*_: Any) -> None:
    while _handlers:
        signal.signal(*_handlers.popitem())


def _stop(number: int, frame: FrameType | None) -> None:
    handler = _handlers[number]
    _end()  # what comes next is noted, and no second exception disturbs the way out
    handler(number, frame)
    raise StoppedWhileCompiling(signal.Signals(number).name)


def make_compilation_interruptible() -> None:
    """Have every compilation in this process answer signals as described above, until ``torch._dynamo.reset``."""
    from torch._dynamo.callback import callback_handler
    from torch._inductor import cpp_builder
    from torch._inductor.compile_worker import subproc_pool

    cpp_builder.subprocess = subproc_pool.subprocess = _Subprocess()  # type: ignore[assignment, attr-defined]
    if _begin not in callback_handler.start_callbacks:
        callback_handler.register_start_callback(_begin)
        callback_handler.register_end_callback(_end)
