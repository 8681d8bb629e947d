"""Compiles the arithmetic of a run (TorchInductor), where that saves time and a compiler is installed."""

import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from pdenet_repro.config.schema import Config
from pdenet_repro.networks.cost import training_flops
from pdenet_repro.training.interruptible import make_compilation_interruptible

if TYPE_CHECKING:
    from pdenet_repro.training.trainer import Trainer

# Floating-point operations of a whole training from which on `auto` compiles: about 17 minutes on two CPU cores. The first
# compilation of a network takes two or three there; the next run of a sweep finds it cached (docs/performance.md).
# On a GPU, which has more of them a second and no faster a compiler, the number is an estimate.
WORTHWHILE = {"cpu": 2e14, "cuda": 1e15}

# Time steps of a unit up to which they are compiled as one piece; a longer unit's step is compiled once, for all of them.
UNROLLED = 6

# Shapes, strides and modes for which one function may be compiled: a time step's code is that of all units.
SHAPES = 64


def is_worthwhile(config: Config, images: int, device: torch.device) -> bool:
    """Whether a run is to be compiled; ``images``: the number of training images.

    The answer follows from the configuration alone, so that a resumed run continues with the same arithmetic.
    """
    if config.performance != "auto":
        return config.performance == "compile"
    if config.deterministic and device.type == "cuda":
        return False
    passes = config.schedule.epochs * config.schedule.images_per_epoch(images)
    return passes * training_flops(config.network, config.dynamic) >= WORTHWHILE[device.type]


def compile_run(trainer: "Trainer", evaluated: int, warn: Callable[[str], None]) -> "Compiler":
    """Make the trainer's steps, and its network's probabilities of ``evaluated`` images, compile at their first call.

    They are compiled as a whole where units are short and store their steps; otherwise each time step is compiled.
    """
    network, compiled = trainer.network, Compiler(warn)
    units: list[Any] = list(network.units)
    uncompiled = probabilities = network.probabilities
    if all(unit.memory == "store" and unit.steps <= UNROLLED for unit in units):
        trainer.forward = compiled(trainer.forward, "training")
        probabilities = compiled(probabilities, "evaluation")
    else:
        for unit in units:
            unit.step = compiled(unit.step, "a time step")
            unit.adjoint_step = compiled(unit.adjoint_step, "a time step backwards")

    def of_one_size(images: torch.Tensor) -> torch.Tensor:
        if len(images) == evaluated:
            return probabilities(images)
        with not_compiled():  # a few batches of another size are not worth compiling for
            return uncompiled(images)

    network.probabilities = of_one_size  # type: ignore[method-assign]
    return compiled


def not_compiled() -> AbstractContextManager[None]:
    """Context in which compiled functions run uncompiled."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


class Compiler:
    """Compiles functions for one run; a function that cannot be compiled runs uncompiled, after one warning a name."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn, self.found, self.failed = warn, _compiler() is not None, set[str]()
        if not self.found:
            warn("no C++ compiler is found (g++, or what CXX names): training is not compiled, only slower")
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # of a missing GPU, which is no fault
        torch._dynamo.reset()  # each run of a sweep is compiled for itself; the limit on recompilations is for one
        make_compilation_interruptible()

    @property
    def works(self) -> bool:
        """Whether every function that was called so far is compiled."""
        return self.found and not self.failed

    def __call__(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A version of ``function`` that is compiled at its first call; ``name``: for the warning."""
        fast = torch.compile(function, dynamic=False)
        usable = self.found

        def fast_or_uncompiled(*arguments: Any) -> Any:
            nonlocal usable
            if usable:
                # here, for these settings are those of a thread, and autograd has its own
                torch._dynamo.config.recompile_limit = SHAPES
                torch._functorch.config.force_non_lazy_backward_lowering = True  # what fails is to fail now
                try:
                    return fast(*arguments)
                except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                    usable = False
                    if name not in self.failed:
                        self.warn(f"{name} is not compiled, only slower: {' '.join(str(error).split())[:200]}")
                    self.failed.add(name)
            return function(*arguments)

        return fast_or_uncompiled


def _compiler() -> str | None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    if sys.platform == "win32":
        names.append("cl")
    return next((path for name in names if (path := shutil.which(name))), None)
