"""Folders that somebody else may not read are one sentence each, never a traceback."""

import os
from contextlib import contextmanager

import pytest

from pdenet_repro import compose
from pdenet_repro.cli.help import first_steps
from pdenet_repro.data import (
    fetch,  # noqa: F401 (imported while everything can be read)
    source,
)
from pdenet_repro.runs.folder import RunFolder, load_config
from pdenet_repro.system.errors import RunFolderError, StorageError, UserError
from pdenet_repro.system.lock import held


@contextmanager
def as_another_user():
    """Root may read everything, so it acts as somebody else; modules must be imported before."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def private(tmp_path):
    """A folder that may not be entered."""
    folder = tmp_path / "private"
    (folder / "stl10_binary").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize("words", [("data=stl10",), ("data=stl10", "data.download=true"), ("data=shapes",)])
def test_private_data(private, words):
    data = compose(*words, f"data.root={private}").data
    with pytest.raises(UserError, match=r"private.*: Permission denied"), as_another_user():
        source.load(data, print)


def test_a_private_cache(private, monkeypatch):
    monkeypatch.setenv("PDENET_CACHE", str(private))
    data = compose("data=shapes").data
    with (
        pytest.raises(StorageError, match=r"cannot keep the built-in data set in .*private.*: Permission denied"),
        as_another_user(),
    ):
        source.load(data, print)


def test_the_first_steps_say_so(private, monkeypatch):
    monkeypatch.setenv("PDENET_DATA_ROOT", str(private))
    first_steps()  # imports
    with as_another_user():
        assert "you may not read" in first_steps()


def test_a_private_run(private):
    folder = RunFolder(compose("data=shapes", f"output_root={private}"))
    with as_another_user():
        with pytest.raises(
            RunFolderError, match=r"cannot read .*private.*Permission denied\); make it readable, or choose"
        ):
            folder.finished()
        with pytest.raises(RunFolderError, match=r"cannot read .*config.yaml .*Permission denied"):
            load_config(folder.path)
        assert not held(folder.path)
        with pytest.raises(StorageError, match="Permission denied"), folder.locked():
            pass
