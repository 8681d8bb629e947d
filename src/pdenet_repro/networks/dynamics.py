"""The differential equations with their time integrators, one class for each.

A ``state`` is a tuple of features (N, C, H, W): all that one time step needs of the steps before. ``theta`` holds the weights of
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
        """The class that computes this dynamic as the configuration chooses; the class itself unless it has variants."""
        return cls

    def layer_channels(self, channels: int) -> tuple[int, ...]:
        """The number of channels of each layer of one step, equal parts of the ``channels`` of the features.

        Raises
        ------
        ValueError
            The channels are no multiple of the number of layers.
        """
        layers = self.facts.layers
        if channels % layers:
            raise ValueError(f"{channels} channels: must be a multiple of {layers} for {self.facts.label}")
        return (channels // layers,) * layers

    def start(self, Y: Tensor) -> State:
        """The state at time 0 from the features Y (N, C, H, W) that enter the unit."""
        return (Y,)

    def initialize(self, layers: Any) -> None:
        """Change the initial weights of a unit, which have been drawn, in place; a subclass may, the others do nothing.

        ``layers``: the weights over time of each layer of a step (`pdenet_repro.networks.unit.TimeWeights`).
        """
        return

    @abstractmethod
    def step(self, state: State, theta: Theta) -> State:
        """The state after one time step with weights ``theta``."""

    def inverse_step(self, state: State, theta: Theta) -> State:
        """The state before the step that led to ``state``; TypeError where the dynamic cannot be run backwards."""
        raise TypeError(f"{type(self).__name__} cannot be run backwards")

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """The inverse step together with the backward pass of the step.

        ``state`` and ``gradients`` are the state after the step and the objective's gradient with respect to it. Returns the
        state before the step, the gradient with respect to it, and the gradient with respect to the weights. The reversible
        dynamics below evaluate each layer only once for all three.
        """
        before = self.inverse_step(state, theta)
        transposed = torch.func.vjp(self.step, before, theta)[1]
        return before, *transposed(gradients)

    def output(self, state: State) -> Tensor:
        """The features (N, C, H, W) that leave the unit."""
        return state[0]


class Parabolic(Dynamic):
    """Forward Euler for the heat-like equation (7): ``Y_{j+1} = Y_j + h F(Y_j; theta_j)``. Not reversible."""

    facts = BUILT_IN["parabolic"]

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j + h F(Y_j; theta_j)``, equation (7)."""
        (Y,), (theta_j,) = state, theta
        return (Y + self.h * self.F(Y, theta_j),)


class Hamiltonian(Dynamic):
    """Symplectic Euler for a Hamiltonian system on two halves ``Y, Z`` of the channels. Reversible.

    The papers call the scheme Verlet; with both halves known at the same time it is symplectic Euler, of first order.
    Their continuous equations carry the opposite signs of the discrete ones; the discrete ones are computed. The state is
    ``(Y, Z)``, and ``sign`` is 1.
    """

    facts = BUILT_IN["hamiltonian"]
    sign = 1

    @classmethod
    def variant(cls, network: NetworkConfig) -> type[Dynamic]:
        """The order of the two halves, ``network.hamiltonian_order``."""
        return HamiltonianZFirst if cls is Hamiltonian and network.hamiltonian_order == "z_first" else cls

    def start(self, Y: Tensor) -> State:
        """Both halves start from the data."""
        first, second = Y.chunk(2, dim=1)
        return first, second

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j + h F(Z_j; theta1_j)``, then ``Z_{j+1} = Z_j - h F(Y_{j+1}; theta2_j)``."""
        (Y, Z), (theta1, theta2), h = state, theta, self.sign * self.h
        Y = Y + h * self.F(Z, theta1)
        Z = Z - h * self.F(Y, theta2)
        return Y, Z

    def inverse_step(self, state: State, theta: Theta) -> State:
        """The step's two lines undone in reverse order (the printed inverse has Y where it must have Z)."""
        (Y, Z), (theta1, theta2), h = state, theta, self.sign * self.h
        Z = Z + h * self.F(Y, theta2)
        Y = Y - h * self.F(Z, theta1)
        return Y, Z

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """The inverse step with the backward passes of its two lines."""
        (Y, Z), (gY, gZ), (theta1, theta2), h = state, gradients, theta, self.sign * self.h
        F, gF, g2 = pullback(self.F, Y, theta2, -h * gZ)
        Z, gY = Z + h * F, gY + gF
        F, gF, g1 = pullback(self.F, Z, theta1, h * gY)
        Y, gZ = Y - h * F, gZ + gF
        return (Y, Z), (gY, gZ), (g1, g2)

    def output(self, state: State) -> Tensor:
        """Both halves, concatenated."""
        return torch.cat(state, dim=1)


class HamiltonianZFirst(Hamiltonian):
    """The half-steps in the order of the commit that the paper names.

    ``Z_{j+1} = Z_j - h F(Y_j; theta1_j)``, then ``Y_{j+1} = Y_j + h F(Z_{j+1}; theta2_j)``.

    That is the printed scheme with the halves exchanged and the opposite sign of h: the state is ``(Z, Y)``, and ``sign``
    is -1. As F is not odd, it is another network.
    """

    sign = -1

    def start(self, Y: Tensor) -> State:
        """Both halves start from the data, the second one first."""
        first, second = Y.chunk(2, dim=1)
        return second, first

    def output(self, state: State) -> Tensor:
        """Both halves in their order, concatenated."""
        return torch.cat(state[::-1], dim=1)


class SecondOrder(Dynamic):
    """Leapfrog for the wave-like equation (8); the state is ``(Y_j, Y_{j-1})`` with ``Y_{-1} = Y_0``. Reversible.

    The start ``Y_{-1} = Y_0`` is an error of order h, so the scheme is of first order.
    """

    facts = BUILT_IN["second_order"]

    @classmethod
    def variant(cls, network: NetworkConfig) -> type[Dynamic]:
        """The start ``Y_{-1}`` that ``network.leapfrog_start`` chooses."""
        return SecondOrderFromZero if cls is SecondOrder and network.leapfrog_start == "zero" else cls

    def start(self, Y: Tensor) -> State:
        """At rest: ``Y_{-1} = Y_0``."""
        return Y, Y

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = 2 Y_j - Y_{j-1} + h^2 F(Y_j; theta_j)``."""
        (Y, Y_previous), (theta_j,) = state, theta
        return 2 * Y - Y_previous + self.h**2 * self.F(Y, theta_j), Y

    def inverse_step(self, state: State, theta: Theta) -> State:
        """The same formula solved for ``Y_{j-1}``."""
        (Y_next, Y), (theta_j,) = state, theta
        return Y, 2 * Y - Y_next + self.h**2 * self.F(Y, theta_j)

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """The inverse step with the backward pass of the step."""
        (Y_next, Y), (g_next, g), (theta_j,) = state, gradients, theta
        F, gF, g_theta = pullback(self.F, Y, theta_j, self.h**2 * g_next)
        return (Y, 2 * Y - Y_next + self.h**2 * F), (g + 2 * g_next + gF, -g_next), (g_theta,)


class SecondOrderFromZero(SecondOrder):
    """Leapfrog with the start of the commit that the paper names, ``Y_{-1} = 0``: ``Y_1 = 2 Y_0 + h^2 F(Y_0; theta_0)``."""

    def start(self, Y: Tensor) -> State:
        """``Y_{-1} = 0``."""
        return Y, torch.zeros_like(Y)


class ResNet(Dynamic):
    """Forward Euler with the residual layer (1): ``Y_{j+1} = Y_j + h F(Y_j; theta_j)``, equation (2). The control."""

    facts = BUILT_IN["resnet"]
    layer = ResidualLayer

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j + h F(Y_j; theta_j)``, equation (2)."""
        (Y,), (theta_j,) = state, theta
        return (Y + self.h * self.F(Y, theta_j),)


DYNAMICS: dict[str, type[Dynamic]] = {cls.facts.name: cls for cls in (Parabolic, Hamiltonian, SecondOrder, ResNet)}
