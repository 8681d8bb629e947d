"""One process a run folder: a lock that goes with its process, and a heartbeat for file systems that keep locks to a host.

The lock is the operating system's (``flock``): however a process ends, it is free again at once, on one machine and on
network file systems that pass it on (NFS on Linux does). Where they do not, two hosts could both hold it. So the holder
also rewrites a small file every few seconds, and whoever gets the lock while that file names another host waits to see
whether it still changes. Nothing is concluded from clocks, which differ between hosts.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pdenet_repro.system.errors import RunFolderBusy
from pdenet_repro.system.files import storage_errors, write_atomically

BEAT = 10.0  # seconds between two signs of life
PATIENCE = 75.0  # seconds without one after which a holder on another host is taken for dead; NFS caches names for 60


class FolderLock:
    """Context that holds ``folder``; RunFolderBusy if another process does.

    A process that dies on this host frees it at once; one that died on another host where locks are not passed on,
    after ``PATIENCE`` seconds, for which the next one waits.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self.say = folder, say
        self.sign = folder / "running.json"
        self.stopped = threading.Event()

    def __enter__(self) -> "FolderLock":
        from filelock import FileLock, Timeout

        path = self.folder / "run.lock"
        self.lock = FileLock(path, timeout=0.5)  # half a second: someone may only be looking
        with storage_errors(path):
            try:
                self.lock.acquire()
            except Timeout:  # an OSError too: it must not be taken for a failed write
                raise RunFolderBusy(self._busy(self._holder())) from None
        try:
            self._wait_for_another_host()
            self._beat(0)
        except BaseException:
            self.lock.release()
            raise
        self.heart = threading.Thread(target=self._live, daemon=True)
        self.heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.heart.join()
        with suppress(OSError):
            self.sign.unlink(missing_ok=True)
        self.lock.release()

    def _live(self) -> None:
        count = 0
        while not self.stopped.wait(BEAT):
            count += 1
            with suppress(Exception):  # a full disk now must not end the training that holds the lock
                self._beat(count)

    def _beat(self, count: int) -> None:
        write_atomically(self.sign, json.dumps({"host": platform.node(), "process": os.getpid(), "beat": count}))

    def _holder(self) -> dict[str, Any]:
        try:
            found = json.loads(self.sign.read_text())
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    def _wait_for_another_host(self) -> None:
        first = self._holder()
        if first.get("host") in (None, platform.node()):
            return  # here the lock tells the truth
        self.say(f"{self.folder} was held on {first['host']}; watching for {PATIENCE:.0f} s whether it still is")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            time.sleep(min(1.0, PATIENCE / 10))
            now = self._holder()
            if not now:
                return
            if now != first:
                raise RunFolderBusy(self._busy(now))

    def _busy(self, holder: dict[str, Any]) -> str:
        who = f" (process {holder.get('process')} on {holder['host']})" if "host" in holder else ""
        return f"{self.folder} is being trained by another process{who}; wait for it, or give this run its own name=..."


def held(folder: Path) -> bool:
    """Whether a process of this host, or of one that passes its locks on, holds the folder now."""
    from filelock import FileLock, Timeout

    path = folder / "run.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # read-only copies of run folders
        return False
