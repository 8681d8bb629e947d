"""Waiting for what happens: on a loaded machine everything takes longer, and only a hang must end a test."""

import time
from collections.abc import Callable
from subprocess import Popen

PATIENCE = 900  # seconds after which a test gives up on a process or a condition


def wait_until(condition: Callable[[], object], process: Popen | None = None) -> None:
    """Return when ``condition`` holds; fail when ``process`` ends before, or after ``PATIENCE``."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"waited for {PATIENCE} seconds"
        time.sleep(0.005)


def end(process: Popen) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process, when it has ended."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err
