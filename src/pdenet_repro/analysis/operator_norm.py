"""Compute the largest singular value (operator norm) of a convolution, and the step sizes at which schemes are stable."""

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

from pdenet_repro.analysis.jacobian import NoEigenvalues
from pdenet_repro.networks.layers import conv, conv_transpose


@torch.no_grad()
def operator_norm(K: Tensor, side: int, tolerance: float = 1e-7) -> tuple[float, Tensor]:
    """Compute the largest singular value of ``conv(., K)`` on ``side`` x ``side`` pixels, and its right singular vector.

    The convolution is zero-padded as in the networks. K is (C_out, C, k, k), the vector (1, C, side, side) of norm 1. The
    square ``||K||^2`` is computed to the relative ``tolerance`` as the largest eigenvalue of ``K^T K`` by Lanczos iteration in
    float64 (scipy's ``eigsh``). A zero kernel gives 0.0 and an arbitrary vector.

    Raises
    ------
    NoEigenvalues
        An entry of the kernel is not finite, or the iteration breaks down.
    """
    kernel = K.detach().cpu().double()
    shape = (1, K.shape[1], side, side)

    def apply(v: np.ndarray) -> np.ndarray:
        return conv_transpose(conv(torch.from_numpy(v.ravel()).reshape(shape), kernel), kernel).numpy().ravel()

    n = int(np.prod(shape))
    start = np.random.RandomState(0).standard_normal(n)
    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)
    first = apply(start)
    if not np.isfinite(first).all():
        raise NoEigenvalues(
            "the kernel of a convolution has entries that are not finite numbers: the convolution has no operator norm"
        )
    if not first.any():  # ARPACK fails for the zero map
        return 0.0, torch.from_numpy(start / np.linalg.norm(start)).reshape(shape)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)
    except ArpackError as error:
        raise NoEigenvalues(f"the iteration for the operator norm of a convolution broke down: {error}") from error
    return float(max(values[0], 0.0)) ** 0.5, torch.from_numpy(vectors[:, 0].copy()).reshape(shape)


def euler_bound(norm_of_K: float) -> float:
    """Return ``2 / ||K||^2``: up to this step size forward Euler for (7) increases no distance; ``norm_of_K`` is ``||K||``.

    This is the discrete form of Theorem 1, for a layer without normalisation and a monotone sigma of slope at most 1. Then
    ``F(Y) - F(Z) = -K^T D K (Y - Z)``, where D is diagonal with slopes of secants of sigma, which are in [0, 1]. The symmetric
    matrix ``I - h K^T D K`` has eigenvalues in ``[1 - h ||K||^2, 1]``, so ``h <= 2 / ||K||^2`` is sufficient. For D = I it is
    necessary. A norm of 0 gives inf.
    """
    return 2 / norm_of_K**2 if norm_of_K else float("inf")


def leapfrog_bound(norm_of_K: float) -> float:
    """Return ``2 / ||K||``, the largest step size at which leapfrog for the linear ``Y'' = -K^T K Y`` is stable."""
    return 2 / norm_of_K if norm_of_K else float("inf")


def entries_for_step_size(channels: int, h: float) -> float:
    """Return b such that forward Euler with step size h increases no distance for any kernel (C, C, 3, 3) in [-b, b].

    The assumptions are those of `euler_bound`. By Schur's test ``||K||^2`` is at most the largest row sum times the largest
    column sum of the moduli of the entries, which is ``(9 C b)^2`` here; constant kernels on large images nearly attain it. So
    ``b = sqrt(2 / h) / (9 C)`` gives ``h ||K||^2 <= 2``.
    """
    return float((2 / h) ** 0.5 / (9 * channels))
