"""Controls: equations that are none of the paper's, at its weights and cost, to see which of its restrictions matter.

``python -m pdenet_repro -m dynamic=parabolic,docs/examples/controls.py:Expansive name=controls`` trains one beside its original.
"""

import torch

from pdenet_repro.config.dynamics import Facts
from pdenet_repro.networks.dynamics import Hamiltonian, Parabolic, State, Theta


class Expansive(Parabolic):
    """(7) with the sign flipped, ``Y_{j+1} = Y_j + h K^T sigma(N(K Y_j) s + b)``: no distance falls (s >= 0)."""

    facts = Facts("expansive", integrator="forward Euler", order=1, region="disc")

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j - h F(Y_j; theta_j)``."""
        (Y,), (theta_j,) = state, theta
        return (Y - self.h * self.F(Y, theta_j),)


class EqualSigns(Hamiltonian):
    """The Hamiltonian system with equal signs, ``Y' = F(Z)``, ``Z' = F(Y)``: its eigenvalues are real, of both signs.

    It can be run backwards as exactly. H is not conserved.
    """

    facts = Facts("equal signs", reversible=True, layers=2, integrator="symplectic Euler", order=1)

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j + h F(Z_j; theta1_j)``, then ``Z_{j+1} = Z_j + h F(Y_{j+1}; theta2_j)``."""
        (Y, Z), (theta1, theta2) = state, theta
        Y = Y + self.h * self.F(Z, theta1)
        return Y, Z + self.h * self.F(Y, theta2)

    def inverse_step(self, state: State, theta: Theta) -> State:
        """The step's two lines undone in reverse order."""
        (Y, Z), (theta1, theta2) = state, theta
        Z = Z - self.h * self.F(Y, theta2)
        return Y - self.h * self.F(Z, theta1), Z

    def adjoint_step(self, state: State, gradients: State, theta: Theta) -> tuple[State, State, Theta]:
        """The inverse step, then the derivative of the step from there."""
        before = self.inverse_step(state, theta)
        transposed = torch.func.vjp(self.step, before, theta)[1]
        return before, *transposed(gradients)
