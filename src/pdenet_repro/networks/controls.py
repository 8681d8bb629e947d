"""Controls at equal weights and cost: equations that are none of the paper's, to see which of its restrictions matter.

``register`` makes the dynamics choices of ``build_network``. They are no part of the study: nothing else knows them.
"""

from collections.abc import Sequence

import torch

from pdenet_repro.networks.dynamics import DYNAMICS, Hamiltonian, Parabolic, State, Theta
from pdenet_repro.networks.pdenet import PDENet


class Expansive(Parabolic):
    """(7) with the sign flipped, ``Y_{j+1} = Y_j + h K^T sigma(N(K Y_j) s + b)``: no distance falls (s >= 0)."""

    def step(self, state: State, theta: Theta) -> State:
        """``Y_{j+1} = Y_j - h F(Y_j; theta_j)``."""
        (Y,), (theta_j,) = state, theta
        return (Y - self.h * self.F(Y, theta_j),)


class EqualSigns(Hamiltonian):
    """The Hamiltonian system with equal signs, ``Y' = F(Z)``, ``Z' = F(Y)``: its eigenvalues are real, of both signs.

    It can be run backwards as exactly. H is not conserved.
    """

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


def register() -> None:
    """Add ``expansive`` and ``equal_signs`` to the dynamics by name."""
    DYNAMICS.update(expansive=Expansive, equal_signs=EqualSigns)


def widths_of_equal_weights(widths: Sequence[int]) -> list[int]:
    """Widths at which a resnet, with two kernels a step, has about as many weights as a parabolic network of these widths."""
    return [round(width / 2**0.5) for width in widths]


@torch.no_grad()
def start_symmetric(network: PDENet) -> None:
    """Set ``K2 = -K1`` in the units of a resnet: its layer is then ``-K1^T sigma(N(K1 Y))``, (6), until training parts them."""
    for name, kernel in network.units.named_parameters():
        if name.endswith("kernel2"):
            kernel.copy_(-network.units.get_parameter(name[:-1] + "1"))
