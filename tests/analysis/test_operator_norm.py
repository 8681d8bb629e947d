"""The operator norm of convolutions; the step sizes that it allows: for linear equations exactly, for nonlinear ones not."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import ArpackError
from torch.autograd.functional import jacobian

from pdenet_repro.analysis import operator_norm as norm_module
from pdenet_repro.analysis.energy.invariants import invariant
from pdenet_repro.analysis.jacobian import NoEigenvalues
from pdenet_repro.analysis.operator_norm import euler_bound, leapfrog_bound, operator_norm
from pdenet_repro.networks.dynamics import Hamiltonian, SecondOrder
from pdenet_repro.networks.layers import SymmetricWeights, conv, conv_transpose
from pdenet_repro.networks.norms import Norm

NONE = Norm("none")


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_operator_norm_of_the_five_point_laplacian():
    """With zero padding its eigenvalues are ``4 - 2 cos(i pi/(n+1)) - 2 cos(j pi/(n+1))``."""
    K = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    norm, direction = operator_norm(K, 7)
    assert norm == pytest.approx(4 + 4 * np.cos(np.pi / 8), rel=1e-7)
    assert direction.norm().item() == pytest.approx(1)
    assert conv(direction, K).norm().item() == pytest.approx(norm, rel=1e-7)


def test_operator_norm_is_that_of_the_dense_matrix():
    K = normal(3, 2, 3, 3)
    unit_vectors = torch.eye(2 * 5 * 5, dtype=torch.float64).reshape(-1, 2, 5, 5)
    dense = conv(unit_vectors, K).flatten(1).T
    assert operator_norm(K, 5)[0] == pytest.approx(torch.linalg.matrix_norm(dense, 2).item(), rel=1e-7)


def test_bounds_of_the_step_size():
    assert euler_bound(2.0) == 0.5  # 1 - h 4 >= -1
    assert leapfrog_bound(2.0) == 1.0  # h^2 4 <= 4
    assert euler_bound(0.0) == leapfrog_bound(0.0) == float("inf")


def test_the_norm_of_a_zero_kernel_is_0_and_bounds_no_step(monkeypatch):
    norm, features = operator_norm(torch.zeros(3, 2, 3, 3), 5)
    assert norm == 0
    assert features.shape == (1, 2, 5, 5)
    assert torch.linalg.vector_norm(features).item() == pytest.approx(1)
    assert euler_bound(norm) == leapfrog_bound(norm) == np.inf
    with pytest.raises(NoEigenvalues, match="not finite numbers"):
        operator_norm(torch.full((2, 2, 3, 3), torch.nan), 5)

    def breaks_down(*_, **__):
        raise ArpackError(-9)

    monkeypatch.setattr(norm_module, "eigsh", breaks_down)
    with pytest.raises(NoEigenvalues, match="broke down: ARPACK error -9"):
        operator_norm(torch.ones(2, 2, 3, 3), 5)


def weights(K, bias=0.0):
    ones = torch.ones(len(K), dtype=torch.float64)
    return SymmetricWeights(K, ones, bias * ones)


def largest_factor(dynamic, theta, shape):
    """The spectral radius of a step from state to state."""

    def step(flat):
        return torch.cat([part.flatten() for part in dynamic.step([*flat.reshape(2, *shape)], theta)])

    J = jacobian(step, torch.zeros(2 * normal(*shape).numel(), dtype=torch.float64))
    return torch.linalg.eigvals(J).abs().max().item()


@pytest.mark.parametrize("kind", [SecondOrder, Hamiltonian])
def test_linear_equations_are_stable_up_to_the_bound_and_not_beyond(kind):
    """``h |K| < 2`` for (8), ``h |K1 K2^T| < 2`` for the Hamiltonian system.

    A bias that is large for its features makes ReLU linear.
    """
    shape = 1, 2, 4, 4
    for seed in range(3):
        kernels = [normal(2, 2, 3, 3, seed=10 * seed + i) for i in range(1 if kind is SecondOrder else 2)]
        norms = [operator_norm(K, 4)[0] for K in kernels]
        largest = norms[0]
        if kind is Hamiltonian:
            columns = torch.eye(32, dtype=torch.float64).reshape(32, 2, 4, 4)
            product = conv(conv_transpose(columns, kernels[1]), kernels[0]).flatten(1)
            largest = torch.linalg.matrix_norm(product, 2).item()
            assert largest < norms[0] * norms[1]  # so the product of the norms suffices
        theta = [weights(K, 1e3 ** (i + 1)) for i, K in enumerate(kernels)]
        for share, stable in ((0.5, True), (0.999, True), (1.01, False)):
            found = largest_factor(kind(share * leapfrog_bound(largest), NONE, "relu"), theta, shape)
            assert (found < 1 + 1e-6) == stable
            assert stable or found > 1.1


@pytest.mark.parametrize(
    ("kind", "squares", "h"), [(SecondOrder, (3.62, 0.165), 1.0), (Hamiltonian, (1.0, 0.15), 2.72**0.5)]
)
def test_nonlinear_equations_are_not_stable_up_to_that_bound(kind, squares, h):
    """With one kernel entry for positive and one for negative features a layer is a spring of two stiffnesses.

    Symplectic steps for it resonate: H is multiplied by thousands at a step size at which both linear equations are stable.
    """
    K = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    K[0, 0, 1, 1], K[1, 0, 1, 1] = squares[0] ** 0.5, -(squares[1] ** 0.5)
    norm, layers = operator_norm(K, 1)[0], 1 if kind is SecondOrder else 2
    assert h * norm**layers < 2
    theta, angle = [weights(K)] * layers, torch.linspace(0, 6.2, 60, dtype=torch.float64)
    dynamic, Y = kind(h, NONE, "relu"), torch.zeros(60, 2, 1, 1, dtype=torch.float64)
    Y[:, 0, 0, 0] = angle.cos()
    other = torch.zeros_like(Y)
    other[:, 0, 0, 0] = angle.sin()
    states = [(Y, other)]
    for _ in range(400):
        states.append(dynamic.step(states[-1], theta))
    H = torch.stack([invariant(dynamic, state, theta, "relu") for state in states])
    assert (H[-1] / H[0]).max() > 1e6
    finer = kind(h / 40, NONE, "relu")
    state = states[0]
    for _ in range(1000):
        state = finer.step(state, theta)
    start = invariant(finer, states[0], theta, "relu")
    assert (invariant(finer, state, theta, "relu") / start).max() < 2
