"""Files that are whole or absent."""

import pytest

from pdenet_repro.system.files import read_mapping, write_atomically


@pytest.mark.parametrize("typed", ["é", "\udcc3\udca9"], ids=["locale of UTF-8", "locale of ASCII"])
def test_a_path_is_written_in_utf_8_in_every_locale(tmp_path, typed):
    """Python keeps the bytes of an argument that the locale cannot decode as surrogates."""
    write_atomically(tmp_path / "report", typed)
    assert (tmp_path / "report").read_bytes() == "é".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("content", ["{", "[1]", "", None])
def test_a_mapping_that_is_missing_or_damaged_is_empty(tmp_path, content):
    path = tmp_path / "small.json"
    if content is not None:
        path.write_text(content)
    assert read_mapping(path) == {}
    path.write_text('{"a": 1}')
    assert read_mapping(path) == {"a": 1}
