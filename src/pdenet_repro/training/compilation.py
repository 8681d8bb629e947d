"""Compiles the arithmetic of a run with TorchInductor, if that saves time and a C++ compiler is installed."""

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from pdenet_repro.config.schema import Config
from pdenet_repro.networks.cost import training_flops
from pdenet_repro.training.interruptible import make_compilation_interruptible

if TYPE_CHECKING:
    from pdenet_repro.training.trainer import Trainer

# The number of floating-point operations of a training from which on `performance=auto` compiles it. For the CPU it is the work
# of two cores in about 17 minutes; there the first compilation of a network takes two or three minutes, and later runs find it
# cached (docs/performance.md). For the GPU it is an estimate: a GPU computes faster, but does not compile faster.
WORTHWHILE = {"cpu": 2e14, "cuda": 1e15}

# The time steps of a unit are compiled as a whole if there are at most so many; otherwise one step is compiled, and used for all.
UNROLLED = 6

# The number of shapes, strides and modes for which a function may be compiled: all units share the code of a time step.
SHAPES = 64


def is_worthwhile(config: Config, passes: int, device: torch.device) -> bool:
    """Whether the steps of a run are to be compiled for batches of one size; ``passes``: the images in all of them.

    The answer depends on nothing but the arguments, so that a resumed run continues with the same arithmetic.
    """
    if config.performance != "auto":
        return config.performance == "compile"
    if config.deterministic and device.type == "cuda":
        return False
    return passes * training_flops(config.network, config.dynamic) >= WORTHWHILE[device.type]


def compile_run(
    trainer: "Trainer", learned: Collection[int], evaluated: int, warn: Callable[[str], None]
) -> "Compiler":
    """Replace functions of a trainer and its network by versions that are compiled at their first call.

    These are the objective of batches of so many images as ``learned`` contains, and the probabilities of batches of
    ``evaluated`` images, if all units have few steps and store them; otherwise they are the time steps of the units alone.
    For batches of other sizes the objective and the probabilities are computed uncompiled.
    """
    network, compiled = trainer.network, Compiler(warn)
    units: list[Any] = list(network.units)
    uncompiled = probabilities = network.probabilities
    if all(unit.memory == "store" and unit.steps <= UNROLLED for unit in units):
        trainer.forward = _for_sizes(learned, compiled(trainer.forward, "training"), trainer.forward)
        probabilities = compiled(probabilities, "evaluation")
    else:
        for unit in units:
            unit.step = compiled(unit.step, "a time step")
            unit.adjoint_step = compiled(unit.adjoint_step, "a time step backwards")
    network.probabilities = _for_sizes([evaluated], probabilities, uncompiled)  # type: ignore[method-assign]
    return compiled


def _for_sizes(
    sizes: Collection[int], compiled: Callable[..., Any], uncompiled: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function of a batch that computes ``compiled`` for batches of ``sizes`` images, else ``uncompiled``."""

    def chosen(images: torch.Tensor, *labels: torch.Tensor) -> Any:
        if len(images) in sizes:
            return compiled(images, *labels)
        with not_compiled():
            return uncompiled(images, *labels)

    return chosen


def not_compiled() -> AbstractContextManager[None]:
    """Return a context in which compiled functions run uncompiled."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


class Compiler:
    """Compiles functions for one run. A function that cannot be compiled runs uncompiled, after one warning for each name."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn, self.found, self.failed = warn, _compiler() is not None, set[str]()
        if not self.found:
            warn("no C++ compiler is found (g++, or the one that CXX names): training is not compiled, and is slower")
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns of a missing GPU
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")  # advises another precision than the one chosen
        torch._dynamo.reset()  # so that the limit on recompilations starts anew for each run of a sweep
        make_compilation_interruptible()

    @property
    def all_compiled(self) -> bool:
        """Whether every function that was called so far is compiled."""
        return self.found and not self.failed

    def __call__(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return a version of ``function`` that is compiled at its first call; ``name`` is for the warning."""
        fast = torch.compile(function, dynamic=False)
        usable = self.found

        def fast_or_uncompiled(*arguments: Any) -> Any:
            nonlocal usable
            if usable:
                # set in each call because the settings belong to a thread, and autograd calls from its own threads
                torch._dynamo.config.recompile_limit = SHAPES
                torch._functorch.config.force_non_lazy_backward_lowering = True  # so that failures are caught below
                try:
                    return fast(*arguments)
                except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                    usable = False
                    if name not in self.failed:
                        self.warn(f"{name} is not compiled, and is slower: {' '.join(str(error).split())[:200]}")
                    self.failed.add(name)
            return function(*arguments)

        return fast_or_uncompiled


def _compiler() -> str | None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    if sys.platform == "win32":
        names.append("cl")
    return next((path for name in names if (path := shutil.which(name))), None)
