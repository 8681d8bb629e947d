"""Where the backward pass of a unit gets the features of its time steps from.

``store`` keeps them all, as autograd does. ``recompute`` keeps the state at every time and computes the inside of a step
again (any dynamic). ``reverse`` keeps the last state only and runs the dynamic backwards (Section 4 of the paper,
"Computational benefits"): the memory of a unit does not grow with its number of steps. Each layer is then evaluated once
more than with ``store``: the inverse step and its derivative share that evaluation (`Dynamic.adjoint_step`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig
from pdenet_repro.networks.dynamics import Dynamic, State, Theta

# Drift above which the gradients of ``reverse`` are worse than those of ``store`` in the same precision (docs/memory.md): in
# float32 they are off by about as much as the features; with rounded layers, 8 units of roundoff (bfloat16: 2^-8).
TOLERATED_DRIFT = {"float64": 1e-6, "float32": 1e-3, "tf32": 8 * 2**-11, "bfloat16": 8 * 2**-8}


class UnitOfSteps(Protocol):
    """What this module needs of a unit (`pdenet_repro.networks.unit.Unit`)."""

    memory: str
    dynamic: Dynamic

    def step(self, state: State, theta: Theta, /) -> State:
        """One time step."""

    def adjoint_step(self, state: State, gradients: State, theta: Theta, /) -> tuple[State, State, Theta]:
        """The inverse step and the step's derivative transposed (`Dynamic.adjoint_step`)."""

    def thetas(self) -> list[tuple[Any, ...]]:
        """The weights of each time step."""

    def parameters(self) -> Iterator[Tensor]:
        """The weights over time."""

    def note_drift(self, value: Tensor) -> None:
        """Remember the largest drift."""


def run(unit: UnitOfSteps, state: State) -> State:
    """The last state of a unit from the first one; the backward pass follows ``unit.memory``."""
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


def stored_bytes(network: NetworkConfig, batch: int, number: int = 4) -> int:
    """About how many bytes ``store`` keeps of the units' time steps: for each step and example the state and two features.

    ``number``: bytes of a number, 4 in float32 and 8 in float64.
    """
    pixels = [(IMAGE_SIDE >> i) ** 2 for i in range(len(network.widths))]
    numbers = sum(width * n for width, n in zip(network.widths, pixels, strict=True))
    return number * 3 * network.steps * batch * numbers


def memory_mode(network: NetworkConfig, reversible: bool, batch: int, size: int, number: int = 4) -> str:
    """``network.memory`` where it is not ``auto``; else ``store`` if that takes at most half of ``size`` bytes.

    Where it takes more: ``reverse`` for a reversible dynamic, ``recompute`` for another.
    """
    if network.memory != "auto":
        return network.memory
    if stored_bytes(network, batch, number) <= size / 2:
        return "store"
    return "reverse" if reversible else "recompute"


class Reversed(torch.autograd.Function):
    """All time steps of a reversible unit as one node of the graph, which saves the last state and the weights."""

    @staticmethod
    def forward(ctx: Any, unit: UnitOfSteps, parts: int, *tensors: Tensor) -> State:
        """The last state, from the first one (``parts`` features) and the unit's weights over time."""
        ctx.unit, ctx.parts = unit, parts
        state, weights = tensors[:parts], tensors[parts:]
        ctx.device = state[0].device.type
        ctx.autocast = torch.is_autocast_enabled(ctx.device), torch.get_autocast_dtype(ctx.device)
        state = tuple(part.detach() for part in state)  # so that no graph is built, nor compiled
        norms, sums = _euclidean_norms(state), _signed_sums(state)
        for j, theta in enumerate(_per_step(unit, weights)):
            state = unit.step(state, theta)
            if j == 0:  # a part that starts at 0 has no scale of its own before
                norms = torch.maximum(norms, _euclidean_norms(state))
        ctx.first = norms, sums
        ctx.save_for_backward(*state, *weights)
        return state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Go back step by step: compute the state before, and the gradients with respect to it and to the weights."""
        unit, saved = ctx.unit, ctx.saved_tensors
        state, weights = saved[: ctx.parts], saved[ctx.parts :]
        of_weights = [torch.empty_like(weight) for weight in weights]
        # no cache: it would keep the rounded weights of every step, which are new tensors, until the last
        with torch.autocast(ctx.device, dtype=ctx.autocast[1], enabled=ctx.autocast[0], cache_enabled=False):
            for j, theta in reversed(list(enumerate(_per_step(unit, weights)))):
                state, gradients, of_theta = unit.adjoint_step(state, gradients, theta)
                for over_time, value in zip(of_weights, (g for layer in of_theta for g in layer), strict=True):
                    over_time[j] = value
        norms, sums = ctx.first
        scale = torch.maximum(norms, 1e-3 * norms.max()).clamp_min(1e-30)
        unit.note_drift(((_signed_sums(state) - sums).norm(dim=1) / scale).max())
        return None, None, *gradients, *of_weights


def _euclidean_norms(state: State) -> Tensor:
    """Euclidean norm of each part of a state: (parts,)."""
    return torch.stack([part.norm() for part in state])


def _signed_sums(state: State) -> Tensor:
    """The sum of the numbers of each part and example, with random signs: (parts, N).

    They stand for the first state, which is not kept: the difference of two states' sums is the sum of their difference, and
    the square of such a sum is on average the difference's squared norm. (The difference of their norms would not do: it is
    of second order in an error that has nothing to do with the features.)
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
