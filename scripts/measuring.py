"""What the benchmarks share: where numbers come from, timing in turns, writing them down."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pdenet_repro import device, provenance


def header(where: torch.device) -> dict[str, Any]:
    """Hardware, versions and commit of the measurement, printed and for the JSON."""
    found = {
        "hardware": device.hardware(where),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }
    hardware, versions = found["hardware"], found["versions"]
    print(f"{hardware['gpu'] or hardware['cpu']}, {hardware['threads']} threads, {hardware['system']}")
    print(", ".join(f"{name} {versions[name]}" for name in ("python", "torch", "pdenet-repro")), flush=True)
    return found


def synchronize(where: torch.device) -> None:
    """Wait until the device has done what it was asked for."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def interleaved(
    functions: Mapping[str, Callable[[], Any]], repeats: int, where: torch.device | None = None
) -> dict[str, list[float]]:
    """Seconds of each call, in turns, so that what the machine does meanwhile meets all alike; a first round is not counted."""
    where = where or torch.device("cpu")
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(-1, repeats):
        for name, function in functions.items():
            synchronize(where)
            start = time.perf_counter()
            function()
            synchronize(where)
            if repeat >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_growth(function: Callable[[], Any], where: torch.device) -> float:
    """MiB by which memory grew at its highest during one call: allocated on a GPU, resident (Linux) on the CPU.

    For the CPU start the process with the environment ``RETURN_FREED``: every tensor is then mapped by itself and goes back
    to the system when it is freed, so that resident memory is what is in use.
    """
    device.forget_peak_memory(where)
    before = torch.cuda.memory_allocated(where) / 2**20 if where.type == "cuda" else device.peak_memory(where)
    function()
    synchronize(where)
    return device.peak_memory(where) - before


RETURN_FREED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # glibc's mallopt(3)


def write_json(path: Path, **content: Any) -> None:
    """Write the numbers and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"numbers   {path}")
