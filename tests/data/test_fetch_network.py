"""Fetching STL-10 over connections that break and from servers that behave in their own ways."""

import dataclasses
import errno
import socket

import pytest
from archive_server import MEMBERS, content, part_of, put

from pdenet_repro.data import download
from pdenet_repro.data.fetch import fetch_stl10
from pdenet_repro.system.errors import DataError


@pytest.mark.parametrize("name", ["stl10_binary.tar.gz", "stl10_binary.tar.gz.part"])
def test_an_archive_that_is_short_is_completed(run, root, whole, server, name):
    put(root / name, whole[:12_345])
    run()
    assert server.requests == ["bytes=12345-"]
    assert content(root) == MEMBERS


def test_a_part_that_is_complete_is_only_verified(run, root, whole, server):
    put(part_of(root), whole)
    run()
    assert server.requests == []
    assert content(root) == MEMBERS


def test_a_dropped_connection_is_taken_up(run, root, whole, server, said):
    server.manner = "drops once"
    run()
    assert server.requests == [None, f"bytes={len(whole) // 2}-"]
    assert content(root) == MEMBERS
    assert any("broke off: the server closed the connection too early; trying again" in line for line in said)


def test_retries_are_counted_anew_while_the_archive_grows(run, root, server, whole, monkeypatch):
    monkeypatch.setattr(download, "RETRY_DELAYS", (0,))
    server.manner = "drops"
    run()
    assert server.requests == [None, *(f"bytes={start}-" for start in range(50_000, len(whole), 50_000))]
    assert content(root) == MEMBERS


def test_a_server_that_stays_silent_is_given_up_and_what_came_is_kept(run, root, whole, server):
    put(part_of(root), whole[:200_000])
    server.manner = "sends nothing"
    with pytest.raises(DataError) as caught:
        run()
    assert str(caught.value) == (
        f"cannot download {server.url}: the server closed the connection too early; the 0 MB of 0 MB that were received are "
        "kept, and the same command continues from there"
    )
    assert server.requests == ["bytes=200000-"] * 4
    assert part_of(root).read_bytes() == whole[:200_000]
    server.manner = "good"
    run()
    assert content(root) == MEMBERS


def test_a_server_that_ignores_ranges_starts_anew(run, root, whole, server):
    server.manner = "ignores Range"
    run()
    assert server.requests == [None, f"bytes={len(whole) // 2}-"]
    assert content(root) == MEMBERS


def test_a_server_that_starts_anew_and_never_gets_further_is_given_up(run, root, whole, server):
    server.manner = "ignores Range and drops"
    with pytest.raises(DataError, match="closed the connection too early"):
        run()
    assert len(server.requests) == 5  # the first brought something, the others nothing new
    assert part_of(root).read_bytes() == whole[: len(whole) // 2]


def test_no_more_than_the_archive_is_taken(run, root, server):
    server.content += b"surplus"
    server.manner = "tells no length"
    run()
    assert content(root) == MEMBERS


@pytest.mark.parametrize("manner", ["refuses Range", "continues elsewhere"])
def test_a_server_that_cannot_continue_is_asked_for_all(run, root, whole, server, manner):
    put(part_of(root), whole[:777])
    server.manner = manner
    run()
    assert server.requests == ["bytes=777-", None]
    assert content(root) == MEMBERS


@pytest.mark.parametrize(("code", "attempts"), [("503", 4), ("429", 4), ("404", 1)])
def test_only_refusals_that_may_pass_are_tried_again(run, server, code, attempts):
    server.manner = code
    with pytest.raises(DataError, match=f"cannot download {server.url}: the server says {code} "):
        run()
    assert len(server.requests) == attempts


def test_another_file_in_the_archives_place_is_refused_before_the_part_is_given_up(run, root, whole, server):
    put(part_of(root), whole[:777])
    server.content = b"<html>please log in</html>"
    server.manner = "ignores Range"
    with pytest.raises(DataError, match=f"not the published archive: 26 bytes, expected {len(whole)}"):
        run()
    assert part_of(root).read_bytes() == whole[:777]


def test_no_network_is_one_sentence(root, archive):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(DataError) as caught:
            fetch_stl10(root, archive=dataclasses.replace(archive, url=url))
    assert str(caught.value).startswith(f"cannot download {url}: [Errno {errno.ECONNREFUSED}]")
    assert "the same command continues from there" in str(caught.value)
