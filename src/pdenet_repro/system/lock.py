"""One process a run folder: the operating system's lock, and a sign of life that other hosts can read.

The lock (``flock``) is free again as soon as its process ends. Network file systems either pass it on to other hosts, or keep
it to one host, or refuse it. So the holder of a folder also writes ``running.json``, with a random token, and writes it again
every few seconds:

- Who finds a sign of another host watches whether it changes before taking the folder over, or where the lock is not free,
  before giving up. Clocks are not compared, since they differ between hosts.
- The holder reads its token back before it writes anything else (``confirm``). A holder that was taken for dead, or whose
  folder was removed, moved or replaced, notices that and stops.
"""

import errno
import fcntl
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pdenet_repro.system.errors import RunFolderBusy, RunFolderError, StorageError
from pdenet_repro.system.files import storage_errors, write_atomically

BEAT = 10.0  # seconds between two signs of life
PATIENCE = 75.0  # seconds without one after which a holder on another host is taken for dead; NFS caches names for 60
LEASE = 300.0  # seconds that a file server may keep the lock of a host that died
GLANCE = 0.5  # seconds that another process may hold the lock only to see whether it is free
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # a file system that has none


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed: whether that worked, None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


class FolderLock:
    """Context that holds ``folder`` for this process.

    RunFolderBusy if another process holds it. A holder that died on this host is no obstacle. For one that died on another
    host the next one waits ``PATIENCE`` seconds, or until its lock is free, ``LEASE`` seconds at most.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self.say, self.token = folder, say, secrets.token_hex(8)
        self.path, self.sign = folder / "run.lock", folder / "running.json"
        self.stopped = threading.Event()

    def __enter__(self) -> "FolderLock":
        with storage_errors(self.path):
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire()
            self._write_sign(0)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.beating = threading.Thread(target=self._beat, daemon=True)
        self.beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.beating.join()
        with suppress(OSError, RunFolderError, RunFolderBusy, StorageError):
            self.confirm()
            self.sign.unlink(missing_ok=True)
        os.close(self.descriptor)

    def confirm(self) -> None:
        """Make sure that this process still holds the folder, before something is written into it.

        Raises
        ------
        RunFolderError
            The folder was removed, moved or replaced by another.
        RunFolderBusy
            Another process has taken it over.
        StorageError
            The folder cannot be read, so that nobody can know.
        """
        with storage_errors(self.path):
            try:
                same = os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
            except (FileNotFoundError, NotADirectoryError):
                same = False
        if not same:
            raise RunFolderError(
                f"{self.folder} was removed, moved or replaced while its run went on: nothing more is written there; "
                f"the same command starts the run again, or goes on where its folder is back in its place"
            )
        holder = self._holder()
        if holder and holder.get("token") != self.token:
            raise RunFolderBusy(f"{self._busy(holder)} (it took the folder over from this one, which stops)")

    def _acquire(self) -> None:
        first, begin, told = self._holder(), time.monotonic(), False
        while True:
            with storage_errors(self.path):
                granted = try_lock(self.descriptor)
            now, waited = self._holder(), time.monotonic() - begin
            watched = bool(now) and (granted is None or now.get("host") not in (None, platform.node()))
            if granted is not False and (not watched or waited >= PATIENCE):
                return
            if watched and first and now != first:
                raise RunFolderBusy(self._busy(now))
            if not watched and waited >= GLANCE:
                raise RunFolderBusy(self._busy(now))
            if waited >= LEASE:
                raise RunFolderBusy(
                    f"{self._busy(now)}; it has shown no sign of life for {LEASE:.0f} s, but its lock is not free: if that "
                    f"process is gone, remove {self.path}"
                )
            if watched and not told:
                told = True
                self.say(
                    f"{self.folder} was held on {now['host']}; watching for {PATIENCE if granted else LEASE:.0f} s at most "
                    f"whether it still is"
                )
            time.sleep(min(1.0, PATIENCE / 10, GLANCE / 5))

    def _beat(self) -> None:
        count = 0
        while not self.stopped.wait(BEAT):
            count += 1
            with suppress(Exception):  # a full disk is no reason to stop; a lost folder ends the run at its next write
                self.confirm()
                self._write_sign(count)

    def _write_sign(self, count: int) -> None:
        sign = {"host": platform.node(), "process": os.getpid(), "token": self.token, "beat": count}
        write_atomically(self.sign, json.dumps(sign))

    def _holder(self) -> dict[str, Any]:
        """What the sign says, nothing where there is none; StorageError where it cannot be read, which is no absence."""
        try:
            found = json.loads(self.sign.read_bytes())
            return found if isinstance(found, dict) else {}
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as error:
            raise StorageError(f"cannot read {self.sign}: {error.strerror or error}; make it readable") from error

    def _busy(self, holder: dict[str, Any]) -> str:
        who = f" (process {holder.get('process')} on {holder['host']})" if holder.get("host") else ""
        return f"{self.folder} is being trained by another process{who}; wait for it, or give this run its own name=..."


def held(folder: Path) -> bool:
    """Whether a process of this host, or of one that passes its locks on, holds the folder now."""
    try:
        descriptor = os.open(folder / "run.lock", os.O_RDWR)
    except OSError:  # not there, or a read-only copy of a run folder
        return False
    try:
        return try_lock(descriptor) is False
    except OSError:
        return False
    finally:
        os.close(descriptor)
