"""Finds and loads the networks that come with the package: ``pretrained/NAME``, run folders with half-precision weights.

Beside ``config.yaml``, ``summary.json``, the test predictions and ``weights.safetensors``, which holds float16 weights and
float32 running statistics, such a folder has a card: ``card.json`` for programs and ``README.md`` for people.
``python -m pdenet_repro.export`` makes the folder (`pdenet_repro.runs.export`). This module imports PyTorch only to load a
network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdenet_repro.system.errors import InvalidConfig, RunFolderError

if TYPE_CHECKING:
    from pdenet_repro.networks.pdenet import PDENet

PREFIX = "pretrained:"  # stands before a network's name where a command takes a folder


def folder() -> Path:
    """Return the folder that holds all pretrained networks."""
    return Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """Return the names of the pretrained networks that are installed."""
    return sorted(path.parent.name for path in folder().glob("*/card.json"))


def folder_of(name: str) -> Path:
    """Return the folder of a pretrained network; RunFolderError lists the installed ones if it is not among them."""
    if name not in names():
        raise RunFolderError(f"{name!r}: must be a pretrained network: {', '.join(names()) or 'none is installed'}")
    return folder() / name


def resolve(word: str) -> Path:
    """Return the folder that an argument of a command means: that of ``pretrained:NAME``, or else the argument itself."""
    return folder_of(word.removeprefix(PREFIX)) if word.startswith(PREFIX) else Path(word)


def argument_for(path: Path | None) -> str:
    """Return how a command names a network's folder, the inverse of `resolve`; an empty string for None."""
    if path is None:
        return ""
    return f"{PREFIX}{path.name}" if path.parent == folder() else str(path)


def resolve_all(words: Sequence[str | Path], output: Path | None) -> list[Path]:
    """Return the folders that a command's arguments mean; InvalidConfig if one is pretrained and ``output`` is None."""
    for word in map(str, words):
        if word.startswith(PREFIX) and output is None:
            raise InvalidConfig(f"{word}: --output FOLDER must be given, for nothing is written into the package")
    return [resolve(str(word)) for word in words]


def load_pretrained(name: str) -> "PDENet":
    """Return a trained network of the package, verified by its checksum, on the CPU in evaluation mode.

    Call it, or its ``probabilities``, with raw images, a uint8 tensor (N, 3, 96, 96), for class scores or probabilities
    (N, 10). Its weights were rounded to half precision and are float32 again.

    Raises
    ------
    RunFolderError
        There is no network of this name, or its file is damaged.
    """
    from pdenet_repro.runs.results import load_run

    return load_run(folder_of(name))[0]
