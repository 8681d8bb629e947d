"""Fetching STL-10: what is written, what is verified, and what happens when that cannot be."""

import dataclasses
import errno
import gzip
import importlib.util
import io
import queue
import re
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from archive_server import MEMBERS, content, md5, names, packed, part_of, put
from filelock import FileLock
from waiting import PATIENCE

from pdenet_repro.data import download, fetch
from pdenet_repro.data.fetch import STL10_ARCHIVE, fetch_stl10
from pdenet_repro.data.stl10 import LABELLED, STL10_MD5
from pdenet_repro.system.errors import DataError, StorageError


def test_leaves_the_wanted_files_and_nothing_else(run, root, server, said):
    run()
    assert content(root) == MEMBERS
    assert names(root) == {"stl10_binary", "stl10_binary.lock"}
    assert server.requests == [None]
    assert sum(bool(re.fullmatch(r"\d+ MB of \d+ MB", line)) for line in said) == 10
    assert said[-1] == f"STL-10 is in {root / 'stl10_binary'}; the archive was removed"


def test_unlabelled_images_never_touch_the_disk(run, monkeypatch):
    written = []
    original = download.GrowingFile.append

    def append(growing, chunk):
        written.append((Path(growing.file.name).name, len(chunk)))
        original(growing, chunk)

    monkeypatch.setattr(download.GrowingFile, "append", append)
    run()
    unpacked = sum(size for name, size in written if not name.startswith("stl10_binary"))
    assert unpacked == sum(map(len, MEMBERS.values()))


def test_the_folder_of_the_files_itself_will_do_as_root(archive, tmp_path):
    inner = tmp_path / "stl10_binary"
    fetch_stl10(inner, archive=archive)
    assert names(inner) == {*MEMBERS, "stl10_binary.lock"}


def test_what_is_there_and_right_is_not_downloaded(run, root, server):
    for name in MEMBERS:
        put(root / "stl10_binary" / name, MEMBERS[name])
    run(need_folds=True)
    assert server.requests == []
    assert names(root) == {"stl10_binary"}
    (root / "stl10_binary" / "fold_indices.txt").unlink()
    run()
    assert server.requests == []
    run(need_folds=True)
    assert server.requests == [None]
    assert content(root) == MEMBERS


def test_only_missing_files_are_written(run, root, said):
    for name in MEMBERS:
        put(root / "stl10_binary" / name, MEMBERS[name])
    for name in ("train_y.bin", "test_X.bin"):
        (root / "stl10_binary" / name).unlink()
    kept = (root / "stl10_binary" / "train_X.bin").stat().st_ino
    run()
    assert content(root) == MEMBERS
    assert (root / "stl10_binary" / "train_X.bin").stat().st_ino == kept
    assert "unpacking train_y.bin, test_X.bin" in said


@pytest.mark.parametrize("name", ["test_X.bin", "fold_indices.txt"])
def test_files_of_somebodys_own_are_never_replaced(run, root, server, name):
    """Own images in STL-10's layout, or a damaged file: nobody else can tell which."""
    own = put(root / "stl10_binary" / name, b"mine")
    with pytest.raises(DataError, match=rf"holds {name} with another content .*no file is replaced; move it away"):
        run()
    assert server.requests == []
    assert own.read_bytes() == b"mine"


@pytest.mark.parametrize("length", [True, False])
def test_a_log_in_page_in_place_of_the_archive_destroys_nothing(run, root, server, whole, length):
    half = whole[: len(whole) // 2]
    put(part_of(root), half)
    server.content, server.manner = b"<html>please log in</html>" * 10, "good" if length else "tells no length"
    server.always = 200
    with pytest.raises(DataError, match=r"is not the published archive|in place of the archive, perhaps a log-in page"):
        run()
    assert part_of(root).read_bytes() == half
    server.content, server.manner, server.always = whole, "good", None
    run()
    assert content(root) == MEMBERS


def test_a_file_system_without_locks_can_be_downloaded_to(run, root, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pdenet_repro.system.lock.fcntl.flock", no_locks)
    run()
    assert content(root) == MEMBERS


def test_a_complete_archive_is_used_without_a_server(run, root, whole, server):
    put(root / "stl10_binary.tar.gz", whole)
    run()
    assert server.requests == []
    assert content(root) == MEMBERS


@pytest.mark.parametrize("surplus", [b"", b"more"])
def test_a_damaged_archive_is_named_and_moved_aside(run, root, whole, server, surplus):
    damaged = bytes([whole[0] ^ 1]) + whole[1:] + surplus
    put(root / "stl10_binary.tar.gz", damaged)
    with pytest.raises(DataError) as caught:
        run()
    assert f"MD5 {md5(damaged)} ({len(damaged)} bytes), expected {md5(whole)} ({len(whole)} bytes)" in str(caught.value)
    assert server.requests == []
    assert (root / "stl10_binary.tar.gz.damaged").read_bytes() == damaged
    run()
    assert server.requests == [None]
    assert content(root) == MEMBERS


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"stl10_binary/train_X.bin": b"other"}, "train_X.bin has the MD5"),
        (
            {f"stl10_binary/{name}": MEMBERS[name] for name in MEMBERS if name != "test_y.bin"},
            "lacks test_y.bin; delete it",
        ),
    ],
)
def test_an_archive_of_other_content_is_refused(run, root, archive, server, members, fault):
    server.content = packed(members)
    with pytest.raises(DataError, match=fault):
        run(archive=dataclasses.replace(archive, size=len(server.content), md5=md5(server.content)))
    assert not any(name.endswith(".part") for name in names(root / "stl10_binary"))
    assert "train_X.bin" not in content(root) or content(root)["train_X.bin"] == MEMBERS["train_X.bin"]


@pytest.mark.parametrize("broken", [gzip.compress(b"no tar" * 1000), None], ids=["no-tar", "cut-short"])
def test_an_archive_that_cannot_be_unpacked_is_refused(run, archive, server, whole, broken):
    server.content = whole[: len(whole) // 2] if broken is None else broken
    with pytest.raises(DataError, match=r"cannot unpack .*; delete it and run the same command again"):
        run(archive=dataclasses.replace(archive, size=len(server.content), md5=md5(server.content)))


def test_members_cannot_choose_where_they_are_written(run, root, archive, server, tmp_path):
    server.content = packed({f"../../{name}": content for name, content in MEMBERS.items()})
    run(archive=dataclasses.replace(archive, size=len(server.content), md5=md5(server.content)))
    assert content(root) == MEMBERS
    assert names(tmp_path) == {"data"}


def test_too_little_space_is_said_before_anything_is_downloaded(run, root, archive, server, whole, monkeypatch):
    usage = namedtuple("usage", "free")
    free = len(whole) + archive.members_size - 1
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage(free))
    with pytest.raises(StorageError, match="free some space"):
        run()
    assert server.requests == []
    put(part_of(root), whole[:1])
    run()
    assert content(root) == MEMBERS


@pytest.mark.parametrize("victim", ["stl10_binary.tar.gz.part", ".test_X.bin.part"])
def test_a_full_disk_is_one_sentence_and_what_came_is_kept(run, root, server, whole, monkeypatch, victim):
    original = download.GrowingFile.append

    def append(growing, chunk):
        if Path(growing.file.name).name == victim and growing.size >= 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(growing, chunk)

    with monkeypatch.context() as full:
        full.setattr(download.GrowingFile, "append", append)
        with pytest.raises(StorageError) as caught:
            run()
    assert "No space left on device; when that is repaired, the same command continues from here" in str(caught.value)
    assert not (root / "stl10_binary" / ".test_X.bin.part").exists()
    run()
    assert server.requests[0] is None
    assert None not in server.requests[1:]
    assert content(root) == MEMBERS


def test_an_interrupted_download_is_taken_up(run, root, server, whole, monkeypatch):
    original = download.GrowingFile.append

    def append(growing, chunk):
        original(growing, chunk)
        if growing.size > 100_000:
            raise KeyboardInterrupt

    with monkeypatch.context() as impatient:
        impatient.setattr(download.GrowingFile, "append", append)
        with pytest.raises(KeyboardInterrupt):
            run()
    kept = part_of(root).stat().st_size
    assert part_of(root).read_bytes() == whole[:kept]
    assert kept > 100_000
    run()
    assert server.requests == [None, f"bytes={kept}-"]
    assert content(root) == MEMBERS


def test_a_second_process_waits_and_finds_it_done(root, archive, server):
    root.mkdir()
    said: queue.Queue[str] = queue.Queue()
    second = threading.Thread(
        target=fetch_stl10, args=[root], kwargs={"archive": archive, "say": said.put}, daemon=True
    )
    with FileLock(root / "stl10_binary.lock"):
        second.start()
        assert said.get(timeout=PATIENCE) == f"another process is fetching STL-10 to {root}; waiting for it"
        for name in MEMBERS:
            put(root / "stl10_binary" / name, MEMBERS[name])
    second.join(PATIENCE)
    assert not second.is_alive()
    assert server.requests == []
    assert names(root) == {"stl10_binary", "stl10_binary.lock"}


def test_a_file_in_the_folders_place_is_one_sentence(run, root, tmp_path):
    put(root, b"")
    with pytest.raises(DataError, match=f"{root} is a file, expected a folder"):
        run()
    with pytest.raises(StorageError, match=f"cannot read or write .*{root.name}"):
        fetch_stl10(root / "below")


def test_a_terminal_gets_a_bar_instead_of_lines(run, said, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run()
    assert "STL-10: 100%" in terminal.getvalue()
    assert not any(" of " in line for line in said)


def test_the_official_archive_is_the_one_torchvision_knows():
    package = Path(importlib.util.find_spec("torchvision").origin).parent  # importing it takes seconds
    source = (package / "datasets" / "stl10.py").read_text()
    assert f'url = "{STL10_ARCHIVE.url}"' in source
    assert f'tgz_md5 = "{STL10_ARCHIVE.md5}"' in source
    for name in LABELLED:
        assert f'["{name}", "{STL10_MD5[name]}"]' in source
