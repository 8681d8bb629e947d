"""A report of many runs reads each file once or twice, and opens predictions only where they are needed."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from made import Maker

from pdenet_repro.cli.report import main
from pdenet_repro.report import runs as module
from pdenet_repro.report.runs import collect

RUNS = 300
opened: Counter[Path] = Counter()
watched: list[str] = []


def count(event, arguments):
    """An audit hook, which cannot be removed: it counts while a folder is watched."""
    if event == "open" and watched and isinstance(arguments[0], str | os.PathLike):
        path = os.fspath(arguments[0])
        if isinstance(path, str) and path.startswith(watched[0]) and (arguments[2] or 0) & os.O_ACCMODE == os.O_RDONLY:
            opened[Path(path)] += 1


sys.addaudithook(count)


@pytest.fixture
def reads(many):
    opened.clear()
    watched[:] = [str(many)]
    yield opened
    watched.clear()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    maker = Maker(tmp_path_factory.mktemp("many"))
    for dynamic in ("parabolic", "hamiltonian"):
        for fraction, images in (("0.05", 100), ("0.1", 200), ("0.2", 400)):
            for seed in range(RUNS // 6):
                words = (f"dynamic={dynamic}", f"data.fraction={fraction}")
                maker(*words, seed=seed, right=range(seed % 7, 150), images=images, tests=200, examples=False)
    return maker.root / "made"


def test_three_hundred_runs_are_read_once(many, reads, monkeypatch):
    parsed = Counter()
    load = module.load_config
    monkeypatch.setattr(module, "load_config", lambda path: parsed.update([path]) or load(path))
    (found,) = collect(many, weights=False).values()
    assert len(found.runs) == RUNS
    assert set(parsed.values()) == {1}
    by_name = Counter()
    for path, times in reads.items():
        by_name[path.name] = max(by_name[path.name], times)
    assert by_name["config.yaml"] <= 2  # once parsed, once compared with its checksum
    assert by_name["metrics.csv"] <= 2
    assert by_name["summary.json"] == 1
    assert by_name["predictions.npz"] <= 1  # compared with its checksum, not unpacked
    assert by_name["weights.safetensors"] == 0


def test_the_whole_report_of_them_opens_no_file_more_than_twice(many, reads, monkeypatch, tmp_path):
    from pdenet_repro.data import source
    from pdenet_repro.system.errors import DataError

    def missing(*_):
        raise DataError("not here")

    monkeypatch.setattr(source, "load", missing)
    assert main([str(many), "--output", str(tmp_path)]) == 0
    of_runs = {path: times for path, times in reads.items() if "seed-" in str(path)}
    assert max(of_runs.values()) <= 2
    assert not [path for path in of_runs if path.name == "weights.safetensors"]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 1 + 6


def test_torch_is_not_imported(tmp_path):
    import subprocess

    code = (
        "import sys; from pdenet_repro.cli.report import main; import pdenet_repro.report.write, pdenet_repro.report.publish; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
