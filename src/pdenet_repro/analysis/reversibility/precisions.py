"""Precisions in which units are run forwards and backwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from pdenet_repro.system.device import autocast


@dataclass(frozen=True)
class Precision:
    """Of the state and the weights, and of the layers where that is another."""

    name: str
    state: torch.dtype
    layers: torch.dtype

    @property
    def roundoff(self) -> float:
        """Half the distance from 1 to the next number, of the state's precision."""
        return torch.finfo(self.state).eps / 2

    def context(self, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
        """Autocast, where layers have another precision than the state."""
        return autocast(device, "float32" if self.layers == self.state else "bfloat16")


PRECISIONS = (
    Precision("float64", torch.float64, torch.float64),
    Precision("float32", torch.float32, torch.float32),
    Precision("bfloat16 layers, float32 state", torch.float32, torch.bfloat16),  # precision=bfloat16 of a run
    Precision("bfloat16", torch.bfloat16, torch.bfloat16),  # a warning: the state must not be rounded like this
)
