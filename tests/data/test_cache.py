"""Where the cache folder is."""

from pathlib import Path

import pytest

from pdenet_repro.data import cache
from pdenet_repro.system.errors import StorageError


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PDENET_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("PDENET_CACHE")
    assert cache.cache_folder() == tmp_path / "shared" / "pdenet-repro"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.cache_folder() == tmp_path / "home" / ".cache" / "pdenet-repro"


def test_no_home_folder_is_one_sentence(monkeypatch):
    def homeless():
        raise RuntimeError

    monkeypatch.delenv("PDENET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StorageError, match="set PDENET_CACHE"):
        cache.cache_folder()
