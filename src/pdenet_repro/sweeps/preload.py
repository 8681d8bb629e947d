"""Imports what every run needs, when it is imported itself: once, by the process from which a sweep's runs are forked."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

from pdenet_repro.system.environment import load_torch
from pdenet_repro.system.errors import UserError

# With a GPU the compiler and MORE are left out: they may open its driver, which a forked process could not use then.
HAS_GPU = Path("/proc/driver/nvidia").exists()
MODULES = ["pdenet_repro.sweeps.worker", "pdenet_repro.runs.training_run"]
MORE = ["torch.utils.tensorboard", "matplotlib.figure"]

with suppress(UserError):  # every run reports it again
    load_torch(compiler=not HAS_GPU)
    for name in MODULES if HAS_GPU else MODULES + MORE:
        import_module(name)
