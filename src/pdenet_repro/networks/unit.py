"""A unit: ``steps`` time steps of one dynamic, each with its own weights, which are samples of functions of time."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pdenet_repro.networks.dynamics import Dynamic, State
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.memory import integrate


class TimeWeights(nn.Module):
    """Weights of one layer at every time step: kernels (steps, C, C, 3, 3), scale and shift (steps, C).

    Time is the first axis: the smoothness term (11) takes differences along it, and refining the time grid interpolates along it.
    Kernels are zero until `PDENet` draws them.
    """

    def __init__(self, weights: Any, channels: int, steps: int) -> None:
        super().__init__()
        self.weights = weights
        for name in weights._fields:
            if is_kernel(name):
                value = torch.zeros(steps, channels, channels, 3, 3)
            else:
                value = (torch.ones if name == "scale" else torch.zeros)(steps, channels)
            self.register_parameter(name, nn.Parameter(value))

    def at_each_step(self) -> Iterator[Any]:
        """Yield the layer's weights at each time step, 0, 1, ..., as the layer's named tuple."""
        # unbind: its backward pass stacks the gradients once, where indexing would add a zero-filled tensor for each step
        over_time = [getattr(self, name).unbind() for name in self.weights._fields]
        return (self.weights(*step) for step in zip(*over_time, strict=True))


class Unit(nn.Module):
    """A sequence of ``steps`` time steps of ``dynamic`` on features (N, C, H, W).

    ``memory``: how the backward pass gets the features, ``store``, ``recompute`` or ``reverse`` (memory.py). ``step``,
    ``adjoint_step``: those of the dynamic, which training may replace by compiled ones. ``drift``: the estimated relative error
    of the first state after the dynamic ran backwards; the largest one since the buffer was set to 0.
    """

    drift: Tensor

    def __init__(self, dynamic: Dynamic, channels: int, steps: int, memory: str = "store") -> None:
        super().__init__()
        if memory == "reverse" and not dynamic.facts.reversible:
            raise ValueError(f"{type(dynamic).__name__} cannot be run backwards: memory must be store or recompute")
        self.dynamic, self.steps, self.memory = dynamic, steps, memory
        self.step, self.adjoint_step = dynamic.step, dynamic.adjoint_step
        self.register_buffer("drift", torch.zeros(()), persistent=False)
        self.theta = nn.ModuleList(
            TimeWeights(dynamic.layer.weights, layer_channels, steps)
            for layer_channels in dynamic.layer_channels(channels)
        )

    def thetas(self) -> list[tuple[Any, ...]]:
        """Return the weights of each time step; those of a step have an entry for each of its layers."""
        return list(zip(*(layer.at_each_step() for layer in self.theta), strict=True))  # type: ignore[operator]

    def start(self, Y: Tensor) -> State:
        """Return the state at time 0 in the weights' type, so that under autocast only the layers are rounded."""
        return self.dynamic.start(Y.to(next(self.parameters()).dtype))

    def trajectory(self, Y: Tensor) -> Iterator[State]:
        """Yield the state at each of the times 0, h, ..., ``steps`` h."""
        state = self.start(Y)
        yield state
        for theta in self.thetas():
            state = self.dynamic.step(state, theta)
            yield state

    def forward(self, Y: Tensor) -> Tensor:
        """Return the features at the final time from those at time 0, both (N, C, H, W)."""
        return self.dynamic.output(integrate(self, self.start(Y)))

    def record_drift(self, value: Tensor) -> None:
        """Record a drift; ``drift`` keeps the largest, on the device."""
        self.drift = torch.maximum(self.drift, value.to(self.drift.dtype))

    def inverse(self, state: State) -> State:
        """Return the first state from the last one; raise TypeError if the dynamic is not reversible."""
        for theta in reversed(self.thetas()):
            state = self.dynamic.inverse_step(state, theta)
        return state
