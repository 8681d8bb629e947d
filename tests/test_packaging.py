"""The built wheel carries the presets, says what it is, and runs from any folder; the installed PyTorch has what is used."""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("*.whl")
    return built


def test_wheel_holds_every_preset_once(wheel):
    every = zipfile.ZipFile(wheel).namelist()
    names = [name for name in every if name.endswith(".yaml") and not name.startswith("pdenet_repro/pretrained/")]
    presets = [
        f"pdenet_repro/configs/{path.relative_to(ROOT / 'configs')}" for path in (ROOT / "configs").rglob("*.yaml")
    ]
    assert sorted(names) == sorted(presets)


def test_wheel_holds_every_file_of_the_pretrained_networks(wheel):
    package = ROOT / "src"
    files = {
        str(path.relative_to(package))
        for path in (package / "pdenet_repro" / "pretrained").rglob("*")
        if path.is_file()
    }
    assert files <= set(zipfile.ZipFile(wheel).namelist())
    assert "pdenet_repro/pretrained/hamiltonian/weights.safetensors" in files


def test_wheel_composes_away_from_the_repository(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    done = subprocess.run(
        [sys.executable, "-m", "pdenet_repro", "recipe=jmiv", "dynamic=hamiltonian", "--cfg", "job"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "norm: channel_rms" in done.stdout
    assert list(tmp_path.iterdir()) == [site]  # asking leaves nothing behind
    where = subprocess.run(
        [sys.executable, "-c", "import pdenet_repro; print(pdenet_repro.__file__)"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(site))


def test_wheel_is_typed_and_has_a_console_script(wheel):
    archive = zipfile.ZipFile(wheel)
    assert "pdenet_repro/py.typed" in archive.namelist()
    (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "pdenet-repro = pdenet_repro.__main__:main" in archive.read(entry_points).decode()


def test_wheel_description_needs_no_repository(wheel):
    """An index shows the description without the files beside it: every link must be absolute."""
    archive = zipfile.ZipFile(wheel)
    (path,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    metadata = message_from_bytes(archive.read(path))
    targets = re.findall(r"\]\(([^)]+)\)", metadata.get_payload())
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert metadata["Author"]
    assert metadata.get_all("Project-URL")


def test_installed_torch_has_the_private_parts_in_use():
    """No promise covers these names: before the upper bound on torch is raised in pyproject.toml, this test must pass."""
    names = {
        name
        for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
        for name in re.findall(r"\btorch(?:\.\w+)*\._\w+(?:\.\w+)*", path.read_text())
    }
    assert "torch._dynamo.config.recompile_limit" in names  # the pattern finds them
    assert [name for name in sorted(names) if not _exists(name)] == []


def _exists(name: str) -> bool:
    """Whether a dotted name leads to something, its longest importable part imported."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_lock_file_has_the_pinned_versions_with_hashes_and_names_no_index():
    lock, pinned = (ROOT / "requirements.lock").read_text(), (ROOT / "constraints.txt").read_text()
    locked = {_normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.M)}
    versions = {_normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", pinned, re.M)}
    assert versions.items() <= locked.items(), "renew requirements.lock; its head says how"
    assert len(re.findall(r"== *\S+ \\\n +--hash=sha256:[0-9a-f]{64}", lock)) == len(locked)
    assert "://" not in lock


def _normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
