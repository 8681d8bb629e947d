"""Atomic writing of files: a file is written beside its target, flushed to disk, and renamed over the target."""

import errno
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

from pdenet_repro.system.errors import StorageError

Result = TypeVar("Result")

RETRY_DELAYS = (1, 5, 15, 30, 60, 60, 60)  # seconds before each new attempt of write_with_retries


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Context that turns an OSError while ``path`` is written into a StorageError of one sentence."""
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "free some space and run the same command again",
            errno.EDQUOT: "free some of the quota and run the same command again",
            errno.EACCES: "choose a folder you may write to (output_root=, or --output of a report)",
            errno.EROFS: "choose a folder you may write to (output_root=, or --output of a report)",
            errno.ENOTDIR: "a file stands where a folder is needed; choose another (output_root=, or --output of a report)",
            errno.EISDIR: "a folder stands where a file is needed; move it away",
            errno.EEXIST: "a file stands where a folder is needed; choose another (output_root=, or --output of a report)",
        }.get(error.errno or 0, "everything saved before is untouched")
        raise StorageError(f"cannot write {path}: {error.strerror or error}; {advice}") from error


def npz(**arrays: Any) -> bytes:
    """Return the content of a compressed ``.npz`` file of the arrays."""
    import numpy  # commands that write no arrays start without it

    file = io.BytesIO()
    numpy.savez_compressed(file, **arrays)
    return file.getvalue()


def make_folder(path: Path) -> None:
    """Create a folder and its parents, if they are missing; StorageError if that fails or the folder is not writable."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match ``pattern`` below a folder; none if a folder is removed meanwhile, as a run that ends does."""
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:
        return []


def remove(path: Path) -> None:
    """Delete a file, if it is there; StorageError if that fails."""
    with storage_errors(path):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a crash at any instant leaves the old content or the new; StorageError if that fails.

    Strings are written as UTF-8.
    """
    # surrogateescape: a path that the locale could not decode is written with its original bytes
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_with_retries(write: Callable[[], Result], warn: Callable[[str], None]) -> Result:
    """Call ``write`` and return its result; after a StorageError call ``warn`` with a line, wait and try again.

    The StorageError of the eighth attempt, which comes after about four minutes, is raised.
    """
    for delay in RETRY_DELAYS:
        try:
            return write()
        except StorageError as error:
            warn(f"{error}; trying again in {delay} s")
            time.sleep(delay)
    return write()


def _flush_folder(folder: Path) -> None:
    """Flush a folder to disk, where the file system can, so that a rename in it survives a power cut."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file; an empty one if the file is missing or damaged or may not be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of a process that was killed while it wrote. The caller must hold the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
