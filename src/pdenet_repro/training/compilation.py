"""Compiling the arithmetic of a run (TorchInductor), where that pays and can be had."""

import logging
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from pdenet_repro.config import Config
from pdenet_repro.networks.cost import training_flops

if TYPE_CHECKING:
    from pdenet_repro.training.trainer import Trainer

# Floating-point operations of a whole training from which on `auto` compiles: about 17 minutes on two CPU cores. The first
# compilation of a network takes about a minute there; the next run of a sweep finds it cached (docs/performance.md).
WORTHWHILE = 2e14

# Time steps of a unit up to which they are compiled as one piece; a longer unit's step is compiled once, for all of them.
UNROLLED = 6


def wanted(config: Config, images: int, device: torch.device) -> bool:
    """Whether a run is to be compiled; ``images``: of an epoch.

    Follows from the configuration alone, so that a run that is resumed goes on with the same arithmetic.
    """
    if config.performance != "auto":
        return config.performance == "compile"
    if config.deterministic and device.type == "cuda":
        return False
    passes = config.schedule.epochs * (images // config.schedule.batch_size) * config.schedule.batch_size
    return passes * training_flops(config.network, config.dynamic) >= WORTHWHILE


def compile_run(trainer: "Trainer", evaluation_batch: int, warn: Callable[[str], None]) -> None:
    """Have the trainer's steps, and its network's probabilities of ``evaluation_batch`` images, compiled at their first call.

    As a whole where units are short and store their steps; otherwise the time steps of the units, a unit's all alike.
    """
    network, compiled = trainer.network, Compiler(warn)
    units: list[Any] = list(network.units)
    as_it_was = probabilities = network.probabilities
    if all(unit.memory == "store" and unit.steps <= UNROLLED for unit in units):
        trainer.forward, probabilities = compiled(trainer.forward), compiled(probabilities)
    else:
        for unit in units:
            unit.step, unit.adjoint_step = compiled(unit.step), compiled(unit.adjoint_step)

    def of_whole_batches(images: torch.Tensor) -> torch.Tensor:
        if len(images) == evaluation_batch:
            return probabilities(images)
        with torch.compiler.set_stance("force_eager"):  # what is left of a split is not worth compiling for
            return as_it_was(images)

    network.probabilities = of_whole_batches  # type: ignore[method-assign]


class Compiler:
    """Compiles functions for one run; where there is no compiler or it fails they are as they were, after one warning."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn, self.works = warn, _compiler() is not None
        if not self.works:
            warn("no C++ compiler is found (g++, or what CXX names): training is not compiled, only slower")
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # of a missing GPU, which is no fault
        torch._dynamo.reset()  # each run of a sweep is compiled for itself; the limit on recompilations is for one
        torch._dynamo.config.recompile_limit = 64  # for one function: the step of all units, forward and in evaluation

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, compiled when it is called."""
        fast = torch.compile(function, dynamic=False)

        def fast_or_as_it_was(*arguments: Any) -> Any:
            if self.works:
                try:
                    return fast(*arguments)
                except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                    self.works = False
                    self.warn(f"training is not compiled, only slower: {' '.join(str(error).split())[:200]}")
            return function(*arguments)

        return fast_or_as_it_was


def _compiler() -> str | None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    if sys.platform == "win32":
        names.append("cl")
    return next((path for name in names if (path := shutil.which(name))), None)
