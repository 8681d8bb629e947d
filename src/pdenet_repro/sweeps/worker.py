"""One run in a process of its own: what the process does, whoever started it."""

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from tqdm import tqdm

from pdenet_repro.config.schema import Config
from pdenet_repro.runs.run import run
from pdenet_repro.system import console, signals
from pdenet_repro.system.errors import UserError


def attempt(config: Config, command: str, name: str = "") -> tuple[int, str]:
    """Train and evaluate one network; returns an exit code and a sentence, empty where all went well."""
    try:
        run(config, command, name)
    except UserError as error:
        print(f"{name}: {error}" if name else error, file=sys.stderr, flush=True)
        return error.exit_code, str(error)
    except signals.Interrupted as stop:
        return stop.exit_code, str(stop)
    except Exception as error:
        traceback.print_exception(error)  # ours to mend, not the user's
        return 1, f"{type(error).__name__}: {error}"
    return 0, ""


def work(config: Config, command: str, name: str, share: int, parent: Connection) -> None:
    """One run of a sweep on this machine.

    ``parent`` is the command's end of a pipe: the name of a signal that comes through it, or its end when the command is
    gone, has the run save and leave; the outcome goes back through it. ``share``: how many runs share the cores.
    """
    console.ignore_failed_output()
    tqdm.set_lock(threading.RLock())  # its own is between processes, and whoever is killed would leave a semaphore
    with signals.stop_request as stop:
        signals.allow_orders()
        threading.Thread(target=_obey, args=(parent, stop), daemon=True).start()
        if share > 1 and "OMP_NUM_THREADS" not in os.environ:
            import torch

            torch.set_num_threads(max(1, torch.get_num_threads() // share))
        code, reason = attempt(config, command, name)
    try:
        parent.send((code, reason))
    except OSError:  # the command is gone
        if code == signals.Interrupted.exit_code:
            print(reason, file=sys.stderr)
    sys.exit(code)


def _obey(parent: Connection, stop: signals.StopRequest) -> None:
    """Wait for the order to stop, and pass it on as the signal that it was, which ends a compilation as well."""
    try:
        order = str(parent.recv())
    except (EOFError, OSError):
        order = "SIGTERM"
    if not stop.received:  # the signal may have reached the whole process group
        os.kill(os.getpid(), getattr(signal, order))
    stop.received = stop.received or "the end of the command that started it"
