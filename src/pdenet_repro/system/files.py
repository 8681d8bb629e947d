"""Files that are whole or absent: written beside the target, flushed to disk, renamed over it."""

import errno
import hashlib
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

RETRY_DELAYS = (1, 5, 15, 30, 60, 60, 60)  # seconds before each new attempt to write what a run cannot do without


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing ``path`` into a StorageError of one sentence."""
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


def make_folder(path: Path) -> None:
    """Create a folder and its parents, if they are missing; StorageError if that fails or nothing can be written there."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass


def remove(path: Path) -> None:
    """Delete a file, if it is there; StorageError if that fails."""
    with storage_errors(path):
        path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a crash at any instant leaves the old content or the new, never a part. Strings are UTF-8."""
    # paths that the locale could not decode get their bytes back
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


def write_persistently(write: Callable[[], Result], warn: Callable[[str], None]) -> Result:
    """Call ``write``, again and again for minutes where it raises StorageError; ``warn`` is told of each failure."""
    for delay in RETRY_DELAYS:
        try:
            return write()
        except StorageError as error:
            warn(f"{error}; trying again in {delay} s")
            time.sleep(delay)
    return write()


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; an empty one where the file is missing, damaged, or somebody else's."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of a process that was killed while it wrote. Only for the holder of the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
