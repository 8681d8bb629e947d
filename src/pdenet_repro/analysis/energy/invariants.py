"""Quantities that the equations conserve or decrease without a norm and with constant weights, and the bounds that a norm gives.

Let S be the antiderivative of sigma with S(0) = 0, and ``phi(Y; K, b) = sum S(K Y + b)``, summed over channels and pixels; the
gradient of phi is ``K^T sigma(K Y + b) = -F(Y)``. Hence, in continuous time,

- (7) ``Y' = F(Y)`` is the gradient flow of phi: phi does not increase;
- the Hamiltonian system ``Y' = F(Z; K1)``, ``Z' = -F(Y; K2)`` conserves ``H = phi(Z; K1) + phi(Y; K2)``;
- (8) ``Y'' = F(Y)`` conserves ``H = |Y'|^2 / 2 + phi(Y)``.

None of them conserves ``|Y|``. For b = 0 and sigma with ``sigma(x) / x`` not increasing in |x| and slope at most 1 (ReLU, tanh),
``x sigma(x) / 2 <= S(x) <= x^2 / 2``, so energy (10), ``E = |Y'|^2 / 2 + <K Y, sigma(K Y)> / 2``, obeys ``E(t) <= H = const <=
|K Y_0|^2 / 2`` from rest. For ReLU E = H: (10) is conserved, not only bounded.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.operator_norm import operator_norm
from pdenet_repro.networks.dynamics import Dynamic, Hamiltonian, SecondOrder, State
from pdenet_repro.networks.layers import ACTIVATIONS, conv
from pdenet_repro.networks.norms import NORMS, Norm

# S of each activation sigma: S' = sigma, S(0) = 0
ANTIDERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda X: X.clamp_min(0).square() / 2,
    "tanh": lambda X: X.abs() + F.softplus(-2 * X.abs()) - math.log(2),  # log cosh without overflow
}


def phi(Y: Tensor, theta: Any, activation: str) -> Tensor:
    """``sum S(K Y + b)`` of each example of features (N, C, H, W): (N,) float64. The scales in ``theta`` must be 1."""
    X = conv(Y, theta.kernel).double() + theta.shift.double()[:, None, None]
    return ANTIDERIVATIVES[activation](X).flatten(1).sum(1)


def squared(Y: Tensor) -> Tensor:
    """Sum of the squares of each example, (N,) float64."""
    return Y.double().square().flatten(1).sum(1)


def invariant(dynamic: Dynamic, state: State, theta: Any, activation: str, after: State | None = None) -> Tensor:
    """Phi of the parabolic dynamic (7), which decreases, or H of a hyperbolic one, which is constant: (N,) float64.

    The two parts of a state belong to times half a step apart, so H of a state is constant only to O(h). With ``after``, the
    state one step later, both parts are taken at one time, and H is constant to O(h^2).
    """
    if isinstance(dynamic, Hamiltonian):
        (Y, Z), (theta1, theta2) = state, theta
        Y = (Y + after[0]) / 2 if after else Y
        return phi(Z, theta1, activation) + phi(Y, theta2, activation)
    if isinstance(dynamic, SecondOrder):
        (Y, Y_previous), (theta_j,) = state, theta
        V = (after[0] - Y_previous) / (2 * dynamic.h) if after else (Y - Y_previous) / dynamic.h
        return squared(V) / 2 + phi(Y, theta_j, activation)
    return phi(state[0], theta[0], activation)


def linear_bound(dynamic: Dynamic, Y: Tensor, theta: Any) -> Tensor:
    """``|K Y_0|^2 / 2``, which bounds phi and H for b = 0: (N,) float64; the sum of both halves for the Hamiltonian system.

    ``Y``: the features (N, C, H, W) that enter the unit.
    """
    return torch.stack([squared(conv(part, layer.kernel)) for part, layer in _parts(dynamic, Y, theta)]).sum(0) / 2


def _parts(dynamic: Dynamic, Y: Tensor, theta: Any) -> list[tuple[Tensor, Any]]:
    if isinstance(dynamic, Hamiltonian):
        first, second = dynamic.start(Y)
        return [(second, theta[0]), (first, theta[1])]
    return [(Y, theta[0])]


def energy_10(dynamic: SecondOrder, state: State, theta: Any, activation: str) -> Tensor:
    """Equation (10), ``|V|^2 / 2 + <K Y, sigma(K Y + b)> / 2`` with ``V = (Y_j - Y_{j-1}) / h``: (N,) float64."""
    (Y, Y_previous), (theta_j,) = state, theta
    X = conv(Y, theta_j.kernel)
    force = ACTIVATIONS[activation](X + theta_j.shift[:, None, None])
    return squared((Y - Y_previous) / dynamic.h) / 2 + (X.double() * force.double()).flatten(1).sum(1) / 2


def energy_distance(dynamic: Dynamic, one: State, other: State, theta: Any, activation: str = "") -> Tensor | None:
    """Distance of two states in an energy norm, (N,) float64; None for a dynamic without energy.

    It is ``sqrt(|V - V'|^2 + |K (Y - Y')|^2)`` for (8) and ``sqrt(|K1 (Z - Z')|^2 + |K2 (Y - Y')|^2)`` for the Hamiltonian
    system, the energy norm of the linear equation with the same kernels, in which solutions of the nonlinear equation may move
    apart. With ``activation`` sigma(K Y + b) replaces K Y; for ReLU that distance is at most ``sqrt(2 H) + sqrt(2 H')`` at all
    times.
    """

    def of(Y: Tensor, Y_other: Tensor, layer: Any) -> Tensor:
        first, second = (conv(each, layer.kernel) for each in (Y, Y_other))
        if activation:
            sigma, b = ACTIVATIONS[activation], layer.shift[:, None, None]
            first, second = sigma(first + b), sigma(second + b)
        return squared(first - second)

    if isinstance(dynamic, Hamiltonian):
        (Y, Z), (Y_other, Z_other) = one, other
        return (of(Z, Z_other, theta[0]) + of(Y, Y_other, theta[1])).sqrt()
    if isinstance(dynamic, SecondOrder):
        V, V_other = ((state[0] - state[1]) / dynamic.h for state in (one, other))
        return (squared(V - V_other) + of(one[0], other[0], theta[0])).sqrt()
    return None


@torch.no_grad()
def force_bound(norm: Norm, theta: Any, side: int, activation: str) -> float:
    """The bound on ``|F(Y; theta)|`` for all Y with ``side`` x ``side`` pixels that a norm gives; inf without a norm.

    The sum of squares of normalised features is at most n over the n pixels of a channel (``instance``), and at most C
    (``channel``) or 1 (``channel_rms``) over the C channels of a pixel. Hence ``|Y|`` grows at most linearly in time under a
    first-order equation and at most quadratically under (8), at every step size. With a norm the energies above have no scale:
    F does not change when Y is multiplied by a number.
    """
    kernels = [getattr(theta, name) for name in theta._fields if name.startswith("kernel")]
    K, s, b, pixels = kernels[-1], theta.scale.double(), theta.shift.double(), side**2
    if norm.name == "instance":  # the mean is 0: no cross term of scale and shift
        inner = (pixels * (s.square() + b.square()).sum()).sqrt()
    elif norm.name in ("channel", "channel_rms"):
        of_pixel = len(s) ** 0.5 if norm.name == "channel" else 1.0
        inner = pixels**0.5 * (s.abs().max() * of_pixel + b.norm())
    else:
        assert norm.name in NORMS
        inner = torch.tensor(math.inf)
    if activation == "tanh":
        inner = inner.clamp_max((pixels * len(s)) ** 0.5)
    return float(inner) * operator_norm(K, side, tolerance=1e-3)[0]


def observed_order(coarse: float, fine: float, ratio: float) -> float:
    """The order p of an error that falls from ``coarse`` to ``fine`` when the step size is divided by ``ratio``."""
    return math.log(coarse / fine) / math.log(ratio) if coarse > 0 and fine > 0 else math.nan


def unit_states(dynamic: Dynamic, Y: Tensor, thetas: Sequence[Any]) -> list[State]:
    """The state at the start from features Y (N, C, H, W) and after every step."""
    found = [dynamic.start(Y)]
    for theta in thetas:
        found.append(dynamic.step(found[-1], theta))
    return found
