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
    """``1/2 ||V||^2 + 1/2 <K Y, sigma(K Y)>``, equation (10), in the form that belongs to leapfrog.

    Between two times of (8), ``V = (Y_j - Y_{j-1}) / h``, and the potential is ``-1/2 <Y_j, F(Y_{j-1}; theta)>`` with
    the layer as it is, norm and bias included: ``-<Y, F(Y)> = <K Y, sigma(N(K Y) s + b)>``. Where F is linear
    and the same at every step, leapfrog conserves this sum exactly. Of the first state (``Y_{-1} = Y_0``) it is (10).
    ``theta``: the weights of the step that led to ``state`` (of the first step, for the first state).
    """
    (Y, Y_previous), (theta_j,) = state, theta
    V = ((Y - Y_previous) / dynamic.h).double()
    force = dynamic.F(Y_previous, theta_j).double()
    return Energy(0.5 * V.square().flatten(1).sum(1), -0.5 * (Y.double() * force).flatten(1).sum(1))


def path(dynamic: Dynamic, Y: Tensor, thetas: Sequence[Any]) -> Iterator[tuple[State, Any]]:
    """The first state and the one after every time step, each with the weights that ``energy`` takes."""
    state = dynamic.start(Y)
    yield state, thetas[0]
    for theta in thetas:
        state = dynamic.step(state, theta)
        yield state, theta


def energies(dynamic: SecondOrder, Y: Tensor, thetas: Sequence[Any]) -> Iterator[Energy]:
    """From rest at ``Y`` (N, C, H, W), before the first and after every time step."""
    return (energy(dynamic, state, theta) for state, theta in path(dynamic, Y, thetas))


def linear_wave(h: float) -> SecondOrder:
    """Leapfrog for ``Y'' = -K^T K Y``, whose energy bounds that of the network in the proof of Theorem 2 (v2).

    It is (8) without norm, bias and activation.
    """
    dynamic = SecondOrder(h, Norm("none"), "relu")
    dynamic.F = _linear  # type: ignore[assignment]
    return dynamic


def _linear(Y: Tensor, theta: SymmetricWeights) -> Tensor:
    return -conv_transpose(conv(Y, theta.kernel), theta.kernel)
