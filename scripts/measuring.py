"""Functions that the benchmarks share: origin of the numbers, timing in turns, rates of the machine, JSON files."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pdenet_repro.runs import provenance
from pdenet_repro.system import device


def header(where: torch.device) -> dict[str, Any]:
    """Print the hardware, versions and commit of the measurement, and return them for the JSON file."""
    hardware, versions = device.hardware(where), provenance.versions()
    print(f"{hardware['gpu'] or hardware['cpu']}, {hardware['threads']} threads, {hardware['system']}")
    print(", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "pdenet-repro")), flush=True)
    return {"hardware": hardware, "versions": versions, "git_commit": provenance.git_commit()}


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int, where: torch.device | None = None
) -> dict[str, list[float]]:
    """Return the seconds of each call. Functions take turns, so that other load slows all alike; a first round is not counted."""
    where = where or torch.device("cpu")
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(-1, repeats):
        for name, function in functions.items():
            device.synchronize(where)
            start = time.perf_counter()
            function()
            device.synchronize(where)
            if repeat >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def matrix_rate(where: torch.device, precision: str) -> float:
    """Return the floating-point operations per second of the fastest of a few large matrix products and a convolution."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    kind: dict[str, Any] = {"device": where, "dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
    trials: list[tuple[int, Callable[[], torch.Tensor]]] = []
    for n in (1024, 2048, 4096) if where.type == "cpu" else (4096, 8192):
        A, B = (torch.randn(n, n, **kind) for _ in range(2))
        trials.append((2 * n**3, partial(torch.matmul, A, B)))
    images, kernel = torch.randn(32, 256, 12, 12, **kind), torch.randn(256, 256, 3, 3, **kind)
    trials.append(
        (2 * 9 * 256 * 256 * 32 * 100, partial(torch.nn.functional.conv2d, images, kernel))
    )  # 10 x 10 results
    return max(operations / fastest(run, where) for operations, run in trials)


def copy_rate(where: torch.device) -> float:
    """Return the bytes per second, read plus written, of copying a tensor much larger than any cache."""
    source = torch.zeros(2**26 if where.type == "cpu" else 2**28, device=where)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), where)


def fastest(run: Callable[[], Any], where: torch.device) -> float:
    """Return the seconds of the fastest of five calls after a first one, which is not counted."""
    times = []
    for _ in range(6):
        device.synchronize(where)
        begin = time.perf_counter()
        run()
        device.synchronize(where)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def peak_growth(function: Callable[[], Any], where: torch.device) -> float:
    """Return the peak growth of memory in MiB during one call: of allocated memory on a GPU, of resident memory on a CPU (Linux).

    On the CPU, the process must run with the environment variables ``RETURN_FREED``: freed tensors then go back to the system
    at once, so that resident memory is the memory in use.
    """
    device.reset_peak_memory(where)
    before = torch.cuda.memory_allocated(where) / 2**20 if where.type == "cuda" else device.peak_memory(where)
    function()
    device.synchronize(where)
    return device.peak_memory(where) - before


RETURN_FREED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # glibc's mallopt(3)


def in_a_process(part: str, *options: str) -> list[dict[str, Any]]:
    """Start this script again with ``--part`` (``seconds`` or ``peak``), and return the rows that it prints as JSON."""
    environment = os.environ | (RETURN_FREED if part == "peak" else {})
    command = [sys.executable, *sys.argv, "--part", part, *options]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: measuring {part} failed with exit code {done.returncode}")
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def write_json(path: Path, **content: Any) -> None:
    """Write the numbers, and print the path of their file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"numbers   {path}")
