"""The state of an unfinished run on disk: atomic, verified, the previous one kept."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from pdenet_repro.storage import make_folder, remove, remove_leftovers, write_atomically

NAME = re.compile(r"step-(\d{8})-([0-9a-f]{16})\.safetensors")


@dataclass
class Checkpoint:
    """All a run needs to go on as if it had never stopped: tensors by name, and plain values."""

    step: int  # steps taken since the beginning of the run
    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """Checkpoints of one run, in one folder; the last two are kept.

    A file is named after its step and the start of its SHA-256, so that one rename puts both in place and damage
    shows. Safetensors, not pickle: loading a file from elsewhere runs no code. ``run``: what the run is known by, so
    that a checkpoint of another run is not gone on from.
    """

    def __init__(self, folder: Path, run: str = "") -> None:
        self.folder, self.run = folder, run

    def save(self, checkpoint: Checkpoint) -> None:
        """Write, read back, and only then drop all but the last two; StorageError if the disk is full."""
        make_folder(self.folder)
        if any(step == checkpoint.step for step, _ in self._found()):
            return
        data = save_tensors(checkpoint.tensors, {"values": json.dumps(checkpoint.values), "run": self.run})
        path = self.folder / f"step-{checkpoint.step:08d}-{_digest(data)}.safetensors"
        write_atomically(path, data)
        if _digest(path.read_bytes()) == _digest(data):
            for _, old in self._found()[:-2]:
                remove(old)

    def load(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest usable checkpoint, None if there is none; ``warn`` is told each damaged or foreign one, set aside."""
        if self.folder.is_dir():
            remove_leftovers(self.folder)
        for step, path in reversed(self._found()):
            try:
                data = path.read_bytes()
                if _digest(data) not in path.name:
                    raise ValueError(f"its SHA-256 begins with {_digest(data)}")
                with safe_open(path, "pt") as file:
                    metadata = file.metadata()
                if metadata["run"] != self.run:
                    raise ValueError("it is of a run of another configuration")
                values = json.loads(metadata["values"])
                return Checkpoint(step, load_tensors(data), values)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                warn(f"checkpoint {path} cannot be used ({error}); it is set aside as {path.name}.damaged")
                path.replace(path.with_name(path.name + ".damaged"))
        return None

    def newest_step(self) -> int:
        """Step of the newest checkpoint, by its name; 0 if there is none."""
        return max((step for step, _ in self._found()), default=0)

    def clear(self) -> None:
        """Remove them all, when the run is finished."""
        for path in self.folder.glob("step-*.safetensors*"):
            remove(path)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _found(self) -> list[tuple[int, Path]]:
        matches = [(NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.safetensors")]
        return sorted((int(match[1]), path) for match, path in matches if match)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
