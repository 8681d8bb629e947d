"""Each benchmark runs, on tiny sizes, and writes what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

SCRIPTS = Path(__file__).parents[2] / "scripts"
pytestmark = pytest.mark.slow


def run(script, *options):
    done = subprocess.run([sys.executable, SCRIPTS / script, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training(tmp_path):
    sizes = ["--batches", "8", "--rounds", "1", "--steps", "1", "--workers", "0", "--variants", "eager"]
    tiny = ["--dynamics", "hamiltonian", "--settings", "data=shapes", "network=tiny", "evaluation.batch_size=10"]
    said = run("benchmark_training.py", *sizes, *tiny, "--output", tmp_path / "t.json")
    assert "hamiltonian, batch 8" in said
    plain, eager = json.loads((tmp_path / "t.json").read_text())["results"]
    assert (plain["variant"], eager["variant"]) == ("plain", "eager")
    assert plain["times_plain"] == 1
    assert eager["times_bound"] > 1
    epochs, images = 120, sum(500 * k // 8 * 8 for k in range(1, 11))
    assert eager["study_seconds"] > epochs * images * eager["seconds_per_image"][0]


def test_memory(tmp_path):
    sizes = ["--steps", "3", "24", "--channels", "8", "--side", "32", "--batch", "8", "--repeats", "1"]
    chosen = ["--variants", "reverse", "reverse, compiled", "revtorch", "checkpoint"]
    said = run("benchmark_memory.py", *sizes, *chosen, "--output", tmp_path / "m.json", "--plot", tmp_path / "m.png")
    assert "gradients agree to" in said
    rows = json.loads((tmp_path / "m.json").read_text())["rows"]
    mib = {(row["variant"], row["steps"]): row["mib"] for row in rows}
    assert {name for name, _ in mib} - {"revtorch"} == {"store", "reverse", "reverse, compiled", "checkpoint"}
    assert mib["store", 24] > 4 * mib["store", 3]
    assert mib["reverse", 24] < mib["store", 24] / 4
    assert (tmp_path / "m.png").stat().st_size > 10_000


def test_scaling(tmp_path):
    sizes = ["--axes", "batch", "images", "--points", "2", "--repeats", "1"]
    said = run("benchmark_scaling.py", *sizes, "--output", tmp_path / "s.json", "--plot", tmp_path / "s.png")
    assert "images in a batch" in said
    rows = json.loads((tmp_path / "s.json").read_text())["rows"]
    small, large = (row for row in rows if row["axis"] == "batch")
    assert large["mib"] > 1.5 * small["mib"]
    assert (tmp_path / "s.png").stat().st_size > 10_000


def test_winograd(tmp_path):
    said = run("benchmark_winograd.py", "--sizes", "32x8", "--batch", "2", "--repeats", "1", "--output", tmp_path / "w")
    assert "| 32, 8x8 |" in said
    (row,) = json.loads((tmp_path / "w").read_text())["rows"]
    assert row["ratio"] > 0
    assert 0 < row["difference"] < 1e-4


def test_startup(tmp_path):
    tiny = ["--repeats", "1", "--runs", "network=tiny schedule=demo"]
    said = run("benchmark_startup.py", *tiny, "--output", tmp_path / "s.json")
    assert "| first step of network=tiny schedule=demo |" in said
    seconds = json.loads((tmp_path / "s.json").read_text())["seconds"]
    assert [len(times) for times in seconds.values()] == [1, 1, 1]


def test_report(tmp_path):
    said = run("benchmark_report.py", "--seeds", "1", "--output", tmp_path / "r.json")
    assert "| 10 finished runs |" in said
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    assert set(results) == {"report", "sweep, --plan", "status"}
    assert all(found["processor"] > 0 and found["mib"] > 10 for found in results.values())


@pytest.mark.parametrize("script", ["benchmark_memory.py", "benchmark_scaling.py", "benchmark_training.py"])
def test_a_missing_gpu_is_refused(script):
    done = subprocess.run([sys.executable, SCRIPTS / script, "--device", "cuda:77"], capture_output=True, text=True)
    assert done.returncode
    assert "device=cuda:77" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--variants", "fast"), "--variants 'fast': must be one of 'eager', 'compiled', 'compiled, bfloat16'"),
        (("--settings", "data=stl10", "data.root=/nowhere"), "error: plain: "),
    ],
)
def test_what_cannot_be_measured_is_said_and_nothing_is_left_running(options, said):
    command = [sys.executable, SCRIPTS / "benchmark_training.py", *options, "--dynamics", "parabolic"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
