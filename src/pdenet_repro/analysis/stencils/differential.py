"""3x3 kernels as differential operators on a mesh of size h (Section 2 of the paper, "Convolution ResNets and PDEs").

In one dimension the paper writes a stencil ``theta`` of three points as

    beta_1 [1 2 1] / 4  +  beta_2 [-1 0 1] / (2h)  +  beta_3 [1 -2 1] / h^2,

which tends to the operator ``beta_1 + beta_2 d/dx + beta_3 d^2/dx^2`` as h goes to 0. (The paper prints ``[-1 2 -1]`` in
the last term beside ``+ d^2/dx^2`` in the limit; here the signs agree.) In two dimensions the nine products of these three
stencils along y and along x are the basis. ``conv`` is a cross-correlation: the entry (i, j) of a kernel meets the pixel
i - 1 rows below and j - 1 columns to the right, so x grows with the column, y with the row (downwards).
"""

import torch
from torch import Tensor

# Of the 3x3 array of coefficients, entry (i, j) belongs to d^i/dy^i d^j/dx^j.
TERMS = {
    "1": (0, 0), "x": (0, 1), "y": (1, 0), "xx": (0, 2), "yy": (2, 0), "xy": (1, 1),
    "xxy": (1, 2), "xyy": (2, 1), "xxyy": (2, 2),
}  # fmt: skip
GROUPS = {
    "reaction": ("1",),
    "convection": ("x", "y"),
    "diffusion": ("xx", "yy", "xy"),
    "higher": ("xxy", "xyy", "xxyy"),
}


def basis(h: float) -> Tensor:
    """(3, 3) float64: row k is the stencil of the k-th derivative at mesh size h, for points at -h, 0, h."""
    return torch.tensor(
        [
            [1 / 4, 1 / 2, 1 / 4],
            [-1 / (2 * h), 0, 1 / (2 * h)],
            [1 / h**2, -2 / h**2, 1 / h**2],
        ],
        dtype=torch.float64,
    )


def inverse_basis(h: float) -> Tensor:
    """(3, 3) float64, the inverse of ``basis`` in closed form: column k of ``theta @ inverse_basis`` is beta_k."""
    return torch.tensor(
        [
            [1, -h, h**2 / 4],
            [1, 0, -(h**2) / 4],
            [1, h, h**2 / 4],
        ],
        dtype=torch.float64,
    )


def coefficients_1d(theta: Tensor, h: float) -> Tensor:
    """Coefficients beta (..., 3) of stencils theta (..., 3) for the points at x - h, x, x + h."""
    return theta @ inverse_basis(h).to(theta)


def stencil_1d(beta: Tensor, h: float) -> Tensor:
    """The stencils theta (..., 3) with coefficients beta (..., 3)."""
    return beta @ basis(h).to(beta)


def coefficients(kernel: Tensor, h: float) -> Tensor:
    """Coefficients beta (..., 3, 3) of kernels (..., 3, 3); entry (i, j) multiplies ``d^i/dy^i d^j/dx^j`` (``TERMS``)."""
    change = inverse_basis(h).to(kernel)
    return change.T @ kernel @ change


def kernel(beta: Tensor, h: float) -> Tensor:
    """The kernels (..., 3, 3) with coefficients beta (..., 3, 3), the inverse of ``coefficients``."""
    change = basis(h).to(beta)
    return change.T @ beta @ change


def rescaled(theta: Tensor, factor: float) -> Tensor:
    """Kernels (..., 3, 3) that are the same differential operator on a mesh of ``factor`` times the size.

    A term of order n is divided by ``factor^n``. The transposed kernel needs nothing else: on a mesh all inner products
    are sums times h^2, so ``K^T`` stays the adjoint of ``K``, and tends to the adjoint operator.
    """
    return kernel(coefficients(theta.double(), 1.0), factor).to(theta)


def contributions(theta: Tensor) -> Tensor:
    """(..., 3, 3) squared norms of each term's part ``beta_ij B_ij`` of kernels (..., 3, 3).

    The parts add up to the kernel, and do not depend on the mesh size in which beta is expressed.
    """
    size = basis(1.0).square().sum(1)
    return coefficients(theta.double(), 1.0).square() * size[:, None] * size


def shares(theta: Tensor) -> dict[str, float]:
    """The share of each of ``TERMS`` in the sum of all squared contributions of kernels (..., 3, 3); nan for zeros."""
    total = contributions(theta).reshape(-1, 3, 3).sum(0)
    return {name: (total[i, j] / total.sum()).item() for name, (i, j) in TERMS.items()}


def shares_of_noise() -> dict[str, float]:
    """What ``shares`` tends to for kernels of independent numbers of mean 0, as initial weights are."""
    one = inverse_basis(1.0).square().sum(0) * basis(1.0).square().sum(1)
    return {name: (one[i] * one[j] / one.sum() ** 2).item() for name, (i, j) in TERMS.items()}
