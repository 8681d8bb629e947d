"""Trains one run of a sweep in a process of its own: a child of the sweep's command, or a job of a cluster."""

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


def run_with_exit_code(config: Config, command: str, name: str = "") -> tuple[int, str]:
    """Train and evaluate one network; return an exit code and why it failed or stopped, empty after success."""
    try:
        run(config, command, name)
    except UserError as error:
        print(f"{name}: {error}" if name else error, file=sys.stderr, flush=True)
        return error.exit_code, str(error)
    except signals.Interrupted as stop:
        return stop.exit_code, str(stop)
    except Exception as error:
        traceback.print_exception(error)  # a fault of this program, not of the user
        return 1, f"{type(error).__name__}: {error}"
    return 0, ""


def train_in_child(config: Config, command: str, name: str, share: int, parent: Connection) -> None:
    """Train one run in this process, which a sweep on this machine has started, and exit with the run's exit code.

    ``parent``: a pipe to the sweep's command. The run saves and exits if the name of a signal arrives through it, or if it
    closes because the command has ended; the outcome is sent back through it. ``share``: how many runs share the cores.
    """
    console.ignore_failed_output()
    tqdm.set_lock(threading.RLock())  # tqdm's default, shared by processes, leaves a semaphore after a kill
    with signals.stop_request as stop:
        signals.unblock_stop_signals()
        threading.Thread(target=_wait_for_stop, args=(parent, stop), daemon=True).start()
        if share > 1 and "OMP_NUM_THREADS" not in os.environ:
            import torch

            torch.set_num_threads(max(1, torch.get_num_threads() // share))
        code, reason = run_with_exit_code(config, command, name)
        try:  # before the handlers are gone: a late stop signal would end a finished run as a failed one
            parent.send((code, reason))
        except OSError:  # the command is gone
            if code == signals.Interrupted.exit_code:
                print(reason, file=sys.stderr)
    signals.ignore_stop_signals()  # one that comes just before does no harm: the outcome is sent
    sys.exit(code)


def _wait_for_stop(parent: Connection, stop: signals.StopRequest) -> None:
    """Wait for a signal's name and send this process that signal, or SIGTERM at the end of the pipe; it ends compilations too."""
    try:
        name = str(parent.recv())
    except (EOFError, OSError):
        name = "SIGTERM"
    if not stop.received:  # the signal may have reached the whole process group
        os.kill(os.getpid(), getattr(signal, name))
    stop.received = stop.received or "the end of the command that started it"
