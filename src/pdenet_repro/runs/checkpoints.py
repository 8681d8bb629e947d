"""Saves and loads the state of an unfinished run: written atomically, verified when read, the previous one kept."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from pdenet_repro.config.schema import Config
from pdenet_repro.runs.folder import differences, from_yaml, to_yaml
from pdenet_repro.system.errors import CheckpointError, NonFiniteNumbers, StorageError, first_line
from pdenet_repro.system.files import make_folder, remove, remove_leftovers, storage_errors, write_atomically

NAME = re.compile(r"step-(\d{8})-([0-9a-f]{16})\.safetensors")


@dataclass
class Checkpoint:
    """The state from which a run continues as if it had never stopped: tensors by name, and values for JSON."""

    step: int  # training steps since the beginning of the run
    tensors: dict[str, Tensor]
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class History:
    """Everything that a run has measured so far; the values of a checkpoint hold it under these names."""

    rows: list[dict[str, Any]] = field(default_factory=list)  # rows of metrics.csv
    timings: list[dict[str, Any]] = field(default_factory=list)  # rows of timings.csv
    attempts: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=lambda: {"epoch": 0, "accuracy": -1.0})  # on the validation images
    seconds: float = 0.0  # of training so far in the current epoch
    wall_seconds: float = 0.0  # of all attempts together


class Checkpoints:
    """Checkpoints of one run, in one folder; the last two are kept.

    The name of a file holds its step and the start of its SHA-256, so that one rename sets both and damage is noticed. The
    file also holds the run's configuration, so that no run continues from a checkpoint of another. Its format is safetensors,
    not pickle: loading a file from elsewhere runs no code.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config

    @cached_property
    def _configuration(self) -> str:
        return to_yaml(self.config)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, read it back, and only then delete all but the last two.

        Raises
        ------
        NonFiniteNumbers
            A tensor holds infinite or NaN numbers; nothing is written.
        StorageError
            The file cannot be written, for example because the disk is full.
        """
        refuse_non_finite(checkpoint.tensors, f"at step {checkpoint.step}")
        make_folder(self.folder)
        if any(step == checkpoint.step for step, _ in self._found()):
            return
        metadata = {"values": json.dumps(checkpoint.values), "configuration": self._configuration}
        data = save_tensors(checkpoint.tensors, metadata)
        path = self.folder / f"step-{checkpoint.step:08d}-{_digest(data)}.safetensors"
        write_atomically(path, data)
        with storage_errors(path):
            if _digest(path.read_bytes()) == _digest(data):
                for _, old in self._found()[:-2]:
                    remove(old)

    def load(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest usable checkpoint, or None if there never was one.

        If an older one is usable, a damaged one is renamed, and ``warn`` is called with a line. The folder is not created:
        an attempt that fails before it saves anything must leave no trace of a run.

        Raises
        ------
        CheckpointError
            There are checkpoints but none is usable, or the newest is of another configuration.
        StorageError
            The folder is not writable: a run must not find that out only when it has trained for a while.
        """
        if self.folder.is_dir():
            make_folder(self.folder)  # StorageError if it is not writable
            remove_leftovers(self.folder)
        elif os.path.lexists(self.folder):
            raise StorageError(f"{self.folder} is no folder, and must be one for checkpoints; move it away")
        damaged = [(path, "it is no file") for path in self.folder.glob("step-*.safetensors") if not path.is_file()]
        for step, path in reversed(self._found()):
            try:
                found = self._read(step, path)
            except ValueError as error:
                damaged.append((path, str(error)))
                continue
            for path, reason in damaged:
                self._set_aside(path, reason, warn)
            return found
        if damaged:
            path, reason = damaged[0]
            raise CheckpointError(
                f"{path} is damaged ({reason}), and there is no older checkpoint; restore it from a copy, or move "
                f"{self.folder} away to train from the start"
            )
        return None

    def _read(self, step: int, path: Path) -> Checkpoint:
        """Read one checkpoint; ValueError if it is damaged, CheckpointError if it is another run's or cannot be read."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}; make it readable") from error
        if _digest(data) not in path.name:
            raise ValueError(f"its SHA-256 begins with {_digest(data)}")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
            values, tensors = json.loads(metadata["values"]), load_tensors(data)
        except (OSError, KeyError, TypeError, SafetensorError) as error:
            raise ValueError(first_line(error)) from error
        if "configuration" in metadata:  # version 0.1 wrote none; RunFolder has compared config.yaml
            try:
                different = differences(from_yaml(metadata["configuration"]), self.config)
            except ValueError as error:
                raise CheckpointError(
                    f"{path} is of another version of this program ({error}); continue with that version, or move "
                    f"{self.folder} away to train from the start"
                ) from error
            if different:
                raise CheckpointError(
                    f"{path} is of a run of another configuration ({'; '.join(different)}); move it away, or give this run its "
                    f"own name=..."
                )
        return Checkpoint(step, tensors, values)

    def _set_aside(self, path: Path, reason: object, warn: Callable[[str], None]) -> None:
        """Rename a damaged checkpoint to an unused name; it is never deleted."""
        aside, number = path.with_name(f"{path.name}.damaged"), 1
        while os.path.lexists(aside):
            number += 1
            aside = path.with_name(f"{path.name}.damaged-{number}")
        warn(f"checkpoint {path} cannot be used ({reason}); it is set aside as {aside.name}")
        with storage_errors(path):
            path.rename(aside)

    def clear(self) -> None:
        """Delete the checkpoints of a run that is finished. Damaged ones, and those that cannot be deleted, stay."""
        for _, path in self._found():
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):  # the folder holds other files, or does not exist
            self.folder.rmdir()

    def _found(self) -> list[tuple[int, Path]]:
        matches = [(NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*.safetensors")]
        return sorted((int(match[1]), path) for match, path in matches if match and path.is_file())


def refuse_non_finite(tensors: Mapping[str, Tensor], when: str) -> None:
    """Raise NonFiniteNumbers, which names the tensors, if one has infinite or NaN numbers; ``when``: as ``at step 5``."""
    wrong = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if wrong:
        raise NonFiniteNumbers(
            f"{', '.join(wrong[:3])}{' and others' * (len(wrong) > 3)} hold infinite or NaN numbers {when}, so they "
            f"are not saved; choose a smaller schedule.learning_rate or network.step_size, or another network.norm"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
