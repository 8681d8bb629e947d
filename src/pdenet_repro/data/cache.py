"""The user's cache folder, and the record in it of data files whose MD5 was verified and that have not changed since."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pdenet_repro.system.errors import StorageError
from pdenet_repro.system.files import write_atomically


def cache_folder() -> Path:
    """The folder for files that this package can make again: ``$PDENET_CACHE``, else ``pdenet-repro`` in the user's cache."""
    if own := os.environ.get("PDENET_CACHE"):
        return Path(own).absolute()
    if (shared := os.environ.get("XDG_CACHE_HOME", "")).startswith("/"):  # its specification: ignore relative paths
        return Path(shared) / "pdenet-repro"
    try:
        return Path.home() / ".cache" / "pdenet-repro"
    except RuntimeError:
        raise StorageError("this user has no home folder to cache in: set PDENET_CACHE to a folder") from None


def md5_of(path: Path) -> str:
    """The MD5 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_verified_once(path: Path, expected: str) -> str:
    """The MD5 of a file; not computed again where it was the expected one and the file has not changed since."""
    path = Path(os.path.realpath(path, strict=True))
    mark = _mark(path, expected)
    if _remembered(path.parent).get(path.name) == mark:
        return expected
    found = md5_of(path)
    if found == expected and _mark(path, expected) == mark:
        _remember(path, mark)
    return found


def _mark(path: Path, md5: str) -> list[Any]:
    """Size, times of change, and MD5: values that differ once the file has changed. A list, as JSON returns it."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, md5]


def _note(folder: Path) -> Path:
    return cache_folder() / "verified" / f"{hashlib.sha256(bytes(folder)).hexdigest()[:16]}.json"


def _remembered(folder: Path) -> dict[str, Any]:
    """The marks of a folder's verified files, by name; none where the note is missing, damaged or cannot be read."""
    try:
        files = json.loads(_note(folder).read_bytes())["files"]
    except (OSError, StorageError, ValueError, LookupError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def _remember(path: Path, mark: list[Any]) -> None:
    """Add one mark to the folder's note, atomically; where it cannot be written, the file is verified again next time."""
    with suppress(OSError, StorageError):
        note = _note(path.parent)
        note.parent.mkdir(parents=True, exist_ok=True)
        content = {"folder": str(path.parent), "files": _remembered(path.parent) | {path.name: mark}}
        write_atomically(note, json.dumps(content, indent=1))
