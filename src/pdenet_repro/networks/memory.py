"""Computes the time steps of a unit, with three ways in which its backward pass gets their features.

``store``: autograd stores all intermediate results. ``recompute``: the state at every time is stored, and the intermediate
results of a step are computed again (any dynamic). ``reverse``: only the last state is stored, and the dynamic runs backwards
(Section 4 of the paper, "Computational benefits"), so that the memory of a unit does not grow with its number of steps. Each
layer is then evaluated once more than with ``store``, for the inverse step and the derivative together
(`Dynamic.adjoint_step`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig
from pdenet_repro.networks.dynamics import Dynamic, State, Theta

# Largest drift (`Unit`) at which the gradients of ``reverse`` are about as accurate as those of ``store`` in the same
# precision (docs/memory.md). In float32 the relative error of the gradients is about the drift. In tf32 and bfloat16, which
# round the layers, a drift of 8 units of roundoff is tolerated.
TOLERATED_DRIFT = {"float64": 1e-6, "float32": 1e-3, "tf32": 8 * 2**-11, "bfloat16": 8 * 2**-8}


class UnitOfSteps(Protocol):
    """The part of `pdenet_repro.networks.unit.Unit` that this module uses."""

    memory: str
    dynamic: Dynamic

    def step(self, state: State, theta: Theta, /) -> State:
        """One time step."""

    def adjoint_step(self, state: State, gradients: State, theta: Theta, /) -> tuple[State, State, Theta]:
        """The inverse step together with the backward pass of the step (`Dynamic.adjoint_step`)."""

    def thetas(self) -> list[tuple[Any, ...]]:
        """The weights of each time step."""

    def parameters(self) -> Iterator[Tensor]:
        """The weights over time."""

    def record_drift(self, value: Tensor) -> None:
        """Record a drift; the unit keeps the largest."""


def integrate(unit: UnitOfSteps, state: State) -> State:
    """Return the last state of a unit from its first one; ``unit.memory`` says how the backward pass gets the features."""
    if unit.memory == "reverse" and torch.is_grad_enabled():
        last: State = Reversed.apply(unit, len(state), *state, *unit.parameters())
        return last
    for theta in unit.thetas():
        if unit.memory == "recompute" and torch.is_grad_enabled():
            state = checkpoint(
                unit.step, state, theta, use_reentrant=False, preserve_rng_state=False, determinism_check="none"
            )
        else:
            state = unit.step(state, theta)
    return state


def stored_bytes(network: NetworkConfig, batch: int, itemsize: int = 4) -> int:
    """Estimate the bytes that ``store`` needs for the time steps of all units: three times the features of each step.

    ``batch``: the number of examples; ``itemsize``: the bytes of a number, 4 in float32 and 8 in float64.
    """
    pixels = [(IMAGE_SIDE >> i) ** 2 for i in range(len(network.widths))]
    numbers = sum(width * n for width, n in zip(network.widths, pixels, strict=True))
    return itemsize * 3 * network.steps * batch * numbers


def memory_mode(network: NetworkConfig, reversible: bool, batch: int, size: int, itemsize: int = 4) -> str:
    """Return ``network.memory``; for ``auto`` return ``store`` if that takes at most half of ``size`` bytes.

    Otherwise ``auto`` is ``reverse`` for a reversible dynamic and ``recompute`` for another. ``itemsize``: as in `stored_bytes`.
    """
    if network.memory != "auto":
        return network.memory
    if stored_bytes(network, batch, itemsize) <= size / 2:
        return "store"
    return "reverse" if reversible else "recompute"


class Reversed(torch.autograd.Function):
    """All time steps of a reversible unit as one node of autograd's graph, which saves the last state and the weights."""

    @staticmethod
    def forward(ctx: Any, unit: UnitOfSteps, parts: int, *tensors: Tensor) -> State:
        """Return the last state from the first one (``parts`` features) and the unit's weights over time."""
        ctx.unit, ctx.parts = unit, parts
        state, weights = tensors[:parts], tensors[parts:]
        ctx.device = state[0].device.type
        ctx.autocast = torch.is_autocast_enabled(ctx.device), torch.get_autocast_dtype(ctx.device)
        state = tuple(part.detach() for part in state)  # no graph is built or compiled for the forward pass
        part_norms, sums = _euclidean_norms(state), _signed_sums(state)
        for j, theta in enumerate(_per_step(unit, weights)):
            state = unit.step(state, theta)
            if j == 0:  # a part of the state that is 0 at the start gets its scale from the first step
                part_norms = torch.maximum(part_norms, _euclidean_norms(state))
        ctx.first = part_norms, sums
        ctx.save_for_backward(*state, *weights)
        return state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Compute, from the last step to the first, the state before the step and the gradients of that state and the weights."""
        unit, saved = ctx.unit, ctx.saved_tensors
        state, weights = saved[: ctx.parts], saved[ctx.parts :]
        of_weights = [torch.empty_like(weight) for weight in weights]
        # autocast's cache would store the rounded weights of every step until the end
        with torch.autocast(ctx.device, dtype=ctx.autocast[1], enabled=ctx.autocast[0], cache_enabled=False):
            for j, theta in reversed(list(enumerate(_per_step(unit, weights)))):
                state, gradients, of_theta = unit.adjoint_step(state, gradients, theta)
                for over_time, value in zip(of_weights, (g for layer in of_theta for g in layer), strict=True):
                    over_time[j] = value
        part_norms, sums = ctx.first
        scale = torch.maximum(part_norms, 1e-3 * part_norms.max()).clamp_min(1e-30)
        unit.record_drift(((_signed_sums(state) - sums).norm(dim=1) / scale).max())
        return None, None, *gradients, *of_weights


def _euclidean_norms(state: State) -> Tensor:
    """Euclidean norm of each part of a state: (parts,)."""
    return torch.stack([part.norm() for part in state])


def _signed_sums(state: State) -> Tensor:
    """The sum of all values of each part and example, multiplied with fixed random signs: (parts, N).

    To estimate the drift, these sums of the first state are stored instead of the state. The squared difference of the sums of
    two states is on average the squared norm of the states' difference. (The difference of the norms would be of second order in
    an error that is independent of the features.)
    """
    random = torch.Generator().manual_seed(0)
    sums = []
    with torch.autocast(state[0].device.type, enabled=False):
        for part in state:
            of_channels, of_rows, of_columns = (
                2 * torch.randint(0, 2, (size,), generator=random).to(part) - 1 for size in part.shape[1:]
            )
            sums.append(part @ of_columns @ of_rows @ of_channels)
    return torch.stack(sums)


def _per_step(unit: UnitOfSteps, weights: Sequence[Tensor]) -> list[tuple[Any, ...]]:
    """The weights of each step as ``Unit.thetas`` gives them, from those over time in the order of ``unit.parameters()``."""
    kind = unit.dynamic.layer.weights
    over_time = [weight.unbind() for weight in weights]
    size = len(kind._fields)
    layers = [map(kind, *over_time[i : i + size]) for i in range(0, len(over_time), size)]
    return list(zip(*layers, strict=True))
