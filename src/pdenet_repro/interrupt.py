"""SIGINT, SIGTERM and SIGUSR1 ask a run to finish its step, save and leave; a second one leaves at once."""

import os
import signal
import threading
from types import FrameType, TracebackType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


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
            self.previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)
        self.received = signal.Signals(number).name
