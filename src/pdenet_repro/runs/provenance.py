"""Where a result comes from: command, commit, versions."""

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
    """What was typed, ready to be typed again."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Of Python, this package and what it computes with."""
    found = {"python": platform.python_version(), "pdenet-repro": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


@cache
def git_commit() -> str | None:
    """Commit of the checkout this package runs from, with ``+changes`` if it has any; None outside a checkout.

    As it was when this process first asked, which is to be before work that takes long: by its end the checkout may
    have moved on, the code that runs has not.
    """
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if not git("ls-files", Path(__file__).name):  # an environment inside somebody else's repository
            return None
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None
