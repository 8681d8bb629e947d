"""Energy (10) of the second-order dynamics along its time steps, and that of the linear wave equation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pdenet_repro.networks.dynamics import Dynamic, SecondOrder, State
from pdenet_repro.networks.layers import SymmetricWeights, conv, conv_transpose
from pdenet_repro.networks.norms import Norm


@dataclass(frozen=True)
class Energy:
    """Of each example (N,), in float64."""

    kinetic: Tensor
    potential: Tensor

    @property
    def total(self) -> Tensor:
        """(10)."""
        return self.kinetic + self.potential


def energy(dynamic: SecondOrder, state: State, theta: Any) -> Energy:
    """``1/2 ||V||^2 + 1/2 <K Y, sigma(K Y)>``, equation (10), at ``Y_j`` with ``V = (Y_j - Y_{j-1}) / h``.

    The potential is ``-1/2 <Y_j, F(Y_j; theta)>`` with the layer as it is, norm and bias included, for
    ``-<Y, F(Y)> = <K Y, sigma(N(K Y) s + b)>``; with a norm it may be negative. ``theta``: the weights of the step that led to
    ``state`` (of the first step, for the first state, which is at rest: ``Y_{-1} = Y_0``).
    """
    (Y, _), (theta_j,) = state, theta
    return _energy(dynamic, state, dynamic.F(Y, theta_j))


def leapfrog_energy(dynamic: SecondOrder, state: State, theta: Any) -> Energy:
    """The same with the potential ``-1/2 <Y_j, F(Y_{j-1}; theta)>``: (10) but for O(h).

    Where F is linear and the same at every step, leapfrog conserves this sum exactly. For any other F it says nothing
    of the first step: from rest it is as large after it as before, whatever F is.
    """
    (_, Y_previous), (theta_j,) = state, theta
    return _energy(dynamic, state, dynamic.F(Y_previous, theta_j))


def _energy(dynamic: SecondOrder, state: State, force: Tensor) -> Energy:
    Y, Y_previous = state
    V = ((Y - Y_previous) / dynamic.h).double()
    return Energy(0.5 * V.square().flatten(1).sum(1), -0.5 * (Y.double() * force.double()).flatten(1).sum(1))


def path(dynamic: Dynamic, Y: Tensor, thetas: Sequence[Any]) -> Iterator[tuple[State, Any]]:
    """The first state and the one after every time step, each with the weights that the energies take."""
    state = dynamic.start(Y)
    yield state, thetas[0]
    for theta in thetas:
        state = dynamic.step(state, theta)
        yield state, theta


def linear_wave(h: float) -> SecondOrder:
    """Leapfrog for ``Y'' = -K^T K Y``, whose energy bounds that of the network in the proof of Theorem 2 (v2).

    It is (8) without norm, bias and activation.
    """
    dynamic = SecondOrder(h, Norm("none"), "relu")
    dynamic.F = _linear  # type: ignore[assignment]
    return dynamic


def linear_energies(h: float, Y: Tensor, thetas: Sequence[Any]) -> Iterator[Energy]:
    """The linear wave's, from rest at ``Y`` (N, C, H, W), before the first and after every time step, as leapfrog has it."""
    dynamic = linear_wave(h)
    return (leapfrog_energy(dynamic, state, theta) for state, theta in path(dynamic, Y, thetas))


def _linear(Y: Tensor, theta: SymmetricWeights) -> Tensor:
    return -conv_transpose(conv(Y, theta.kernel), theta.kernel)
