"""Downloads one large file of known size; after a broken connection it keeps the received bytes and requests the rest."""

import hashlib
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import IO

from tqdm import tqdm

from pdenet_repro.system.errors import DataError

CHUNK = 1 << 20  # bytes
GZIP = b"\x1f\x8b"  # the first bytes of the archive
TIMEOUT = 60  # seconds without a byte after which a connection counts as dropped
RETRY_DELAYS = (2, 5, 15)  # seconds before each new attempt; they start anew whenever the file has grown

Say = Callable[[str], None]


class GrowingFile:
    """A file to which bytes are appended, with their number and MD5."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.md5 = file, 0, hashlib.md5(usedforsecurity=False)
        file.seek(0)
        while chunk := file.read(CHUNK):
            self._count(chunk)

    def append(self, chunk: bytes) -> None:
        """Write ``chunk`` at the end."""
        self.file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Empty the file."""
        self.file.truncate(0)
        self.size, self.md5 = 0, hashlib.md5(usedforsecurity=False)

    def _count(self, chunk: bytes) -> None:
        self.md5.update(chunk)
        self.size += len(chunk)


def megabytes(size: int) -> str:
    """Return a number of bytes in megabytes, for messages."""
    return f"{size / 1e6:,.0f} MB"


class _Progress:
    """A progress bar on a terminal; elsewhere a line after every tenth of the file."""

    def __init__(self, done: int, total: int, say: Say) -> None:
        self.tenth, self.total, self.say = 10 * done // total, total, say
        terminal = sys.stderr.isatty()
        self.bar = tqdm(initial=done, total=total, unit="B", unit_scale=True, desc="STL-10", disable=not terminal)

    def show(self, done: int) -> None:
        tenth, before = 10 * done // self.total, self.tenth
        self.tenth = tenth
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif tenth != before:
            self.say(f"{megabytes(done)} of {megabytes(self.total)}")


class _DroppedError(Exception):
    """The server could not be reached, or closed the connection: another attempt may succeed."""


@contextmanager
def _network() -> Iterator[None]:
    """Turn errors of a connection, which may be temporary, into `_DroppedError`; the server's own answers stay HTTPError."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException) as error:
        raise _DroppedError(str(getattr(error, "reason", error)) or type(error).__name__) from error


def complete(growing: GrowingFile, url: str, size: int, say: Say) -> None:
    """Append to ``growing`` what it lacks of the ``size`` bytes at ``url``; ``say`` is called with lines about the progress.

    Raises
    ------
    DataError
        The server cannot be reached, or has another file there.
    """
    longest, failures = growing.size, 0
    progress = _Progress(growing.size, size, say)
    with progress.bar:
        while growing.size < size:
            try:
                _receive(growing, url, size, progress)
            except _DroppedError as drop:
                failures = 0 if growing.size > longest else failures + 1
                longest = max(longest, growing.size)
                if failures > len(RETRY_DELAYS):
                    raise DataError(
                        f"cannot download {url}: {drop}; the {megabytes(growing.size)} of "
                        f"{megabytes(size)} that were received are kept, and the same command continues from there"
                    ) from drop
                delay = RETRY_DELAYS[max(0, failures - 1)]
                say(f"the download of {url} broke off: {drop}; trying again in {delay} s")
                time.sleep(delay)


def _receive(growing: GrowingFile, url: str, size: int, progress: _Progress) -> None:
    """Append the bytes of one connection; raises `_DroppedError` if it ends before the file does."""
    with _answer(growing, url, size) as response:
        while growing.size < size:
            with _network():
                chunk = response.read1(min(CHUNK, size - growing.size))
            if not chunk:
                raise _DroppedError("the server closed the connection too early")
            growing.append(chunk)
            progress.show(growing.size)


def _answer(growing: GrowingFile, url: str, size: int) -> HTTPResponse:
    """The server's response, whose body is the rest of the file or, if the server cannot send that, the file from its start."""
    for start in dict.fromkeys((growing.size, 0)):
        response = _open(url, start)
        if response is None:
            continue
        if response.status == 206 and response.headers["Content-Range"] == f"bytes {start}-{size - 1}/{size}":
            return response
        if response.status == 200:
            if (length := response.headers["Content-Length"]) not in (None, str(size)):
                raise DataError(f"{url} is not the published archive: {length} bytes, expected {size}")
            with _network():
                first = response.read(len(GZIP))
            if first and not GZIP.startswith(first):
                raise DataError(
                    f"{url} sends {response.headers.get_content_type()} in place of the archive, perhaps a log-in page; "
                    f"open it in a browser, then run the same command again (the bytes received before are kept)"
                )
            growing.restart()
            growing.append(first)
            return response
        response.close()
    raise _DroppedError("the server sends neither the archive nor the rest of it")


def _open(url: str, start: int) -> HTTPResponse | None:
    """The server's response to a request for the bytes from ``start`` on; None if there are no such bytes (416)."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with _network():
            response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
            return response
    except urllib.error.HTTPError as refusal:
        if refusal.code == 416:
            return None
        if refusal.code >= 500 or refusal.code in (408, 429):
            raise _DroppedError(f"the server says {refusal.code} {refusal.reason}") from refusal
        raise DataError(f"cannot download {url}: the server says {refusal.code} {refusal.reason}") from refusal
