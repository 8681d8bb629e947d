"""What a process finds around it: a compiler cache that cannot be written, a working folder that is gone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pdenet_repro.cli import analysis, report
from pdenet_repro.cli.command import execute
from pdenet_repro.system.environment import COMPILER_CACHE, OPTION, SPIN_COUNT, load_torch, use_writable_compiler_cache


def test_a_compiler_cache_that_cannot_be_written_is_replaced(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setenv(COMPILER_CACHE, "/proc/x")
    use_writable_compiler_cache(warnings.append)
    assert "cannot write /proc/x" in warnings[0]
    assert Path(os.environ[COMPILER_CACHE]).is_dir()
    monkeypatch.setenv(COMPILER_CACHE, str(tmp_path / "mine"))
    use_writable_compiler_cache(warnings.append)
    assert (len(warnings), os.environ[COMPILER_CACHE]) == (1, str(tmp_path / "mine"))


def test_pytorch_is_loaded_with_a_compiler_cache_that_cannot_be_written():
    program = "from pdenet_repro.system.environment import load_torch; load_torch()"
    environment = os.environ | {COMPILER_CACHE: "/proc/x"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.startswith(f"warning: {COMPILER_CACHE}: cannot write /proc/x")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, SPIN_COUNT), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)],
    ids=["default", "count", "policy"],
)
def test_waiting_threads_soon_sleep_unless_the_user_says_otherwise(monkeypatch, given, found):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    load_torch()
    assert os.environ.get("GOMP_SPINCOUNT") == found


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("TORCH_LOGS", "nonsense", "unset what is wrong"),
        ("TORCHINDUCTOR_COMPILE_THREADS", "many", "unset what is wrong"),
        ("PYTORCH_ALLOC_CONF", "nonsense", "must be NAME:VALUE"),
        ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True,nonsense", "must be NAME:VALUE"),
    ],
)
def test_a_variable_that_keeps_pytorch_from_being_loaded_is_one_sentence(name, value, advice):
    """Also at the second attempt: PyTorch itself would then complain of something else."""
    program = """
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.environment import load_torch
for _ in range(2):
    try:
        load_torch()
    except InvalidConfig as error:
        print(error)
"""
    clean = {key: value for key, value in os.environ.items() if "TORCH" not in key}
    done = subprocess.run([sys.executable, "-c", program], env=clean | {name: value}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == second
    assert first.startswith(f"{name}={value}: ")
    assert advice in first


@pytest.mark.parametrize("value", ["a:1", "a:0.5, b:True", "a:[256:1,512:2,>:8],b:x"])
def test_settings_of_pytorch_s_allocator_that_can_be_read_pass(value):
    assert re.fullmatch(f"{OPTION}(, ?{OPTION})*", value)


@pytest.mark.parametrize(
    "command",
    [lambda: execute(["--cfg", "job"]), lambda: report.main(["outputs"]), lambda: analysis.main(["energy", "x"])],
    ids=["train", "report", "analysis"],
)
def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path, monkeypatch, capsys, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert command() == 2
    assert "the folder in which this command was typed is gone" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--output="], [""]])
def test_an_empty_folder_is_not_the_working_folder(words, capsys):
    assert report.main([*words] if words == [""] else ["outputs", *words]) == 2
    assert "must be a folder" in capsys.readouterr().err


def test_a_data_root_of_a_user_who_does_not_exist_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setenv("PDENET_DATA_ROOT", "~nosuchuser/x")
    assert execute([]) == 2
    assert "data.root=~nosuchuser/x: there is no user ~nosuchuser" in capsys.readouterr().err.replace(
        "user nosuch", "user ~nosuch"
    )
