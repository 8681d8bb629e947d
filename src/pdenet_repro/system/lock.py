"""The lock of a run folder: of all processes, on this host and others, only one trains in a folder at a time.

The lock (``flock``) is free again as soon as its process ends. Network file systems either pass it on to other hosts, or keep
it to one host, or refuse it. So the process that holds a folder also writes ``running.json``, with a random token, and writes
it again every few seconds, as a heartbeat:

- A process that finds the heartbeat of another host watches whether it changes, before it takes the folder over or, where
  the lock is not free, gives up. Clocks are not compared, since they differ between hosts.
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

HEARTBEAT = 10.0  # seconds between two heartbeats
HEARTBEAT_TIMEOUT = 75.0  # seconds without heartbeat after which a process counts as dead; NFS caches files for 60
LOCK_TIMEOUT = 300.0  # seconds for which a file server may keep the lock of a host that died
PROBE_TIME = 0.5  # seconds for which another process may hold the lock just to test whether it is free
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # errors of a file system without locks


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; return whether that worked, or None if the file system has no locks."""
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
    """Context in which this process holds the lock of ``folder``.

    Entering it raises RunFolderBusy if another process holds the lock. The lock of a process that died on this host is free
    at once. After a death on another host entering takes ``HEARTBEAT_TIMEOUT`` seconds, or until the lock is free, at most
    ``LOCK_TIMEOUT`` seconds; ``say`` is called with a line about this wait.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self.say, self.token = folder, say, secrets.token_hex(8)
        self.path, self.heartbeat = folder / "run.lock", folder / "running.json"
        self.stopped = threading.Event()

    def __enter__(self) -> "FolderLock":
        with storage_errors(self.path):
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._acquire()
            self._write_heartbeat(0)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()
        with suppress(OSError, RunFolderError, RunFolderBusy, StorageError):
            self.confirm()
            self.heartbeat.unlink(missing_ok=True)
        os.close(self.descriptor)

    def confirm(self) -> None:
        """Raise an error unless this process still holds the folder; to be called before anything is written into it.

        Raises
        ------
        RunFolderError
            The folder was removed, moved or replaced by another.
        RunFolderBusy
            Another process has taken it over.
        StorageError
            The folder cannot be read, so that its holder is unknown.
        """
        with storage_errors(self.path):
            try:
                same = os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
            except (FileNotFoundError, NotADirectoryError):
                same = False
        if not same:
            raise RunFolderError(
                f"{self.folder} was removed, moved or replaced while its run went on: nothing more is written there; "
                f"the same command starts the run anew, or continues it once its folder is back in its place"
            )
        holder = self._holder()
        if holder and holder.get("token") != self.token:
            raise RunFolderBusy(f"{self._busy(holder)} (that process has taken the folder over; this one stops)")

    def _acquire(self) -> None:
        first, begin, announced = self._holder(), time.monotonic(), False
        while True:
            with storage_errors(self.path):
                granted = try_lock(self.descriptor)
            now, waited = self._holder(), time.monotonic() - begin
            watched = bool(now) and (granted is None or now.get("host") not in (None, platform.node()))
            if granted is not False and (not watched or waited >= HEARTBEAT_TIMEOUT):
                return
            if watched and first and now != first:
                raise RunFolderBusy(self._busy(now))
            if not watched and waited >= PROBE_TIME:
                raise RunFolderBusy(self._busy(now))
            if waited >= LOCK_TIMEOUT:
                raise RunFolderBusy(
                    f"{self._busy(now)}; it has not renewed {self.heartbeat.name} for {LOCK_TIMEOUT:.0f} s, but its lock is not "
                    f"free: if that process is gone, remove {self.path}"
                )
            if watched and not announced:
                announced = True
                longest = HEARTBEAT_TIMEOUT if granted else LOCK_TIMEOUT
                self.say(
                    f"{self.folder} was held on {now['host']}; waiting for at most {longest:.0f} s to see whether it still is"
                )
            time.sleep(min(1.0, HEARTBEAT_TIMEOUT / 10, PROBE_TIME / 5))

    def _beat(self) -> None:
        count = 0
        while not self.stopped.wait(HEARTBEAT):
            count += 1
            with suppress(Exception):  # a full disk is no reason to stop; a lost folder ends the run at its next write
                self.confirm()
                self._write_heartbeat(count)

    def _write_heartbeat(self, count: int) -> None:
        content = {"host": platform.node(), "process": os.getpid(), "token": self.token, "beat": count}
        write_atomically(self.heartbeat, json.dumps(content))

    def _holder(self) -> dict[str, Any]:
        """Return the content of ``running.json``, empty if it is missing; StorageError if it exists and cannot be read."""
        try:
            found = json.loads(self.heartbeat.read_bytes())
            return found if isinstance(found, dict) else {}
        except (FileNotFoundError, ValueError):
            return {}
        except OSError as error:
            raise StorageError(f"cannot read {self.heartbeat}: {error.strerror or error}; make it readable") from error

    def _busy(self, holder: dict[str, Any]) -> str:
        who = f" (process {holder.get('process')} on {holder['host']})" if holder.get("host") else ""
        return f"{self.folder} is being trained by another process{who}; wait for it, or give this run its own name=..."


def held(folder: Path) -> bool:
    """Return whether a process holds the folder now: one of this host, or of another whose locks reach this host."""
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
