"""What the benchmarks share: the origin of their numbers, timing in turns, the machine's rates, JSON files."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pdenet_repro.runs import provenance
from pdenet_repro.system import device


def header(where: torch.device) -> dict[str, Any]:
    """Hardware, versions and commit of the measurement; prints them and returns them for the JSON file."""
    found = {
        "hardware": device.hardware(where),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }
    hardware, versions = found["hardware"], found["versions"]
    print(f"{hardware['gpu'] or hardware['cpu']}, {hardware['threads']} threads, {hardware['system']}")
    print(", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "pdenet-repro")), flush=True)
    return found


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int, where: torch.device | None = None
) -> dict[str, list[float]]:
    """Seconds of each call. The calls take turns, so that other load slows all alike; a first round is not counted."""
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
    """Floating-point operations per second of the fastest of a few large products: of matrices, and as a convolution."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    kind = {"device": where, "dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
    trials = []
    for n in (1024, 2048, 4096) if where.type == "cpu" else (4096, 8192):
        A, B = (torch.randn(n, n, **kind) for _ in range(2))
        trials.append((2 * n**3, lambda A=A, B=B: A @ B))
    images, kernel = torch.randn(32, 256, 12, 12, **kind), torch.randn(256, 256, 3, 3, **kind)
    trials.append((2 * 9 * 256 * 256 * 32 * 100, lambda: torch.nn.functional.conv2d(images, kernel)))  # 10 x 10 results
    return max(operations / fastest(run, where) for operations, run in trials)


def copy_rate(where: torch.device) -> float:
    """Bytes per second, read and written, of copying a tensor much larger than any cache."""
    source = torch.zeros(2**26 if where.type == "cpu" else 2**28, device=where)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), where)


def fastest(run: Callable[[], Any], where: torch.device) -> float:
    """Seconds of the fastest of five calls after a first one."""
    times = []
    for _ in range(6):
        device.synchronize(where)
        begin = time.perf_counter()
        run()
        device.synchronize(where)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def peak_growth(function: Callable[[], Any], where: torch.device) -> float:
    """MiB by which memory grew at its highest during one call: allocated on a GPU, resident (Linux) on the CPU.

    For the CPU start the process with the environment ``RETURN_FREED``: every tensor is then mapped by itself and goes back
    to the system when it is freed, so that resident memory is what is in use.
    """
    device.reset_peak_memory(where)
    before = torch.cuda.memory_allocated(where) / 2**20 if where.type == "cuda" else device.peak_memory(where)
    function()
    device.synchronize(where)
    return device.peak_memory(where) - before


RETURN_FREED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # glibc's mallopt(3)


def write_json(path: Path, **content: Any) -> None:
    """Write the numbers and print where they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"numbers   {path}")
