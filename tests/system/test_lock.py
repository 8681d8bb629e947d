"""One process a folder, on one host and, by its signs of life, on several."""

import errno
import json
import os
import platform
import threading
import time

import pytest
from waiting import PATIENCE, wait_until

from pdenet_repro.system import lock
from pdenet_repro.system.errors import RunFolderBusy, RunFolderError, StorageError
from pdenet_repro.system.files import write_atomically
from pdenet_repro.system.lock import FolderLock, held


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    monkeypatch.setattr(lock, "HEARTBEAT_TIMEOUT", 0.5)


def test_held_and_free_again(tmp_path):
    assert not held(tmp_path)
    with FolderLock(tmp_path):
        assert held(tmp_path)
        with pytest.raises(RunFolderBusy, match=r"another process \(process \d+ on "), FolderLock(tmp_path):
            pass
    assert not held(tmp_path)
    assert not (tmp_path / "running.json").exists()


def test_a_folder_in_the_place_of_the_lock_is_named(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with (
        pytest.raises(StorageError, match=r"cannot write .*/run\.lock: .*; a folder stands where a file is needed"),
        FolderLock(tmp_path),
    ):
        pass
    assert not held(tmp_path)


def test_the_holder_shows_signs_of_life(tmp_path):
    with FolderLock(tmp_path):
        first = json.loads((tmp_path / "running.json").read_text())
        wait_until(lambda: json.loads((tmp_path / "running.json").read_text())["beat"] > first["beat"])


def test_a_living_holder_on_another_host_is_respected_where_locks_are_not_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_TIMEOUT", PATIENCE)  # a loaded machine may delay a heartbeat
    heartbeat, stop = tmp_path / "running.json", threading.Event()

    def live():
        count = 0
        while not stop.wait(0.05):
            count += 1
            write_atomically(heartbeat, json.dumps({"host": "elsewhere", "process": 1, "beat": count}))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(heartbeat.exists)
        with pytest.raises(RunFolderBusy, match="process 1 on elsewhere"), FolderLock(tmp_path):
            pass
    finally:
        stop.set()
        thread.join()
    assert not held(tmp_path)


def test_a_dead_holder_on_another_host_is_waited_for_and_then_forgotten(tmp_path):
    (tmp_path / "running.json").write_text(json.dumps({"host": "elsewhere", "process": 1, "beat": 7}))
    said, began = [], time.monotonic()
    with FolderLock(tmp_path, said.append):
        assert time.monotonic() - began >= 0.5
    assert "was held on elsewhere" in said[0]


def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_where_the_file_system_has_no_locks_the_sign_of_life_serves(tmp_path, monkeypatch):
    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    monkeypatch.setattr(lock, "HEARTBEAT_TIMEOUT", PATIENCE)  # a full disk queue may delay a heartbeat
    with FolderLock(tmp_path):
        with pytest.raises(RunFolderBusy, match=r"another process \(process \d+ on "), FolderLock(tmp_path):
            pass
        assert not held(tmp_path)
    (tmp_path / "running.json").write_text(json.dumps({"host": platform.node(), "process": 1, "token": "t", "beat": 3}))
    monkeypatch.setattr(lock, "HEARTBEAT_TIMEOUT", 0.5)
    with FolderLock(tmp_path):  # its holder died
        pass


def test_a_lock_that_outlives_a_dead_node_is_waited_for(tmp_path, monkeypatch):
    """The file server keeps the lock for a while; the heartbeat of the dead holder does not change."""
    (tmp_path / "running.json").write_text(json.dumps({"host": "elsewhere", "process": 1, "token": "t", "beat": 7}))
    other = os.open(tmp_path / "run.lock", os.O_RDWR | os.O_CREAT)
    assert lock.try_lock(other)
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 60.0)

    def released(line):
        os.close(other)

    with FolderLock(tmp_path, released):
        assert held(tmp_path)


def test_a_lock_that_is_never_free_is_named(tmp_path, monkeypatch):
    (tmp_path / "running.json").write_text(json.dumps({"host": "elsewhere", "process": 1, "token": "t", "beat": 7}))
    other = os.open(tmp_path / "run.lock", os.O_RDWR | os.O_CREAT)
    assert lock.try_lock(other)
    monkeypatch.setattr(lock, "LOCK_TIMEOUT", 0.5)
    with pytest.raises(RunFolderBusy, match=r"has not renewed running.*if that process is gone, remove .*run\.lock"):
        FolderLock(tmp_path).__enter__()
    os.close(other)


def test_a_holder_that_was_taken_for_dead_notices_before_it_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", PATIENCE)  # none in the instant in which the other process takes over
    with FolderLock(tmp_path) as first:
        first.confirm()
        taken = {"host": "elsewhere", "process": 2, "token": "another", "beat": 0}
        (tmp_path / "running.json").write_text(json.dumps(taken))
        with pytest.raises(RunFolderBusy, match=r"process 2 on elsewhere.*has taken the folder over"):
            first.confirm()
    assert json.loads((tmp_path / "running.json").read_text()) == taken  # nor does its end undo the other's heartbeat


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_moved_away_is_noticed(tmp_path, again):
    folder = tmp_path / "seed-0"
    folder.mkdir()
    with FolderLock(folder) as holder:
        folder.rename(tmp_path / "moved")
        if again:
            folder.mkdir()
            (folder / "run.lock").touch()
        with pytest.raises(RunFolderError, match=r"was removed, moved or replaced while its run went on"):
            holder.confirm()


def test_a_sign_that_cannot_be_read_is_no_absence(tmp_path):
    (tmp_path / "running.json").mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*running\.json"), FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("content", ["{", "[]", "", '{"host": null}'])
def test_a_damaged_sign_blocks_nothing(tmp_path, content):
    (tmp_path / "running.json").write_text(content)
    with FolderLock(tmp_path):
        assert held(tmp_path)
