"""Whether a GPU is there that a configuration needs, judged by its driver: before PyTorch is imported, which takes seconds."""

import ctypes
from typing import Protocol

from pdenet_repro.system.errors import InvalidConfig


class Settings(Protocol):
    """What a configuration says of the device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``; the arithmetic; the kernels."""

    device: str
    precision: str
    deterministic: bool


def refuse_missing_gpu(config: Settings) -> None:
    """Raise InvalidConfig where a configuration needs a GPU and no driver for one is there; loads no torch."""
    wants_gpu = config.device.startswith("cuda")
    if (wants_gpu or config.precision == "tf32") and not _driver_sees_gpus():
        key = f"device={config.device}" if wants_gpu else "precision=tf32"
        instead = "device=cpu or device=auto" if wants_gpu else "precision=float32 or bfloat16"
        raise InvalidConfig(f"{key}: needs an NVIDIA GPU, and no driver for one is found here; must be {instead}")


def _driver_sees_gpus() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
