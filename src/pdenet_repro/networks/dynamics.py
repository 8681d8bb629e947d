"""The differential equations with their time integrators, one class for each.

A ``state`` is a tuple of features (N, C, H, W): all that a time step needs of the previous ones. ``theta`` holds the weights of
one time step, an entry for each layer of the step. Numbers in parentheses are the paper's equations. The facts about each dynamic
(name, label, whether it is reversible, order of its integrator) are in config/dynamics.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pdenet_repro.config.dynamics import BUILT_IN, Facts
from pdenet_repro.config.schema import NetworkConfig
from pdenet_repro.networks.layers import ResidualLayer, SymmetricLayer, pullback
from pdenet_repro.networks.norms import Norm

__all__ = ["DYNAMICS", "Dynamic", "Facts", "ResidualLayer", "State", "SymmetricLayer", "Theta"]

State = tuple[Tensor, ...]
Theta = Sequence[Any]


class Dynamic(ABC):
    """A differential equation with its time integrator of step size ``h``.

    A subclass defines the layer F, the ``start`` of a state from features, and the ``step`` from one state to the next. If a step
    can be undone exactly, it also defines ``inverse_step``, and its ``facts`` state that it is reversible.
    """

    facts: Facts
    layer: type[SymmetricLayer] | type[ResidualLayer] = SymmetricLayer

    def __init__(self, step_size: float, norm: Norm, activation: str) -> None:
        self.h = step_size
        self.F = self.layer(norm, activation)

    @classmethod
    def variant(cls, network: NetworkConfig) -> "type[Dynamic]":
        """Return the subclass that the options in ``network`` choose; the class itself unless it has variants."""
        return cls

    def layer_channels(self, channels: int) -> tuple[int, ...]:
        """Return the number of channels of each layer of a step: equal parts of the ``channels`` of the features.

        Raises
        ------
        ValueError
            ``channels`` is not a multiple of the number of layers.
        """
        layers = self.facts.layers
        if channels % layers:
            raise ValueError(f"{channels} channels: must be a multiple of {layers} for {self.facts.label}")
        return (channels // layers,) * layers

    def start(self, Y: Tensor) -> State:
        """Return the state at time 0 from the features Y (N, C, H, W) that enter the unit."""
        return (Y,)

    def initialize(self, layers: Any) -> None:
        """Change the initial weights of a unit in place after they have been drawn; by default nothing is changed.

        ``layers``: the weights over time of each layer of a step (`pdenet_repro.networks.unit.TimeWeights`).
        """
        return

    @abstractmethod
    def step(self, state: State, theta: Theta) -> State:
        """Return the state after one time step with weights ``theta``."""

    def resized(self, state: State, before: float) -> State:
        """Return the state for steps of size ``h`` from one for steps of size ``before``, for analyses that change h.

        By default it is the same state. A dynamic whose state has features at several times should override this.
        """
        return state

    def inverse_step(self, state: State, theta: Theta) -> State:
        """Return the state before the step that led to ``state``; raise TypeError if the dynamic is not reversible."""
        raise TypeError(f"{type(self).__name__} cannot be run backwards")

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """Compute the inverse step together with the backward pass of the step.

        ``state`` and ``gradients`` are the state after the step and the objective's gradient with respect to it. Returns the
        state before the step, the gradient with respect to it, and the gradient with respect to the weights. The reversible
        dynamics below override this method in order to evaluate each layer only once.
        """
        before = self.inverse_step(state, theta)
        transposed = torch.func.vjp(self.step, before, theta)[1]
        return before, *transposed(gradients)

    def output(self, state: State) -> Tensor:
        """Return the features (N, C, H, W) that leave the unit."""
        return state[0]


class Parabolic(Dynamic):
    """Forward Euler for the heat-like equation (7): ``Y_{j+1} = Y_j + h F(Y_j; theta_j)``. Not reversible."""

    facts = BUILT_IN["parabolic"]

    def step(self, state: State, theta: Theta) -> State:
        """Compute ``Y_{j+1} = Y_j + h F(Y_j; theta_j)``, equation (7)."""
        (Y,), (theta_j,) = state, theta
        return (Y + self.h * self.F(Y, theta_j),)


class Hamiltonian(Dynamic):
    """Symplectic Euler for a Hamiltonian system on two halves ``Y, Z`` of the channels. Reversible.

    The papers call the scheme Verlet; with both halves known at the same time it is symplectic Euler, of first order. Their
    continuous equations have the opposite signs of the discrete ones; this class computes the discrete ones. The state is
    ``(Y, Z)``; ``sign`` is the sign of h.
    """

    facts = BUILT_IN["hamiltonian"]
    sign = 1

    @classmethod
    def variant(cls, network: NetworkConfig) -> type[Dynamic]:
        """Return the class for ``network.hamiltonian_order``, the order in which the two halves move."""
        return HamiltonianZFirst if cls is Hamiltonian and network.hamiltonian_order == "z_first" else cls

    def start(self, Y: Tensor) -> State:
        """Split the features into two halves of the channels."""
        first, second = Y.chunk(2, dim=1)
        return first, second

    def resized(self, state: State, before: float) -> State:
        """Return the same state: the halves of features do not depend on the step size."""
        return state

    def step(self, state: State, theta: Theta) -> State:
        """Compute ``Y_{j+1} = Y_j + h F(Z_j; theta1_j)``, then ``Z_{j+1} = Z_j - h F(Y_{j+1}; theta2_j)``."""
        (Y, Z), (theta1, theta2), h = state, theta, self.sign * self.h
        Y = Y + h * self.F(Z, theta1)
        Z = Z - h * self.F(Y, theta2)
        return Y, Z

    def inverse_step(self, state: State, theta: Theta) -> State:
        """Undo the two lines of the step in reverse order (the inverse printed in the paper has Y where Z is right)."""
        (Y, Z), (theta1, theta2), h = state, theta, self.sign * self.h
        Z = Z + h * self.F(Y, theta2)
        Y = Y - h * self.F(Z, theta1)
        return Y, Z

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """Compute the inverse step together with the backward passes of its two lines."""
        (Y, Z), (gY, gZ), (theta1, theta2), h = state, gradients, theta, self.sign * self.h
        F, gF, g2 = pullback(self.F, Y, theta2, -h * gZ)
        Z, gY = Z + h * F, gY + gF
        F, gF, g1 = pullback(self.F, Z, theta1, h * gY)
        Y, gZ = Y - h * F, gZ + gF
        return (Y, Z), (gY, gZ), (g1, g2)

    def output(self, state: State) -> Tensor:
        """Concatenate the halves."""
        return torch.cat(state, dim=1)


class HamiltonianZFirst(Hamiltonian):
    """Symplectic Euler with the half-steps in the order of the commit that the paper names (docs/spec.md, section 11).

    ``Z_{j+1} = Z_j - h F(Y_j; theta1_j)``, then ``Y_{j+1} = Y_j + h F(Z_{j+1}; theta2_j)``.

    This is the printed scheme with the halves exchanged and the opposite sign of h; the state is ``(Z, Y)``. As F is not odd,
    it is another network.
    """

    sign = -1

    def start(self, Y: Tensor) -> State:
        """Split the features into two halves of the channels, the second half first."""
        first, second = Y.chunk(2, dim=1)
        return second, first

    def output(self, state: State) -> Tensor:
        """Concatenate the halves in the order of the channels."""
        return torch.cat(state[::-1], dim=1)


class SecondOrder(Dynamic):
    """Leapfrog for the wave-like equation (8); the state is ``(Y_j, Y_{j-1})`` with ``Y_{-1} = Y_0``. Reversible.

    The start ``Y_{-1} = Y_0`` has an error of order h, so the scheme is of first order.
    """

    facts = BUILT_IN["second_order"]

    @classmethod
    def variant(cls, network: NetworkConfig) -> type[Dynamic]:
        """Return the class for ``network.leapfrog_start``, the choice of ``Y_{-1}``."""
        return SecondOrderFromZero if cls is SecondOrder and network.leapfrog_start == "zero" else cls

    def start(self, Y: Tensor) -> State:
        """Start at rest: ``Y_{-1} = Y_0``."""
        return Y, Y

    def resized(self, state: State, before: float) -> State:
        """Move ``Y_{j-1}`` so that the velocity ``(Y_j - Y_{j-1}) / h`` stays."""
        Y, Y_previous = state
        return Y, Y - self.h / before * (Y - Y_previous)

    def step(self, state: State, theta: Theta) -> State:
        """Compute ``Y_{j+1} = 2 Y_j - Y_{j-1} + h^2 F(Y_j; theta_j)``, equation (8)."""
        (Y, Y_previous), (theta_j,) = state, theta
        return 2 * Y - Y_previous + self.h**2 * self.F(Y, theta_j), Y

    def inverse_step(self, state: State, theta: Theta) -> State:
        """Compute ``Y_{j-1}`` from the formula of the step."""
        (Y_next, Y), (theta_j,) = state, theta
        return Y, 2 * Y - Y_next + self.h**2 * self.F(Y, theta_j)

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """Compute the inverse step together with the backward pass of the step."""
        (Y_next, Y), (g_next, g), (theta_j,) = state, gradients, theta
        F, gF, g_theta = pullback(self.F, Y, theta_j, self.h**2 * g_next)
        return (Y, 2 * Y - Y_next + self.h**2 * F), (g + 2 * g_next + gF, -g_next), (g_theta,)


class SecondOrderFromZero(SecondOrder):
    """Leapfrog with ``Y_{-1} = 0``, as in the commit that the paper names: ``Y_1 = 2 Y_0 + h^2 F(Y_0; theta_0)``."""

    def start(self, Y: Tensor) -> State:
        """Start with ``Y_{-1} = 0``."""
        return Y, torch.zeros_like(Y)


class ResNet(Dynamic):
    """The unrestricted control, equation (2): ``Y_{j+1} = Y_j + h F(Y_j; theta_j)`` with the residual layer (1)."""

    facts = BUILT_IN["resnet"]
    layer = ResidualLayer

    def step(self, state: State, theta: Theta) -> State:
        """Compute ``Y_{j+1} = Y_j + h F(Y_j; theta_j)``, equation (2)."""
        (Y,), (theta_j,) = state, theta
        return (Y + self.h * self.F(Y, theta_j),)


DYNAMICS: dict[str, type[Dynamic]] = {cls.facts.name: cls for cls in (Parabolic, Hamiltonian, SecondOrder, ResNet)}
