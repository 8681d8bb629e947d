"""docs/adding-a-dynamic.md, followed to the letter in a copy of the repository."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_page_can_be_followed(tmp_path):
    for part in ("src", "configs", "tests/networks", "tests/conftest.py", "pyproject.toml"):
        source, target = ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copytree(ROOT / "tests" / "reference", tmp_path / "tests" / "reference")

    # Each piece of code goes into the file that the words before it name; those words say whether to append or to write.
    page = (ROOT / "docs" / "adding-a-dynamic.md").read_text()
    pieces = re.findall(r"(Append\s+to|Write)\s+`([^`]+)`:\n\n```\w+\n(.*?)```", page, re.S)
    assert [(how.split()[0], name.rsplit("/", 1)[1]) for how, name, _ in pieces] == [
        ("Append", "dynamics.py"), ("Write", "damped_wave.yaml"), ("Write", "test_damped_wave.py"),
    ]  # fmt: skip
    for how, name, code in pieces:
        assert (tmp_path / name).exists() == how.startswith("Append")
        with (tmp_path / name).open("a") as file:
            file.write(("\n\n" if how.startswith("Append") else "") + code)

    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    commands = re.search(r"```console\n(.*?)```", page, re.S)[1].splitlines()
    assert len(commands) == 2
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "python"
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "outputs" / "damped" / "figure2_left.csv").open() as file:
        drawn = {(row["dynamic"], row["images"]) for row in csv.DictReader(file)}
    assert drawn == {(name, images) for name in ("second_order", "damped_wave") for images in ("100", "200")}

    # It takes part in the checks of every dynamic.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/networks", "-k", "damped_wave or reversibility"], cwd=tmp_path,
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* passed", done.stdout)
