"""Writes and reads the built-in data set: ten classes of drawn shapes and textures, made from a seed, in STL-10's file layout.

It is for demos and tests, which must not download 2.6 GB: 2,000 training and 1,000 test images, drawn in a few seconds and
kept in the user's cache folder. The images are drawn by `drawing`.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.data import stl10
from pdenet_repro.data.cache import cache_folder
from pdenet_repro.data.drawing import FIGURES, draw
from pdenet_repro.system.errors import DataError, StorageError

VERSION = 1  # raise it whenever any image changes
TRAIN_PER_CLASS, TEST_PER_CLASS = 200, 100
FOLDS = 10  # each holds a tenth of the training images
CLASS_NAMES = tuple(FIGURES)

_RECORD = "drawn.txt"  # holds `set_name`
_SUMS = "MD5SUMS"
_CHUNK = 10  # images drawn at a time; so many fit a processor's cache
_ABANDONED = 3600  # seconds after which no process can still be drawing into a temporary folder


def set_name(seed: int = 0, train_per_class: int = TRAIN_PER_CLASS, test_per_class: int = TEST_PER_CLASS) -> str:
    """Return the name of a set: version, seed, and the sizes if they are not the default ones."""
    sizes = f"-{train_per_class}x{test_per_class}"
    return f"shapes-v{VERSION}-seed{seed}" + (sizes if sizes != f"-{TRAIN_PER_CLASS}x{TEST_PER_CLASS}" else "")


def ensure(
    root: Path | None = None,
    seed: int = 0,
    train_per_class: int = TRAIN_PER_CLASS,
    test_per_class: int = TEST_PER_CLASS,
    say: Callable[[str], None] = print,
) -> Path:
    """Return the folder whose ``stl10_binary`` holds the set, ``root`` or one in the cache; draw the set if it is missing.

    A killed process leaves nothing that could be taken for the set, and two processes may draw it at the same time.

    Raises
    ------
    DataError
        The folder holds something else.
    StorageError
        The set cannot be written.
    """
    name = set_name(seed, train_per_class, test_per_class)
    folder = (cache_folder() / name) if root is None else Path(root).expanduser().absolute()
    target = stl10.stl10_folder(folder)
    _remove_abandoned(target)
    try:
        if not target.exists():
            say(f"drawing the built-in data set into {target} (a few seconds, once)")
            _make(target, name, seed, train_per_class, test_per_class)
        record = target / _RECORD
        found = record.read_text(encoding="utf-8", errors="replace").strip() if record.is_file() else ""
    except OSError as error:
        fault = f"cannot keep the built-in data set in {folder}: {error.strerror or error}"
        raise StorageError(f"{fault}; choose another data.root=") from error
    if found != name:
        raise DataError(_refusal(target, found, name, own=root is None))
    return folder


def _refusal(target: Path, found: str, name: str, *, own: bool) -> str:
    """The message if the folder does not hold the set ``name``; it advises to delete only what this program has drawn."""
    if re.fullmatch(r"shapes-v\d+-seed\d+(-\d+x\d+)?", found):
        return f"{target} holds {found}, not {name}; delete it or choose another data.root="
    fault = f"{target} does not hold the built-in images {name}: no {_RECORD} in it names them"
    if own:
        return f"{fault}; delete it, and the same command draws them anew"
    return f"{fault}; use data=stl10 if it holds STL-10, or leave out data.root= to have them drawn in the cache"


def read(folder: Path) -> stl10.Dataset:
    """Read and verify the set in a folder that `ensure` returned; raise DataError if a file is damaged."""
    inner = stl10.stl10_folder(folder)
    remedy = f"delete {inner} and run the same command again to have it drawn anew"
    try:
        sums = stl10.parse_md5sums(inner / _SUMS)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from error
    return stl10.read(inner, sums, CLASS_NAMES, need_folds=True, remedy=remedy)


def _make(target: Path, name: str, seed: int, train_per_class: int, test_per_class: int) -> None:
    """Write all files into a temporary folder beside the target, and rename it unless another process was faster."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        sums = ""
        for file, content in _files(name, seed, train_per_class, test_per_class).items():
            _write(temporary / file, content)
            sums += f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {file}\n"
        _write(temporary / _SUMS, sums.encode())
        try:
            temporary.rename(target)
        except OSError:
            if not (target / _SUMS).is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    """Delete temporary folders beside the target that killed processes left, where that is permitted."""
    with suppress(OSError):
        for temporary in target.parent.glob(f".{target.name}.*.tmp"):
            if time.time() - temporary.stat().st_mtime > _ABANDONED:
                shutil.rmtree(temporary)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _files(name: str, seed: int, train_per_class: int, test_per_class: int) -> dict[str, bytes]:
    """The content of every file of a set, by its name."""
    train_X, train_y = _split(seed, 0, train_per_class)
    test_X, test_y = _split(seed, 1, test_per_class)
    folds = "".join(" ".join(map(str, fold)) + "\n" for fold in _folds(train_y))
    return {
        "train_X.bin": train_X.tobytes(),
        "train_y.bin": train_y.tobytes(),
        "test_X.bin": test_X.tobytes(),
        "test_y.bin": test_y.tobytes(),
        "fold_indices.txt": folds.encode(),
        "class_names.txt": "".join(f"{figure}\n" for figure in CLASS_NAMES).encode(),
        _RECORD: f"{name}\n".encode(),
    }


def _split(seed: int, split: int, per_class: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw images (N, 3, 96, 96), columns before rows as in STL-10's files, and labels 1..10, in a random order.

    An image depends only on seed, split, class and its number in the class: a larger set contains the images of a smaller one.
    """
    classes = len(CLASS_NAMES)
    mixing = np.random.PCG64(np.random.SeedSequence([seed, split, classes, 0])).random_raw(classes * per_class)
    place = np.argsort(np.argsort(mixing, kind="stable")).reshape(classes, per_class)
    images = np.empty((classes * per_class, 3, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    labels = np.empty(classes * per_class, np.uint8)
    for label, name in enumerate(CLASS_NAMES):
        labels[place[label]] = label + 1
        for start in range(0, per_class, _CHUNK):
            numbers = range(start, min(start + _CHUNK, per_class))
            seeds = [(seed, split, label, number) for number in numbers]
            images[place[label, numbers.start : numbers.stop]] = draw(name, seeds).swapaxes(2, 3)
    return images, labels


def _folds(labels: NDArray[np.uint8]) -> list[list[int]]:
    """The indices of each fold, equally many of each class; the folds are disjoint if a class has enough images."""
    per_class = len(labels) // len(CLASS_NAMES)
    size = max(1, per_class // FOLDS)
    of_class = np.stack([np.flatnonzero(labels == label + 1) for label in range(len(CLASS_NAMES))])
    chosen = [(np.arange(size) + fold * size) % per_class for fold in range(FOLDS)]
    return [sorted(of_class[:, columns].ravel().tolist()) for columns in chosen]
