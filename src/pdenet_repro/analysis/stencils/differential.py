"""Treat 3x3 kernels as differential operators on a mesh of size h (Section 2 of the paper, "Convolution ResNets and PDEs").

In one dimension the paper writes a stencil ``theta`` of three points as

    beta_1 [1 2 1] / 4  +  beta_2 [-1 0 1] / (2h)  +  beta_3 [1 -2 1] / h^2,

which tends to the operator ``beta_1 + beta_2 d/dx + beta_3 d^2/dx^2`` as h goes to 0. (The paper prints ``[-1 2 -1]`` in the
last term and yet ``+ d^2/dx^2`` in the limit; here the signs agree.) In two dimensions the nine products of these three stencils
in y and in x are the basis. It is not orthogonal, so the squared norms of a kernel's terms are not shares of its own (of the
five-point Laplacian's, two thirds would be of order 4); kernels are therefore described by their symbols.

``conv`` is a cross-correlation: it multiplies the entry (i, j) of a kernel, i, j = 0, 1, 2, by the pixel i - 1 rows below and
j - 1 columns to the right. So x grows with the column, and y grows with the row, downwards.
"""

import torch
from torch import Tensor

GRID = 32  # frequencies between -pi and pi in each direction at which symbols are computed
BANDS = {"low": (0.0, 0.25), "middle": (0.25, 0.5), "high": (0.5, 1.0)}  # range of the larger frequency over Nyquist's
ODD_OF_NOISE = 4 / 9  # odd share of kernels with independent entries of mean 0


def basis(h: float) -> Tensor:
    """Return (3, 3) float64: row k is the stencil of the k-th derivative, k = 0, 1, 2, for points at -h, 0, h."""
    return torch.tensor(
        [
            [1 / 4, 1 / 2, 1 / 4],
            [-1 / (2 * h), 0, 1 / (2 * h)],
            [1 / h**2, -2 / h**2, 1 / h**2],
        ],
        dtype=torch.float64,
    )


def inverse_basis(h: float) -> Tensor:
    """Return the inverse of `basis` in closed form, (3, 3) float64: ``theta @ inverse_basis(h)`` is beta."""
    return torch.tensor(
        [
            [1, -h, h**2 / 4],
            [1, 0, -(h**2) / 4],
            [1, h, h**2 / 4],
        ],
        dtype=torch.float64,
    )


def coefficients(kernel: Tensor, h: float) -> Tensor:
    """Return beta (..., 3, 3) of kernels (..., 3, 3); its entry (i, j) multiplies ``d^i/dy^i d^j/dx^j``."""
    change = inverse_basis(h).to(kernel)
    return change.T @ kernel @ change


def kernel(beta: Tensor, h: float) -> Tensor:
    """Return the kernels (..., 3, 3) with coefficients beta (..., 3, 3); it is the inverse of `coefficients`."""
    change = basis(h).to(beta)
    return change.T @ beta @ change


def rescaled(theta: Tensor, factor: float) -> Tensor:
    """Return the kernels (..., 3, 3) of the same differential operators on a mesh of ``factor`` times the size.

    A term of order n is divided by ``factor^n``. ``K^T`` of a rescaled K needs no correction: inner products on a mesh are sums
    times h^2, so it is the adjoint of K on every mesh.
    """
    return kernel(coefficients(theta.double(), 1.0), factor).to(theta)


def symbol_shares(theta: Tensor) -> dict[str, float]:
    """Describe kernels (..., 3, 3) by their symbols ``k(xi) = sum_ab theta_ab exp(i (a xi_y + b xi_x))``.

    For each of ``BANDS`` the result has the mean of ``|k|^2`` over the band over the mean at all frequencies, which is 1 for
    independent entries of mean 0. ``odd`` is the share of the kernels' odd part, to which first derivatives belong, in the sum of
    squares. Odd and even kernels are orthogonal, so that share depends on no basis. Kernels of zeros give nan.
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
