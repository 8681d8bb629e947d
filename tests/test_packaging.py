"""The built wheel carries the presets and runs from any folder."""

import os
import subprocess
import sys
import zipfile
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
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".yaml")]
    presets = [
        f"pdenet_repro/configs/{path.relative_to(ROOT / 'configs')}" for path in (ROOT / "configs").rglob("*.yaml")
    ]
    assert sorted(names) == sorted(presets)


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
