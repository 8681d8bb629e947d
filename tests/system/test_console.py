"""What a person sees of a run."""

import io
import os
import runpy
import subprocess
import sys

import pytest

from pdenet_repro.system.console import TolerantStream, surviving_output


def test_a_wrong_setting_of_progress_bars_is_ignored():
    program = "from pdenet_repro.system import console; console.Log().say('a line')"
    environment = os.environ | {"TQDM_MININTERVAL": "x"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")


@pytest.mark.parametrize(("encoding", "written"), [("ascii", b"\\xe9"), ("latin-1", b"\xe9"), ("utf-8", "é".encode())])
def test_characters_that_a_stream_lacks_are_escaped(encoding, written):
    content = io.BytesIO()
    stream = TolerantStream(io.TextIOWrapper(content, encoding))
    stream.write("é")
    stream.flush()
    assert content.getvalue() == written


def test_a_log_file_is_utf_8_in_every_locale(tmp_path):
    program = "import pathlib, sys; from pdenet_repro.system import console; log = console.Log(); "
    program += "console.ignore_failed_output(); log.path = pathlib.Path('run.log'); log.say('\\xe9')"
    environment = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\xe9\n", b"")
    assert (tmp_path / "run.log").read_bytes().endswith(" é\n".encode())


@pytest.mark.parametrize("module", ["analysis", "clean", "export", "report", "status"])
def test_a_command_in_a_notebook_leaves_its_streams(module, monkeypatch, capsys):
    """``%run -m`` executes a module in the notebook's own process."""
    streams = sys.stdout, sys.stderr
    monkeypatch.setattr(sys, "argv", ["the notebook", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"pdenet_repro.{module}", run_name="__main__")
    assert end.value.code == 0
    assert f"usage: python -m pdenet_repro.{module}" in capsys.readouterr().out
    assert (sys.stdout, sys.stderr) == streams


def test_somebody_else_s_folder_is_one_sentence_for_every_command(capsys):
    with pytest.raises(SystemExit) as end, surviving_output():
        raise PermissionError(13, "Permission denied", "/theirs")
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("/theirs: Permission denied; make it accessible")
    assert err.count("\n") == 1
