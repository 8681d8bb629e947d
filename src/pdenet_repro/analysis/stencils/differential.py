"""3x3 kernels as differential operators on a mesh of size h (Section 2 of the paper, "Convolution ResNets and PDEs").

In one dimension the paper writes a stencil ``theta`` of three points as

    beta_1 [1 2 1] / 4  +  beta_2 [-1 0 1] / (2h)  +  beta_3 [1 -2 1] / h^2,

which tends to the operator ``beta_1 + beta_2 d/dx + beta_3 d^2/dx^2`` as h goes to 0. (The paper prints ``[-1 2 -1]`` in the
last term beside ``+ d^2/dx^2`` in the limit; here the signs agree.) In two dimensions the nine products of these three stencils
in y and in x are the basis. It is not orthogonal, so that squares of coefficients are no shares (two thirds of the five-point
Laplacian would be of order 4); therefore kernels are described by their symbols. ``conv`` is a cross-correlation: it multiplies
the entry (i, j) of a kernel, i, j = 0, 1, 2, with the pixel i - 1 rows below and j - 1 columns to the right. So x grows with
the column and y with the row, downwards.
"""

import torch
from torch import Tensor

GRID = 32  # frequencies in each direction of a symbol, from -pi to pi
BANDS = {"low": (0.0, 0.25), "middle": (0.25, 0.5), "high": (0.5, 1.0)}  # of the larger frequency over Nyquist's
ODD_OF_NOISE = 4 / 9  # odd share of kernels with independent entries


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


def coefficients(kernel: Tensor, h: float) -> Tensor:
    """Beta (..., 3, 3) of kernels (..., 3, 3); entry (i, j) multiplies ``d^i/dy^i d^j/dx^j``."""
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


def symbol_shares(theta: Tensor) -> dict[str, float]:
    """Shares of the squared symbols of kernels (..., 3, 3), ``k(xi) = sum_ab theta_ab exp(i (a xi_y + b xi_x))``.

    For each of ``BANDS`` the mean of ``|k|^2`` over the band, divided by its mean over all frequencies; it is 1 for independent
    entries of mean 0. ``odd``: the share of the odd part of the kernels, to which first derivatives belong, in the sum of their
    squares; 4/9 for independent entries. Odd and even kernels are orthogonal, so it does not depend on a basis. Zeros give nan.
    """
    kernels = theta.double().reshape(-1, 3, 3)
    frequencies = 2 * torch.pi * (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID - torch.pi
    phase = torch.exp(1j * frequencies[:, None] * torch.arange(-1, 2))  # (GRID, 3)
    squares = (phase @ kernels.to(phase) @ phase.T).abs().square().mean(0)
    larger = torch.maximum(*torch.meshgrid(frequencies.abs(), frequencies.abs(), indexing="ij")) / torch.pi
    found = {
        name: (squares[(low <= larger) & (larger < high)].mean() / squares.mean()).item()
        for name, (low, high) in BANDS.items()
    }
    odd = (kernels - kernels.flip(1, 2)) / 2
    return found | {"odd": (odd.square().sum() / kernels.square().sum()).item()}
