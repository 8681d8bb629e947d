"""The state of an unfinished run on disk: atomic, verified, the previous one kept."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from pdenet_repro.system.errors import StorageError
from pdenet_repro.system.files import make_folder, remove, remove_leftovers, storage_errors, write_atomically

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
        """The newest usable checkpoint, None if there is none; ``warn`` is told each damaged or foreign one, set aside.

        StorageError where no checkpoint could be saved: a run must not find that out when it has trained for a while.
        The folder is not made, for an attempt that fails before it saves anything must leave no trace of a run.
        """
        if self.folder.is_dir():
            make_folder(self.folder)  # whether it can be written
            remove_leftovers(self.folder)
        elif os.path.lexists(self.folder):
            raise StorageError(f"{self.folder} is no folder, and must be one for checkpoints; move it away")
        for path in sorted(self.folder.glob("step-*.safetensors")):
            if not path.is_file():
                self._set_aside(path, "it is no file", warn)
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
                self._set_aside(path, error, warn)
        return None

    def _set_aside(self, path: Path, reason: object, warn: Callable[[str], None]) -> None:
        """Give it a name under which it is not looked for, one that nothing has yet."""
        aside, number = path.with_name(f"{path.name}.damaged"), 1
        while os.path.lexists(aside):
            number += 1
            aside = path.with_name(f"{path.name}.damaged-{number}")
        warn(f"checkpoint {path} cannot be used ({reason}); it is set aside as {aside.name}")
        with storage_errors(path):
            path.rename(aside)

    def newest_step(self) -> int:
        """Step of the newest checkpoint, by its name; 0 if there is none."""
        return max((step for step, _ in self._found()), default=0)

    def clear(self) -> None:
        """Remove them all, when the run is finished; what cannot be removed, such as a folder, stays and harms no one."""
        for path in self.folder.glob("step-*.safetensors*"):
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):  # it holds something else, or was never made
            self.folder.rmdir()

    def _found(self) -> list[tuple[int, Path]]:
        matches = [(NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.safetensors")]
        return sorted((int(match[1]), path) for match, path in matches if match and path.is_file())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
