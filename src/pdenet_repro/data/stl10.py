"""Reads STL-10 from the official files: ten classes, 5,000 training and 8,000 test images of 96x96 pixels.

Coates, Ng, Lee: "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011). The built-in data
set has the same layout: ``train_X.bin`` and ``test_X.bin`` hold uint8 pixels, channel after channel, column after column;
``train_y.bin`` and ``test_y.bin`` hold one byte an image, the class from 1 on; each line of ``fold_indices.txt`` holds the
training images of one fold, counted from 0. Every file's MD5 is compared with the expected one before its content is used.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.data.cache import md5_verified_once
from pdenet_repro.system.errors import DataError

IMAGE_BYTES = 3 * IMAGE_SIDE * IMAGE_SIDE

LABELLED = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
FOLDS = "fold_indices.txt"

STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
STL10_MD5: Mapping[str, str] = MappingProxyType(
    {
        "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
        "train_y.bin": "5a34089d4802c674881badbb80307741",
        "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
        "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
        "class_names.txt": "6de44d022411c4d5cda4673b7f147c3f",
        "fold_indices.txt": "4bbf8cd098ab9f87fe03fbcb37c06b28",
    }
)


@dataclass(frozen=True, eq=False)
class Images:
    """The images and labels of one split."""

    pixels: np.ndarray  # (N, 3, H, W) uint8, a read-only view of the file
    labels: np.ndarray  # (N,) int64, from 0 on


@dataclass(frozen=True, eq=False)
class Dataset:
    """A verified data set; ``folds`` are indices into ``train``, and empty if the folder has no ``fold_indices.txt``."""

    train: Images
    test: Images
    class_names: tuple[str, ...]
    folds: tuple[np.ndarray, ...]
    checksums: Mapping[str, str]  # file that was read -> its MD5


def stl10_folder(root: Path) -> Path:
    """Return the absolute path of the folder of the files; ``root`` is that folder, or the one that holds ``stl10_binary``."""
    root = Path(root).expanduser().absolute()
    inner = root / "stl10_binary"  # os.path: pathlib raises in unreadable folders, which `read` reports
    if not os.path.isdir(inner) and (root.name == inner.name or any(os.path.isfile(root / name) for name in LABELLED)):
        return root
    return inner


def read_stl10(root: Path, need_folds: bool = False) -> Dataset:
    """Return the official data set in ``root``; ``fold_indices.txt`` is required only with ``need_folds``.

    Raises
    ------
    DataError
        A file is missing, damaged or cannot be read.
    """
    command = f"python -m pdenet_repro data=stl10 {shlex.quote(f'data.root={root}')} data.download=true"
    return read(
        stl10_folder(root),
        STL10_MD5,
        STL10_CLASSES,
        need_folds=need_folds,
        remedy=f"download with `{command}`, or try data=shapes, which needs no download",
        wrong="it is not STL-10's, or damaged; move it away, or choose another data.root= (data.download=true fetches STL-10 "
        "there, and replaces no file)",
    )


def read(
    folder: Path,
    md5: Mapping[str, str],
    class_names: Sequence[str],
    *,
    need_folds: bool = False,
    remedy: str = "put an intact copy there",
    wrong: str = "",
) -> Dataset:
    """Return the data set in ``folder``, which has STL-10's layout; its files must have the MD5s ``md5``.

    ``remedy`` ends the message about a missing file, ``wrong`` that about a file with another content; if ``wrong`` is empty,
    ``remedy`` ends both.

    Raises
    ------
    DataError
        A file is missing, damaged or cannot be read.
    """
    source = _Source(folder.absolute(), md5, remedy, wrong or remedy, {})
    try:
        listing = _listing(source.folder)
        if missing := [name for name in (*LABELLED, *[FOLDS] * need_folds) if name not in listing]:
            raise DataError(f"{source.folder} lacks {', '.join(missing)}; {source.remedy}")
        train = _images(source, "train", len(class_names))
        test = _images(source, "test", len(class_names))
        folds = _folds(source, len(train.labels)) if FOLDS in listing else ()
    except OSError as error:
        path = Path(error.filename or source.folder)
        link, remedy = (
            (f", a link to {path.readlink()}", "repair it") if os.path.islink(path) else ("", "make it readable")
        )
        fault = f"cannot read {path}{link}: {error.strerror or error}"
        raise DataError(f"{fault}; {remedy}, or choose another folder") from error
    return Dataset(train, test, tuple(class_names), folds, source.checksums)


def parse_md5sums(path: Path) -> dict[str, str]:
    """Return {file name: MD5} from a file that the command ``md5sum`` wrote; raise DataError if it is damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path.absolute()}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path.absolute()} is damaged: it is no text in UTF-8") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not (entry := re.fullmatch(r"([0-9a-f]{32}) [ *](.+)", line)):
            raise DataError(f"{path.absolute()}, line {number}, is {line!r}, expected 'MD5  FILE' as md5sum writes it")
        sums[entry[2]] = entry[1]
    return sums


@dataclass(frozen=True)
class _Source:
    """A folder of files to verify, and the MD5s of the files that were verified."""

    folder: Path
    md5: Mapping[str, str]
    remedy: str
    wrong: str
    checksums: dict[str, str]

    def error(self, fault: str) -> DataError:
        return DataError(f"{fault}; {self.wrong}")

    def verified(self, name: str) -> Path:
        path = self.folder / name
        if name not in self.md5:
            raise self.error(f"{path} cannot be verified: no MD5 of it is known")
        try:
            found = md5_verified_once(path, self.md5[name])
        except OSError as error:
            error.filename = str(path)  # for a link, the system names its target
            raise
        if found != self.md5[name]:
            size = path.stat().st_size
            raise self.error(f"{path} has the MD5 {found} ({size} bytes), expected {self.md5[name]}")
        self.checksums[name] = found
        return path


def _listing(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return set()


def _images(source: _Source, split: str, classes: int) -> Images:
    """The images of one split. The labels are read first, because their number gives the expected size of the image file."""
    path = source.verified(f"{split}_y.bin")
    labels = np.fromfile(path, np.uint8).astype(np.int64)
    if not len(labels) or labels.min() < 1 or labels.max() > classes:
        raise source.error(f"{path} holds labels {np.unique(labels).tolist()}, expected 1 to {classes}")

    path = source.folder / f"{split}_X.bin"
    size, expected = path.stat().st_size, len(labels) * IMAGE_BYTES
    if size != expected:
        fault = "cut short" if size < expected else "too long"
        raise source.error(f"{path} is {fault}: {size} bytes, expected {expected}")
    columns_first = np.memmap(source.verified(path.name), np.uint8, "r", shape=(len(labels), 3, IMAGE_SIDE, IMAGE_SIDE))
    return Images(np.asarray(columns_first).swapaxes(2, 3), labels - 1)


def _folds(source: _Source, images: int) -> tuple[np.ndarray, ...]:
    path = source.verified(FOLDS)
    folds = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            fold = np.array(line.split(), dtype=np.int64)
        except (ValueError, OverflowError):
            raise source.error(f"{path}, line {number}, holds something other than whole numbers") from None
        if not len(fold) or fold.min() < 0 or fold.max() >= images:
            raise source.error(f"{path}, line {number}, must hold indices 0 to {images - 1} of training images")
        folds.append(fold)
    return tuple(folds)
