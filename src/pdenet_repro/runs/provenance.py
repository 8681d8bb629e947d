"""Finds the provenance of a result: the command, the commit and the versions that computed it."""

import hashlib
import importlib.metadata
import platform
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from pdenet_repro.version import __version__

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf", "safetensors", "tensorboard")


def command(module: str = "pdenet_repro") -> str:
    """Return the command that was typed, ready to be typed again; in a script or a notebook, the command that started it."""
    started = sys.orig_argv[1:]
    if "-m" in started and started[started.index("-m") + 1 :][:1] == [module]:
        return shlex.join(["python", "-m", module, *sys.argv[1:]])
    return shlex.join(["python", *started])


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the packages that it computes with."""
    found = {"python": platform.python_version(), "pdenet-repro": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


@cache
def git_commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None outside a checkout.

    Local changes are appended as ``+changes-HASH``, the start of the SHA-256 of their ``git diff``. The first result is kept
    for this process. The first call must come before work that takes long: meanwhile the checkout may change, and the code
    that runs does not. git runs in a session of its own, so that a signal to the process group (Ctrl-C) does not end it.
    """
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            start_new_session=True,
            timeout=60,  # a slow network file system; without a commit the run's next attempt would warn of another program
        ).stdout.strip()

    try:
        if not git("ls-files", Path(__file__).name):  # installed inside the repository of another project
            return None
        changes = git("diff", "HEAD", "--binary")
        mark = f"+changes-{hashlib.sha256(changes.encode(errors='replace')).hexdigest()[:8]}" if changes else ""
        return git("rev-parse", "HEAD") + mark
    except (OSError, subprocess.SubprocessError):
        return None
