"""docs/adding-a-dynamic.md, followed to the letter in an empty folder; then the run folders without the file."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pdenet_repro import load_run
from pdenet_repro.system.errors import InvalidConfig

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def call(command, folder, code=0):
    words = shlex.split(command)
    assert words[0] == "python"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder in which the page was followed, and the commands of the page."""
    folder = tmp_path_factory.mktemp("own")
    page = (ROOT / "docs" / "adding-a-dynamic.md").read_text()
    pieces = re.findall(r"Write\s+`([^`]+)`:\n\n```python\n(.*?)```", page, re.S)
    assert [name for name, _ in pieces] == ["damped_wave.py", "test_damped_wave.py"]
    for name, code in pieces:
        (folder / name).write_text(code)
    commands = re.search(r"```console\n(.*?)```", page, re.S)[1].splitlines()
    assert len(commands) == 3
    return folder, commands, [call(command, folder) for command in commands]


def test_the_page_can_be_followed(followed):
    folder, _, printed = followed
    assert "1 passed" in printed[0]
    with (folder / "outputs" / "damped" / "figure2_left.csv").open() as file:
        drawn = {(row["dynamic"], row["images"]) for row in csv.DictReader(file)}
    assert drawn == {(name, "100") for name in ("second_order", "DampedWave")}
    assert "damped wave" in (folder / "outputs" / "damped" / "results.md").read_text()
    assert "damped wave" in printed[2]


def test_the_folder_alone_is_enough(followed, tmp_path):
    folder, _, _ = followed
    shutil.copytree(folder / "outputs" / "damped", tmp_path / "copied")
    run = tmp_path / "copied" / "DampedWave" / "fraction-0.05" / "seed-0"
    assert (run / "dynamic.py").read_bytes() == (folder / "damped_wave.py").read_bytes()
    (folder / "damped_wave.py").rename(tmp_path / "kept.py")
    try:
        assert "damped wave" in call("python -m pdenet_repro.report copied", tmp_path)
        printed = call(
            "python -m pdenet_repro.analysis spectrum copied --images 1 --unknowns 64 --output found", tmp_path
        )
        assert "Left out: damped wave, " in printed
        network, config = load_run(run)
        assert type(network.units[0].dynamic).__name__ == config.dynamic == "DampedWave"
        settings = (
            "data=shapes network=tiny schedule=demo schedule.epochs=1 data.fraction=0.05 name=copied output_root=."
        )
        word = "dynamic=copied/DampedWave/fraction-0.05/seed-0/dynamic.py:DampedWave"
        assert "already finished" in call(f"python -m pdenet_repro {word} {settings}", tmp_path)
        (run / "dynamic.py").unlink()
        with pytest.raises(InvalidConfig, match=r"damped_wave\.py is missing"):
            load_run(run)
    finally:
        (tmp_path / "kept.py").rename(folder / "damped_wave.py")


def test_a_changed_file_does_not_continue_a_run(followed):
    folder, commands, _ = followed
    file = folder / "damped_wave.py"
    before = file.read_text()
    file.write_text(before.replace("damping = 0.5", "damping = 0.25"))
    try:
        message = call(commands[1], folder, code=2)
        assert "dynamic_sha256" in message
        assert "name=..." in message
    finally:
        file.write_text(before)
