"""The precisions of arithmetic in which units run forwards and backwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from pdenet_repro.system.device import autocast


@dataclass(frozen=True)
class Precision:
    """The floating-point type of state and weights, and that of the arithmetic inside the layers."""

    name: str
    state: torch.dtype
    layers: torch.dtype

    @property
    def roundoff(self) -> float:
        """Half the distance from 1 to the next larger number in the state's type."""
        return torch.finfo(self.state).eps / 2

    def context(self, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
        """The context of a forward pass: autocast where the layers have another type than the state."""
        return autocast(device, "float32" if self.layers == self.state else "bfloat16")


PRECISIONS = (
    Precision("float64", torch.float64, torch.float64),
    Precision("float32", torch.float32, torch.float32),
    Precision("bfloat16 layers, float32 state", torch.float32, torch.bfloat16),  # precision=bfloat16 of a run
    Precision("bfloat16", torch.bfloat16, torch.bfloat16),  # shows why the state is not rounded
)
