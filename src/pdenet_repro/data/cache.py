"""Finds the user's cache folder, and records in it which data files have a verified MD5, so that each is verified once."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pdenet_repro.system.errors import StorageError
from pdenet_repro.system.files import write_atomically


def cache_folder() -> Path:
    """Return the folder for files that can be made again.

    It is ``$PDENET_CACHE``, or else ``pdenet-repro`` in ``$XDG_CACHE_HOME``, or else ``~/.cache/pdenet-repro``.

    Raises
    ------
    StorageError
        The user has no home folder, ``$PDENET_CACHE`` is not set, and ``$XDG_CACHE_HOME`` is no absolute path.
    """
    if own := os.environ.get("PDENET_CACHE"):
        return Path(own).absolute()
    if (shared := os.environ.get("XDG_CACHE_HOME", "")).startswith("/"):  # the XDG specification ignores relative paths
        return Path(shared) / "pdenet-repro"
    try:
        return Path.home() / ".cache" / "pdenet-repro"
    except RuntimeError:
        raise StorageError("this user has no home folder to cache in: set PDENET_CACHE to a folder") from None


def md5_of(path: Path) -> str:
    """Return the MD5 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_verified_once(path: Path, expected: str) -> str:
    """Return the MD5 of a file; it is not computed again if it was ``expected`` before and the file has not changed since."""
    path = Path(os.path.realpath(path, strict=True))
    mark = _mark(path, expected)
    if _remembered(path.parent).get(path.name) == mark:
        return expected
    found = md5_of(path)
    if found == expected and _mark(path, expected) == mark:
        _remember(path, mark)
    return found


def _mark(path: Path, md5: str) -> list[Any]:
    """Size, times of change, and MD5: some of them differ after the file has changed. A list, because JSON has no tuples."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, md5]


def _record_file(folder: Path) -> Path:
    return cache_folder() / "verified" / f"{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.json"


def _remembered(folder: Path) -> dict[str, Any]:
    """The marks of a folder's verified files, by name; empty if their record is missing, damaged or cannot be read."""
    try:
        files = json.loads(_record_file(folder).read_bytes())["files"]
    except (OSError, StorageError, ValueError, LookupError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def _remember(path: Path, mark: list[Any]) -> None:
    """Add one mark to the folder's record, atomically; if it cannot be written, the file is verified again next time."""
    with suppress(OSError, StorageError):
        record = _record_file(path.parent)
        record.parent.mkdir(parents=True, exist_ok=True)
        content = {"folder": str(path.parent), "files": _remembered(path.parent) | {path.name: mark}}
        write_atomically(record, json.dumps(content, indent=1))
