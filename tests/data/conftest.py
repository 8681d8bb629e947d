"""Fixtures of the tests of fetching: the archive, the server that sends it, and the call that fetches it."""

import numpy as np
import pytest
from archive_server import MEMBERS, Server, md5, packed

from pdenet_repro.data import download, fetch
from pdenet_repro.data.fetch import Archive, fetch_stl10


@pytest.fixture(scope="module")
def whole():
    """The archive: the wanted members, and unlabelled images that must not be written."""
    members = {f"stl10_binary/{name}": content for name, content in MEMBERS.items()}
    first, *rest = members
    unlabelled = {"stl10_binary/unlabeled_X.bin": np.random.default_rng(9).bytes(300_000)}
    return packed({first: members[first]} | unlabelled | {name: members[name] for name in rest})


@pytest.fixture
def server(whole):
    server = Server(whole)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def archive(server, whole, surroundings):
    sums = {name: md5(content) for name, content in MEMBERS.items()}
    return Archive(server.url, len(whole), md5(whole), sums, sum(map(len, MEMBERS.values())))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("PDENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "RETRY_DELAYS", (0, 0, 0))
    for module in (download, fetch):
        monkeypatch.setattr(module, "CHUNK", 10_000)


@pytest.fixture
def said():
    return []


@pytest.fixture
def run(root, archive, said):
    return lambda **options: fetch_stl10(root, **{"archive": archive, "say": said.append} | options)
