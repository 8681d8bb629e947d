"""Fetches STL-10: downloads and verifies the archive, and unpacks only its labelled files.

Each step can be interrupted, and the same command continues it. ``stl10_binary.tar.gz.part`` grows to the whole archive and
is renamed to ``stl10_binary.tar.gz`` when its MD5 is right. The labelled files are streamed out of it, so that the 2.8 GB of
unlabelled images are never written to the disk; then the archive is removed. An archive that a user put there is completed
if it is too short, verified, and used like a downloaded one.
"""

import os
import shutil
import sys
import tarfile
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from pdenet_repro.data.cache import md5_verified_once
from pdenet_repro.data.download import CHUNK, GrowingFile, Say, complete, megabytes
from pdenet_repro.data.stl10 import FOLDS, LABELLED, STL10_MD5, stl10_folder
from pdenet_repro.system.errors import DataError, StorageError
from pdenet_repro.system.lock import try_lock


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file on a web server, and the members of it that are needed."""

    url: str
    size: int  # bytes
    md5: str
    members: Mapping[str, str]  # file -> MD5
    members_size: int  # bytes of all these members together


STL10_ARCHIVE = Archive(
    url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    size=2_640_397_119,
    md5="91f7769df0f17e558f3565bffb0c7dfb",
    members=STL10_MD5,
    members_size=359_500_000,
)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def fetch_stl10(root: Path, *, need_folds: bool = False, archive: Archive = STL10_ARCHIVE, say: Say = _say) -> None:
    """Download the official files to ``root``, unless the needed ones are there and verified; ``say`` gets lines of progress.

    Raises
    ------
    DataError
        The archive or a file is damaged, the server cannot be reached, or ``root`` holds other files of these names.
    StorageError
        A file cannot be read or written, or the disk has too little space.
    """
    root = Path(root).expanduser().absolute()
    folder = stl10_folder(root)
    for place in (root, folder):
        if os.path.isfile(place):
            raise DataError(f"{place} is a file, expected a folder: choose another data.root")
    needed = (*LABELLED, *[FOLDS] * need_folds)
    try:
        if not _lacking(folder, needed, archive):
            return
        _refuse_other_files(folder, archive)
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root, say):
            if _lacking(folder, needed, archive):  # another process may have fetched them meanwhile
                packed = _download(root, archive, say)
                _unpack(packed, folder, _lacking(folder, archive.members, archive), say)
                packed.unlink()
                say(f"STL-10 is in {folder}; the archive was removed")
    except OSError as error:
        fault = f"cannot read or write {error.filename or root}: {error.strerror or error}"
        raise StorageError(f"{fault}; when that is repaired, the same command continues from here") from error


def _refuse_other_files(folder: Path, archive: Archive) -> None:
    """Raise DataError if files of these names are not the archive's: they may be the user's own and are never replaced."""
    wrong = [name for name in _lacking(folder, archive.members, archive) if os.path.lexists(folder / name)]
    if wrong:
        raise DataError(
            f"{folder} holds {', '.join(wrong)} with another content than STL-10's (MD5): no file is replaced; move "
            f"{'it' if len(wrong) == 1 else 'them'} away, or choose another data.root="
        )


def _lacking(folder: Path, names: Collection[str], archive: Archive) -> dict[str, str]:
    """The named files that are missing or damaged, each with its expected MD5."""
    return {
        name: md5
        for name, md5 in archive.members.items()
        if name in names and not ((folder / name).is_file() and md5_verified_once(folder / name, md5) == md5)
    }


@contextmanager
def _alone(root: Path, say: Say) -> Iterator[None]:
    """Context in which no other process fetches to ``root``; entering it waits for a process that fetches there."""
    with (root / "stl10_binary.lock").open("a") as file:
        if try_lock(file.fileno()) is False:
            say(f"another process is fetching STL-10 to {root}; waiting for it")
        while try_lock(file.fileno()) is False:
            time.sleep(0.5)
        yield


def _download(root: Path, archive: Archive, say: Say) -> Path:
    """Return the path of the whole, verified archive; a part that is there already is completed."""
    whole = root / "stl10_binary.tar.gz"
    part = whole.with_name(whole.name + ".part")
    if whole.exists():
        whole.replace(part)
    with part.open("ab+") as file:
        if file.tell():
            say(f"reading the {megabytes(file.tell())} in {part}")
        growing = GrowingFile(file)
        _require_space(root, max(0, archive.size - growing.size) + archive.members_size)
        complete(growing, archive.url, archive.size, say)
    found = growing.md5.hexdigest()
    if found != archive.md5:
        aside = part.replace(whole.with_name(whole.name + ".damaged"))
        raise DataError(
            f"the archive from {archive.url} is damaged: MD5 {found} ({growing.size} bytes), expected {archive.md5} "
            f"({archive.size} bytes); it is now {aside}, which you may delete, and the same command downloads it anew"
        )
    return part.replace(whole)


def _require_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StorageError(f"{root} has {megabytes(free)} free, but STL-10 needs {megabytes(needed)}: free some space")


def _unpack(packed: Path, folder: Path, wanted: dict[str, str], say: Say) -> None:
    """Write the needed members alone; a file gets its name when it is whole and verified."""
    say(f"unpacking {', '.join(wanted)}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(packed, "r|gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name in wanted and (content := tar.extractfile(member)):
                    _write_verified(content, folder / name, wanted.pop(name))
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"cannot unpack {packed}: {error}; delete it and run the same command again") from error
    raise DataError(f"{packed} lacks {', '.join(wanted)}; delete it and run the same command again")


def _write_verified(content: IO[bytes], target: Path, expected: str) -> None:
    temporary = target.with_name(f".{target.name}.part")
    try:
        with temporary.open("wb+") as file:
            written = GrowingFile(file)
            while chunk := content.read(CHUNK):
                written.append(chunk)
        if (found := written.md5.hexdigest()) != expected:
            raise DataError(
                f"{target.name} has the MD5 {found} in the archive, expected {expected}: run the same command again"
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
