"""Compute quantities that the equations conserve or decrease, energy (10), and bounds on layers with normalisation.

Let layers have no normalisation and let weights be constant in time. Let S be the antiderivative of sigma with S(0) = 0, and
``phi(Y; K, b) = sum S(K Y + b)``, summed over channels and pixels, with gradient ``K^T sigma(K Y + b) = -F(Y)``. Then in
continuous time

- (7) ``Y' = F(Y)`` is the gradient flow of phi, so phi does not increase;
- the Hamiltonian system ``Y' = F(Z; K1)``, ``Z' = -F(Y; K2)`` conserves ``H = phi(Z; K1) + phi(Y; K2)``;
- (8) ``Y'' = F(Y)`` conserves ``H = |Y'|^2 / 2 + phi(Y)``.

None of them conserves ``|Y|``. Energy (10) is ``E = |Y'|^2 / 2 + <K Y, sigma(K Y)> / 2``. Let b = 0, and let sigma have slope
at most 1 and ``sigma(x) / x`` not increase in |x| (ReLU, tanh). Then ``x sigma(x) / 2 <= S(x) <= x^2 / 2``, so a solution that
starts at rest obeys ``E(t) <= H = const <= |K Y_0|^2 / 2``. For ReLU E = H, so (10) is conserved, not only bounded. With
normalisation none of these energies has a scale, because F does not change when Y is multiplied by a positive number.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.operator_norm import operator_norm
from pdenet_repro.networks.dynamics import Dynamic, State
from pdenet_repro.networks.layers import ACTIVATIONS, conv, is_kernel
from pdenet_repro.networks.norms import NORMS, Norm

# S of each activation sigma: S' = sigma, S(0) = 0
ANTIDERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda X: X.clamp_min(0).square() / 2,
    "tanh": lambda X: X.abs() + F.softplus(-2 * X.abs()) - math.log(2),  # log cosh without overflow
}


def phi(Y: Tensor, theta: Any, activation: str) -> Tensor:
    """Return ``sum S(K Y + b)`` of each example of features Y (N, C, H, W): (N,) float64. The scales in theta must be 1."""
    X = conv(Y, theta.kernel).double() + theta.shift.double()[:, None, None]
    return ANTIDERIVATIVES[activation](X).flatten(1).sum(1)


def squared(Y: Tensor) -> Tensor:
    """Return the squared Euclidean norm of each example: (N,) float64."""
    return Y.double().square().flatten(1).sum(1)


def invariant(dynamic: Dynamic, state: State, theta: Any, activation: str, after: State | None = None) -> Tensor:
    """Return phi of a state of the parabolic dynamic (7), or H of a hyperbolic one: (N,) float64.

    The two parts of a hyperbolic state belong to times half a step apart, so H is constant only to O(h). With ``after``, the
    state one step later, Y (Hamiltonian) or the velocity (second-order) is averaged to the time of the other part, and H is
    constant to O(h^2).
    """
    if dynamic.facts.equation == "hamiltonian":
        (Y, Z), (theta1, theta2) = state, theta
        Y = (Y + after[0]) / 2 if after else Y
        return phi(Z, theta1, activation) + phi(Y, theta2, activation)
    if dynamic.facts.equation == "second_order":
        (Y, Y_previous), (theta_j,) = state, theta
        V = (after[0] - Y_previous) / (2 * dynamic.h) if after else (Y - Y_previous) / dynamic.h
        return squared(V) / 2 + phi(Y, theta_j, activation)
    return phi(state[0], theta[0], activation)


def linear_bound(dynamic: Dynamic, Y: Tensor, theta: Any) -> Tensor:
    """Return ``|K Y_0|^2 / 2``, which bounds phi and H for b = 0 and a start at rest: (N,) float64.

    ``Y`` are the features (N, C, H, W) that enter the unit. For the Hamiltonian system the terms of both halves are added.
    """
    return torch.stack([squared(conv(part, layer.kernel)) for part, layer in _parts(dynamic, Y, theta)]).sum(0) / 2


def _parts(dynamic: Dynamic, Y: Tensor, theta: Any) -> list[tuple[Tensor, Any]]:
    if dynamic.facts.equation == "hamiltonian":
        first, second = dynamic.start(Y)
        return [(second, theta[0]), (first, theta[1])]
    return [(Y, theta[0])]


def energy_10(dynamic: Dynamic, state: State, theta: Any, activation: str) -> Tensor:
    """Return energy (10), ``|V|^2 / 2 + <K Y, sigma(K Y + b)> / 2`` with ``V = (Y_j - Y_{j-1}) / h``: (N,) float64."""
    (Y, Y_previous), (theta_j,) = state, theta
    X = conv(Y, theta_j.kernel)
    force = ACTIVATIONS[activation](X + theta_j.shift[:, None, None])
    return squared((Y - Y_previous) / dynamic.h) / 2 + (X.double() * force.double()).flatten(1).sum(1) / 2


def energy_distance(dynamic: Dynamic, one: State, other: State, theta: Any, activation: str = "") -> Tensor | None:
    """Return the distance of two states in an energy norm, (N,) float64; None for a dynamic without energy.

    The distance is ``sqrt(|V - V'|^2 + |K (Y - Y')|^2)`` for (8), where V is the velocity as in `energy_10`, and
    ``sqrt(|K1 (Z - Z')|^2 + |K2 (Y - Y')|^2)`` for the Hamiltonian system. The linear equation with the same kernels conserves
    it; in the nonlinear one it may grow. With ``activation`` sigma(K Y + b) replaces K Y; for ReLU that distance is at most
    ``sqrt(2 H) + sqrt(2 H')`` at all times.
    """

    def of(Y: Tensor, Y_other: Tensor, layer: Any) -> Tensor:
        first, second = (conv(each, layer.kernel) for each in (Y, Y_other))
        if activation:
            sigma, b = ACTIVATIONS[activation], layer.shift[:, None, None]
            first, second = sigma(first + b), sigma(second + b)
        return squared(first - second)

    if dynamic.facts.equation == "hamiltonian":
        (Y, Z), (Y_other, Z_other) = one, other
        return (of(Z, Z_other, theta[0]) + of(Y, Y_other, theta[1])).sqrt()
    if dynamic.facts.equation == "second_order":
        V, V_other = ((state[0] - state[1]) / dynamic.h for state in (one, other))
        return (squared(V - V_other) + of(one[0], other[0], theta[0])).sqrt()
    return None


@torch.no_grad()
def force_bound(norm: Norm, theta: Any, side: int, activation: str) -> float:
    """Return a bound on ``|F(Y; theta)|`` for all Y with ``side`` x ``side`` pixels; inf for ReLU without normalisation.

    The squares of normalised features add up to at most n over the n pixels of a channel (``instance``), and to at most C
    (``channel``) or 1 (``channel_rms``) over the C channels of a pixel. Values of tanh are at most 1 with any norm. With the
    bound ``|Y|`` grows at most linearly in time under a first-order equation and at most quadratically under (8), at every step
    size.
    """
    kernels = [K for name, K in theta._asdict().items() if is_kernel(name)]
    K, s, b, pixels = kernels[-1], theta.scale.double(), theta.shift.double(), side**2
    if norm.name == "instance":  # the mean is 0, so scale and shift have no cross term
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
    """Return the order p of an error that falls from ``coarse`` to ``fine`` when the step size is divided by ``ratio``."""
    return math.log(coarse / fine) / math.log(ratio) if coarse > 0 and fine > 0 else math.nan


def unit_states(dynamic: Dynamic, Y: Tensor, thetas: Sequence[Any]) -> list[State]:
    """Return the states of a unit into which features Y (N, C, H, W) enter: the first one, and one after every step."""
    found = [dynamic.start(Y)]
    for theta in thetas:
        found.append(dynamic.step(found[-1], theta))
    return found
