"""Checks through the NVIDIA driver whether a GPU is there, without importing PyTorch, which would take seconds."""

import ctypes
from typing import Protocol

from pdenet_repro.system.errors import InvalidConfig


class Settings(Protocol):
    """The settings of a configuration that concern the device; ``device`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

    device: str
    precision: str
    deterministic: bool


def refuse_missing_gpu(config: Settings) -> None:
    """Raise InvalidConfig if a configuration needs a GPU and the driver finds none."""
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
