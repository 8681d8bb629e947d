"""Controls: networks that lack one of the paper's restrictions each, to see which of them matters.

``dynamic=docs/examples/controls.py:Expansive`` trains one; docs/analysis.md has the sweep that trains all of them beside the
paper's dynamics. ``python docs/examples/controls.py`` prints the weights and the arithmetic of each.
"""

import torch

from pdenet_repro.config.dynamics import Facts
from pdenet_repro.networks.dynamics import Dynamic, Hamiltonian, Parabolic, ResNet, State, Theta


class Expansive(Parabolic):
    """(7) with the sign flipped, ``Y_{j+1} = Y_j + h K^T sigma(N(K Y_j) s + b)``: no distance falls (no norm, s >= 0)."""

    facts = Facts("expansive", colour="#cc79a7", marker="^", integrator="forward Euler", order=1)

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

    adjoint_step = Dynamic.adjoint_step


class StartsParabolic(ResNet):
    """The residual layer (1) with ``K2 = -K1`` at the start, when it is the layer of (7); both kernels are free in training."""

    facts = Facts("starts parabolic", integrator="forward Euler", order=1, region="disc")

    def initialize(self, layers: torch.nn.ModuleList) -> None:
        """``K2 = -K1`` at every time step."""
        for layer in layers:
            layer.kernel2.copy_(-layer.kernel1)


if __name__ == "__main__":
    from pdenet_repro import build_network, compose
    from pdenet_repro.networks.cost import forward_flops

    narrow = "network.widths=[12,46,91,182]"  # over sqrt(2), rounded up: a layer has two kernels of half the size
    print(f"{'dynamic':<16} {'widths':<18} {'weights':>9}  multiplications and additions for one image, forward")
    for dynamic, *widths in [
        ["parabolic"], ["second_order"], [f"{__file__}:Expansive"], ["resnet", narrow], [f"{__file__}:StartsParabolic", narrow],
        ["hamiltonian"], [f"{__file__}:EqualSigns"], ["resnet"],
    ]:  # fmt: skip
        config = compose(f"dynamic={dynamic}", *widths)
        weights, flops = build_network(config).weight_count(), forward_flops(config.network, config.dynamic)
        print(f"{config.dynamic:<16} {config.network.widths!s:<18} {weights:>9,}  {flops:,}")
