"""Makes compilation end within seconds after a signal to stop, and protects compilers from signals to the process group.

Compiling a network takes minutes. A signal that arrives meanwhile is recorded, as always, and then raises
``StoppedWhileCompiling``. Where Python ignores exceptions (in ``__del__``, in callbacks of weak references) that has no effect.
So a timer raises it again, until the compilation has ended. The compilers run in a session of their own: otherwise a signal to
the process group (Ctrl-C, ``timeout``) would kill only them, and the step would be computed by uncompiled code, which rounds
differently.
"""

import functools
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

from pdenet_repro.system.signals import stop_request

AGAIN = 1.0  # seconds after which the exception is raised again
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # those without a handler in Python are left alone


class StoppedWhileCompiling(BaseException):
    """A signal to stop arrived during compilation. The current step is incomplete and is not saved."""


class _Subprocess:
    """Replacement for the module ``subprocess`` that starts each process in a new session (``start_new_session``)."""

    run = staticmethod(functools.partial(subprocess.run, start_new_session=True))
    check_output = staticmethod(functools.partial(subprocess.check_output, start_new_session=True))
    Popen = staticmethod(functools.partial(subprocess.Popen, start_new_session=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


_handlers: dict[int, Any] = {}  # by signal number, the handlers that are replaced during compilation


def _begin(*_: Any) -> None:
    if stop_request.depth and stop_request.received:  # not a request that ended an earlier run of this process
        raise StoppedWhileCompiling(stop_request.received)
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if callable(handler := signal.getsignal(number)):
                _handlers[number] = handler
                signal.signal(number, _stop)


def _end(*_: Any) -> None:
    if signal.SIGALRM in _handlers:
        signal.setitimer(signal.ITIMER_REAL, 0)
    while _handlers:
        signal.signal(*_handlers.popitem())


def _stop(number: int, frame: FrameType | None) -> None:
    handler, stop = _handlers[number], StoppedWhileCompiling(signal.Signals(number).name)
    _end()  # further signals are only recorded, so that no second exception interrupts the first
    handler(number, frame)

    def stop_again(*_: Any) -> None:
        raise stop

    _handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, stop_again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise stop


def make_compilation_interruptible() -> None:
    """Make every compilation in this process react to signals as described above, until ``torch._dynamo.reset``."""
    from torch._dynamo.callback import callback_handler
    from torch._inductor import cpp_builder
    from torch._inductor.compile_worker import subproc_pool

    cpp_builder.subprocess = subproc_pool.subprocess = _Subprocess()  # type: ignore[assignment, attr-defined]
    if _begin not in callback_handler.start_callbacks:
        callback_handler.register_start_callback(_begin)
        callback_handler.register_end_callback(_end)
