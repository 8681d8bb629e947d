"""One process a folder, on one host and, by its signs of life, on several."""

import json
import threading
import time

import pytest
from waiting import wait_until

from pdenet_repro.system import lock
from pdenet_repro.system.errors import RunFolderBusy, StorageError
from pdenet_repro.system.lock import FolderLock, held


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr(lock, "PATIENCE", 0.5)


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


def test_a_living_holder_on_another_host_is_respected_where_locks_are_not_passed_on(tmp_path):
    sign, stop = tmp_path / "running.json", threading.Event()

    def live():
        count = 0
        while not stop.wait(0.05):
            count += 1
            sign.write_text(json.dumps({"host": "elsewhere", "process": 1, "beat": count}))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(sign.exists)
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


@pytest.mark.parametrize("content", ["{", "[]", "", '{"host": null}'])
def test_a_damaged_sign_blocks_nothing(tmp_path, content):
    (tmp_path / "running.json").write_text(content)
    with FolderLock(tmp_path):
        assert held(tmp_path)
