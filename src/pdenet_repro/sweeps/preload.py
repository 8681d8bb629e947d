"""Imports, by being imported, what every run needs: the process from which a sweep's runs are forked does so once for all."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

from pdenet_repro.system.errors import UserError
from pdenet_repro.system.surroundings import load_torch

# Where there is a GPU, other parts of PyTorch may open its driver, which a forked process cannot use.
HAS_GPU = Path("/proc/driver/nvidia").exists()
MODULES = ["pdenet_repro.sweeps.worker", "pdenet_repro.runs.training_run"]
MORE = ["torch.utils.tensorboard", "matplotlib.figure"]

with suppress(UserError):  # every run says it
    load_torch(compiler=not HAS_GPU)
    for name in MODULES if HAS_GPU else MODULES + MORE:
        import_module(name)
