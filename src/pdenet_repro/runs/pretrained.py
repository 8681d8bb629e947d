"""The trained networks that come with the package: ``pretrained/NAME``, each a run folder with weights in half precision.

Beside ``config.yaml``, ``summary.json``, the test predictions and ``weights.safetensors``, which holds float16 weights and
float32 running statistics, such a folder has a card: ``card.json`` for programs and ``README.md`` for people.
``python -m pdenet_repro.export`` makes it (`pdenet_repro.runs.export`). Nothing here imports torch before a network is
loaded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdenet_repro.system.errors import InvalidConfig, RunFolderError

if TYPE_CHECKING:
    from pdenet_repro.networks.pdenet import PDENet

PREFIX = "pretrained:"  # of a name where a command takes a folder


def folder() -> Path:
    """The folder of all pretrained networks."""
    return Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """The names of the pretrained networks that are there."""
    return sorted(path.parent.name for path in folder().glob("*/card.json"))


def folder_of(name: str) -> Path:
    """The folder of one; RunFolderError names those that there are."""
    if name not in names():
        raise RunFolderError(f"{name!r}: must be a pretrained network: {', '.join(names()) or 'none is installed'}")
    return folder() / name


def resolve(word: str) -> Path:
    """The folder that a word of a command means: ``pretrained:NAME``, or a folder itself."""
    return folder_of(word.removeprefix(PREFIX)) if word.startswith(PREFIX) else Path(word)


def word_of(path: Path | None) -> str:
    """What a command calls a network's folder, the inverse of `resolve`: no path of the installed package; empty for None."""
    if path is None:
        return ""
    return f"{PREFIX}{path.name}" if path.parent == folder() else str(path)


def resolve_all(words: Sequence[str | Path], output: Path | None) -> list[Path]:
    """The folders that the words of a command mean; InvalidConfig where nothing says where results are to be written."""
    for word in map(str, words):
        if word.startswith(PREFIX) and output is None:
            raise InvalidConfig(f"{word}: --output FOLDER must be given, for nothing is written into the package")
    return [resolve(str(word)) for word in words]


def load_pretrained(name: str) -> "PDENet":
    """A trained network of the package, on the CPU in evaluation mode, compared with its checksum.

    Call it with raw images, a tensor (N, 3, 96, 96) uint8, for class scores (N, 10), or its ``probabilities``. Its weights
    were rounded to half precision and are float32 again.

    Raises
    ------
    RunFolderError
        There is no network of this name, or its file is damaged.
    """
    from pdenet_repro.runs.results import load_run

    return load_run(folder_of(name))[0]
