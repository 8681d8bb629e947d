"""A small archive in the shape of STL-10's, and a web server on this machine that sends it well or badly."""

import hashlib
import io
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from pdenet_repro.data.stl10 import STL10_MD5

MEMBERS = {
    name: np.random.default_rng(i).bytes(20_000 if name.endswith("X.bin") else 100) for i, name in enumerate(STL10_MD5)
}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def packed(members: dict[str, bytes]) -> bytes:
    """A gzipped tar file; random content, so that no cut or flip hides in a compressed run."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return file.getvalue()


class Server:
    """Serves ``content``; ``manner`` says how badly. ``requests`` are the Range headers that came, in order."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.manner = "good"
        self.always: int | None = None  # a status, whatever is requested
        self.requests: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(self.headers["Range"])
                server.answer(self, self.headers["Range"])

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/stl10_binary.tar.gz"

    def answer(self, handler: BaseHTTPRequestHandler, wanted: str | None) -> None:
        if self.manner.isdigit():
            return handler.send_error(int(self.manner))
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and "ignores Range" not in self.manner else 0
        if self.always:
            start = 0
        if wanted and self.manner == "refuses Range":
            return handler.send_error(416)
        size = len(self.content)
        handler.send_response(206 if start else 200)
        if self.manner != "tells no length":
            handler.send_header("Content-Length", str(size - start))
        if start:
            first = start + 1 if self.manner == "continues elsewhere" else start
            handler.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        handler.end_headers()
        end = size
        if self.manner == "drops":
            end = min(size, start + 50_000)
        elif self.manner == "drops once" or (self.manner == "ignores Range" and len(self.requests) == 1):
            end = size // 2 if len(self.requests) == 1 else size
        elif self.manner == "ignores Range and drops":
            end = size // 2
        elif self.manner == "sends nothing":
            end = start
        handler.wfile.write(self.content[start:end])


def content(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "stl10_binary").iterdir()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def part_of(root: Path) -> Path:
    return root / "stl10_binary.tar.gz.part"
