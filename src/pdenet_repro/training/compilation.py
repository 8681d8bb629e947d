"""Compiling the arithmetic of a training step (TorchInductor), where that pays and can be had."""

import logging
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import torch

from pdenet_repro.config import Config
from pdenet_repro.networks.cost import training_flops

# Floating-point operations of a whole training from which on `auto` compiles: about 17 minutes on two CPU cores. The first
# compilation of a network takes about a minute there; the next run of a sweep finds it cached (docs/performance.md).
WORTHWHILE = 2e14


def wanted(config: Config, images: int, memory: str, device: torch.device) -> bool:
    """Whether a run's training steps are to be compiled; ``images``: of an epoch, ``memory``: what its units do.

    Follows from the configuration alone, so that a run that is resumed goes on with the same arithmetic.
    """
    if config.performance != "auto":
        return config.performance == "compile"
    if memory != "store" or (config.deterministic and device.type == "cuda"):
        return False
    passes = config.schedule.epochs * (images // config.schedule.batch_size) * config.schedule.batch_size
    return passes * training_flops(config.network, config.dynamic) >= WORTHWHILE


def compiled(function: Callable[..., Any], warn: Callable[[str], None]) -> Callable[..., Any]:
    """``function`` compiled at its first call; as it is, after one warning, where there is no compiler or it fails."""
    if not _compiler():
        warn("no C++ compiler is found (g++, or what CXX names): training is not compiled, only slower")
        return function
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # warns of a missing GPU, which is no fault
    torch._dynamo.reset()  # each run of a sweep is compiled for itself; the limit on recompilations is for one
    fast = torch.compile(function, dynamic=False)
    chosen: list[Callable[..., Any]] = []

    def first_or_later(*arguments: Any) -> Any:
        if not chosen:
            try:
                result = fast(*arguments)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                warn(f"training is not compiled, only slower: {' '.join(str(error).split())[:200]}")
                chosen.append(function)
                return function(*arguments)
            chosen.append(fast)
            return result
        return chosen[0](*arguments)

    return first_or_later


def _compiler() -> str | None:
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    if sys.platform == "win32":
        names.append("cl")
    return next((path for name in names if (path := shutil.which(name))), None)
