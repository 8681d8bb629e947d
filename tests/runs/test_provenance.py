"""The recorded command is one that was typed, the recorded commit that of the checkout, whatever signals arrive meanwhile."""

import os
import shutil
import subprocess
import sys

import pytest

from pdenet_repro.runs import provenance


@pytest.mark.parametrize(
    ("started", "found"),
    [
        (["python3", "-m", "pdenet_repro", "seed=1"], "python -m pdenet_repro seed=1"),
        (["python3", "-X", "dev", "-m", "pdenet_repro", "seed=1"], "python -m pdenet_repro seed=1"),
        (["python3", "mine.py", "a b"], "python mine.py 'a b'"),
        (["python3", "-m", "ipykernel_launcher", "-f", "kernel.json"], "python -m ipykernel_launcher -f kernel.json"),
    ],
)
def test_the_command_is_what_was_typed(monkeypatch, started, found):
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", ["the program", *[word for word in started if "=" in word]])
    assert provenance.command() == found


@pytest.fixture
def checkout(tmp_path):
    """The path of a file that is committed, and the commit."""
    path = tmp_path / "checkout" / "provenance.py"
    path.parent.mkdir()
    path.write_text("committed\n")
    settings = ("-c", "user.name=A Name", "-c", "user.email=name@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=a commit")):
        subprocess.run(["git", *settings, *words], cwd=path.parent, check=True)
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=path.parent, check=True, capture_output=True, text=True)
    return path, found.stdout.strip()


def test_the_commit_is_that_of_the_checkout_and_marks_its_changes(monkeypatch, tmp_path, checkout):
    def found(path):
        monkeypatch.setattr(provenance, "__file__", str(path))
        return provenance.git_commit.__wrapped__()

    path, commit = checkout
    assert found(path) == commit
    marks = set()
    for text in ("changed\n", "changed again\n"):
        path.write_text(text)
        assert found(path).startswith(f"{commit}+changes-")
        marks.add(found(path))
    assert len(marks) == 2
    path.write_text("committed\n")
    assert found(path) == commit
    assert found(path.with_name("not_committed.py")) is None  # installed inside the repository of another project
    assert found(tmp_path / "no_checkout" / "provenance.py") is None


def test_a_signal_to_the_process_group_does_not_lose_the_commit(tmp_path, checkout):
    """Otherwise the run's next attempt would warn of another program, or refuse to continue."""
    path, commit = checkout
    git = tmp_path / "programs" / "git"
    git.parent.mkdir()
    git.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, sys\n"
        "os.killpg(os.getpgid(os.getppid()), signal.SIGINT)\n"
        f"os.execv({shutil.which('git')!r}, ['git', *sys.argv[1:]])\n"
    )
    git.chmod(0o755)
    program = (
        "import signal, sys\n"
        "from pdenet_repro.runs import provenance\n"
        "received = []\n"
        "signal.signal(signal.SIGINT, lambda *_: received.append(1))\n"
        "provenance.__file__ = sys.argv[1]\n"
        "print(provenance.git_commit(), bool(received))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PATH": f"{git.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{commit} True\n")
