"""The compute device: which one a configuration means, how it is set up, how much memory it has."""

import ctypes
import getpass
import os
import platform
import re
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.gpu_driver import Settings
from pdenet_repro.system.lock import try_lock
from pdenet_repro.system.memory_limits import memory_limits


def set_up(config: Settings) -> torch.device:
    """Return the device that ``config`` names, and set PyTorch's precision and determinism for this process.

    InvalidConfig if there is no such GPU here, or for ``precision=tf32`` on the CPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    name = config.device
    if name in ("auto", "cuda") and torch.cuda.is_available():
        name = f"cuda:{_claim_gpu()}"
    device = torch.device("cpu" if name == "auto" else name)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise InvalidConfig(
                f"device={name}: this PyTorch ({torch.__version__}) cannot use the GPU; must be device=cpu"
            )
        if device.index >= torch.cuda.device_count():
            raise InvalidConfig(
                f"device={name}: must be one of the {torch.cuda.device_count()} GPUs here, cuda:0 and up"
            )
        torch.cuda.set_device(device)
    elif config.precision == "tf32":
        raise InvalidConfig(
            "precision=tf32: must be float32, bfloat16 or float64 on the CPU; tf32 is arithmetic of NVIDIA GPUs"
        )
    if device.type == "cpu":
        _keep_freed_memory()
    reset_peak_memory(device)
    tf32 = config.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = not config.deterministic
    torch.use_deterministic_algorithms(config.deterministic)
    return device


_claimed: dict[int, int] = {}  # GPU -> descriptor of its locked file, open until this process ends


def _claim_gpu() -> int:
    """Return the number of a GPU that no other process of this program uses, the same one for all runs of this process.

    If all GPUs are in use, several processes share one.
    """
    if _claimed:
        return min(_claimed)  # the only entry: a process claims one GPU
    count: int = torch.cuda.device_count()
    for index in range(count):
        identity = getattr(torch.cuda.get_device_properties(index), "uuid", index)
        with suppress(OSError):  # where no file can be locked, processes share a GPU
            path = Path(tempfile.gettempdir()) / f"pdenet-{_user()}-gpu-{identity}.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if try_lock(descriptor):
                _claimed[index] = descriptor
                return index
            os.close(descriptor)
    return os.getpid() % count


def _user() -> str:
    """Return the user's name, or the user's number if there is no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next tensors instead of returning it to the system; other C libraries: no change.

    By default glibc maps every large tensor anew, and the kernel clears its pages one by one at first use, which took half
    of the time of evaluating the paper's network on two cores.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_top_pad, 64 * 2**20)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all computations that were started on it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Reset ``peak_memory`` for the next run in this process; works on GPUs and on Linux, elsewhere nothing happens."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # returns what the previous run freed
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")


def autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager[None]]:
    """Return a function that makes the context to apply a network in: PyTorch's autocast if ``precision`` is bfloat16."""
    if precision == "bfloat16":
        return lambda: torch.autocast(device.type, torch.bfloat16)
    return nullcontext


def available_memory(device: torch.device) -> int:
    """Return how many bytes can still be allocated, as far as the system reports it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    machine = total_memory(device)
    with suppress(OSError), open("/proc/meminfo") as file:
        machine = int(re.search(r"MemAvailable:\s+(\d+)", file.read())[1]) * 2**10  # type: ignore[index]
    return min([machine, *(max(0, limit - used) for limit, used in memory_limits())])


def total_memory(device: torch.device) -> int:
    """Return the bytes of memory of a GPU; for the CPU those of the machine, or of this process's control group if less."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for limit, _ in memory_limits())])


def peak_memory(device: torch.device) -> float:
    """Return the largest memory use, MiB, since `reset_peak_memory`: allocated on the GPU, or resident in this process (CPU)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError), open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 2**10  # type: ignore[index]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def hardware(device: torch.device) -> dict[str, Any]:
    """Return a description of device, processor, threads and host, as ``summary.json`` has it."""
    return {
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu": _processor(),
        "threads": torch.get_num_threads(),
        "host": platform.node(),
        "system": platform.platform(),
    }


def description(device: torch.device) -> str:
    """Return the name of the GPU, or the processor and its number of threads, for messages."""
    found = hardware(device)
    return str(found["gpu"] or f"{found['cpu']} with {found['threads']} threads")


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as file:
        if found := re.search(r"^model name\s*:\s*(.+?)\s*$", file.read(), re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()
