"""How much processor time, wall-clock time and memory do a report, a plan and the status of 300 finished runs take?

Start it as ``python scripts/benchmark_report.py``. The runs are artificial: their files are as large as those of the paper's
network (8,000 test images, 10 classes, 120 epochs, weights) and differ only in the seed. Other load on the machine hardly
changes processor time, but does change wall-clock time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import header, write_json

from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.schema import Config
from pdenet_repro.data.examples import saved_indices
from pdenet_repro.runs.folder import RunFolder, config_digest
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.files import npz, sha256

TESTS, CLASSES, EPOCHS, WEIGHTS = 8000, 10, 120, 5_100_000  # test images, classes, epochs, bytes of weights
NAME = "benchmark"
AXES = ("dynamic=parabolic,hamiltonian", "data.fraction=0.2,0.4,0.6,0.8,1.0")


def files(rng: np.random.Generator) -> tuple[dict[str, bytes], float]:
    """Return the large files of a run by name, and the test accuracy of the predictions in them."""
    labels = np.arange(TESTS) % CLASSES
    probabilities = rng.dirichlet(np.full(CLASSES, 0.3), TESTS).astype(np.float32)
    shown = saved_indices(TESTS)
    content = {
        "predictions.npz": npz(
            probabilities=probabilities, labels=labels, class_names=np.array([f"class {i}" for i in range(CLASSES)])
        ),
        "examples.npz": npz(indices=shown, pixels=rng.integers(0, 256, (len(shown), 3, 96, 96), np.uint8)),
        "weights.safetensors": rng.bytes(WEIGHTS),
    }
    return content, float((probabilities.argmax(1) == labels).mean())


def lay_out(config: Config, large: dict[str, bytes], accuracy: float) -> None:
    """Write the folder of a finished run."""
    folder, rng = RunFolder(config), np.random.default_rng(config.seed)
    folder.path.mkdir(parents=True)
    folder.begin("python scripts/benchmark_report.py")
    columns = ("learning_rate", "loss", "data_loss", "smoothness", "decay", "running_train_accuracy", "largest_weight")
    rows: list[dict[str, Any]] = [
        {"epoch": epoch, **{name: float(rng.random()) for name in columns}, "test_accuracy": float(rng.random())}
        for epoch in range(1, EPOCHS + 1)
    ]
    folder.write_rows("metrics.csv", rows)
    timing = {"seconds": 90.0, "images_per_second": 55.5, "peak_memory_mib": 3900.0}
    folder.write_rows("timings.csv", [{"epoch": row["epoch"], **timing} for row in rows])
    for name, content in large.items():
        (folder.path / name).write_bytes(content)
    names = ("config.yaml", "metrics.csv", "timings.csv", *large)
    folder.finish({
        "dynamic": config.dynamic, "seed": config.seed, "test_accuracy": accuracy, "train_accuracy": 1.0,
        "train_images": round(5000 * config.data.fraction), "test_images": TESTS, "weights": 600_000,
        "training_seconds": 90.0 * EPOCHS, "class_names": [f"class {i}" for i in range(CLASSES)], "epochs": EPOCHS,
        "epoch_reported": EPOCHS, "configuration_sha256": config_digest(config), "attempts": [],
        "files_sha256": {name: sha256(folder.path / name) for name in names},
    })  # fmt: skip


def measure(words: list[str]) -> dict[str, float]:
    """Run a command; return its seconds of processor time and of wall-clock time, and its peak memory in MiB."""
    begin, mib = time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            mib = max(mib, peak(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        if os.waitstatus_to_exitcode(ended[1]):
            said.seek(0)
            sys.exit(f"error: {' '.join(words)}: {said.read().decode()[-500:]}")
    return {"processor": ended[2].ru_utime + ended[2].ru_stime, "clock": seconds, "mib": mib}


def peak(process: int) -> float:
    """Return the peak memory of a process so far, in MiB; 0 once it has ended. (``ru_maxrss`` would include this script's.)"""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Write the artificial runs, measure the commands, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole_number(1), default=30, help="seeds of each of the ten networks")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/report.json"))
    given = parser.parse_args()
    origin = header(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as root:
        study = [*AXES, f"seed=range({given.seeds})", f"name={NAME}", f"output_root={root}"]
        configs, (large, accuracy) = compose_sweep(study), files(np.random.default_rng(0))
        for config in configs:
            lay_out(config, large, accuracy)
        folder = f"{root}/{NAME}"
        commands = {
            "report": ["-m", "pdenet_repro.report", folder],
            "sweep, --plan": ["-m", "pdenet_repro", "-m", *study, "--plan"],
            "status": ["-m", "pdenet_repro.status", folder],
        }
        results = {name: measure([sys.executable, *words]) for name, words in commands.items()}
    print(f"| {len(configs)} finished runs | processor s | clock s | MiB |\n|---|---:|---:|---:|")
    for name, found in results.items():
        print(f"| {name} | {found['processor']:.1f} | {found['clock']:.1f} | {found['mib']:,.0f} |")
    write_json(given.output, **origin, runs=len(configs), results=results)


if __name__ == "__main__":
    main()
