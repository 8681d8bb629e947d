"""What a run folder keeps of a dynamic in a user's file."""

import hashlib

import pytest

from pdenet_repro import compose
from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.runs.folder import RunFolder, config_digest, load_config
from pdenet_repro.system.errors import OtherConfiguration

TEXT = 'raise RuntimeError("not to be executed")\nclass Kept(Dynamic):\n    facts = Facts("kept", marker="X")\n'


@pytest.fixture
def folder(tmp_path):
    """A run folder at its beginning, and the file that its dynamic is in."""
    file = tmp_path / "kept.py"
    file.write_text(TEXT)
    config = compose(f"dynamic={file}:Kept", "data=shapes", "network=tiny", f"output_root={tmp_path}")
    found = RunFolder(config)
    with found.locked():
        found.begin("a command")
    return found, file


def test_the_folder_is_named_after_the_class_and_keeps_the_file(folder):
    found, file = folder
    assert found.path.parts[-3:] == ("Kept", "fraction-1.00", "seed-0")
    loaded = load_config(found.path)
    assert loaded.dynamic_file == str(found.path / "dynamic.py")
    assert (found.path / "dynamic.py").read_bytes() == file.read_bytes()
    assert loaded.dynamic_sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    file.unlink()
    assert (facts_of("Kept").label, facts_of("Kept").marker) == ("kept", "X")
    (found.path / "dynamic.py").unlink()
    assert load_config(found.path).dynamic_file == str(file)  # neither is there: whoever needs it says so


def test_where_the_file_lies_does_not_tell_runs_apart_but_its_content_does(folder):
    found, file = folder
    moved = file.rename(file.with_name("moved.py"))
    words = ("data=shapes", "network=tiny", f"output_root={file.parent}")
    config = compose(f"dynamic={moved}:Kept", *words)
    assert config_digest(config) == config_digest(found.config)
    assert RunFolder(config).finished() is None
    (found.path / "metrics.csv").write_text("epoch\n1\n")
    moved.write_text(TEXT + "# changed\n")
    with pytest.raises(OtherConfiguration, match="dynamic_sha256"):
        RunFolder(compose(f"dynamic={moved}:Kept", *words)).finished()
