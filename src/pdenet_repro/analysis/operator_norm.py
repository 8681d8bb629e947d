"""The largest singular value of a convolution with zero padding, and the step sizes it allows."""

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

from pdenet_repro.analysis.jacobian import NoEigenvalues
from pdenet_repro.networks.layers import conv, conv_transpose


@torch.no_grad()
def operator_norm(K: Tensor, side: int, tolerance: float = 1e-7) -> tuple[float, Tensor]:
    """The largest singular value of ``conv(., K)`` on ``side`` x ``side`` pixels, and its singular vector (1, C, side, side).

    It belongs to the convolution as the networks apply it, zero padding included, and is no bound computed from the kernel. It
    is found as the largest eigenvalue of ``K^T K`` by Lanczos iteration in float64 (scipy's ``eigsh``). ``K``: (C_out, C, k, k);
    ``tolerance``: of ``||K||^2``, relative. A zero kernel gives 0.0 and some features of norm 1.

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
    if not first.any():  # ARPACK takes the zero map for an error
        return 0.0, torch.from_numpy(start / np.linalg.norm(start)).reshape(shape)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)
    except ArpackError as error:
        raise NoEigenvalues(f"the iteration for the operator norm of a convolution broke down: {error}") from error
    return float(max(values[0], 0.0)) ** 0.5, torch.from_numpy(vectors[:, 0].copy()).reshape(shape)


def euler_bound(norm: float) -> float:
    """The largest step size at which forward Euler for (7) increases no distance, ``2 / ||K||^2`` (Theorem 1, discrete).

    Let sigma be monotone with slopes of at most 1, and let there be no norm. Then ``F(Y) - F(Z) = -K^T D K (Y - Z)`` with a
    diagonal D whose entries, the slopes of secants of sigma, are in [0, 1]. ``I - h K^T D K`` is symmetric with eigenvalues in
    ``[1 - h ||K||^2, 1]``, so ``h <= 2 / ||K||^2`` suffices; where D = I it is necessary.
    """
    return 2 / norm**2 if norm else float("inf")


def leapfrog_bound(norm: float) -> float:
    """The largest step size h for which leapfrog for the linear wave equation ``Y'' = -K^T K Y`` is stable: ``2 / ||K||``."""
    return 2 / norm if norm else float("inf")


def entries_for_step_size(channels: int, h: float, slope: float = 1.0) -> float:
    """The largest b such that forward Euler with step size h increases no distance for every kernel (C, C, 3, 3) in [-b, b].

    ``||K||^2`` is at most the product of the largest row sum and the largest column sum of the entries' moduli (Schur), that is
    ``(9 C b)^2``; constant kernels on large images nearly attain it. ``h slope ||K||^2 <= 2`` follows for
    ``b = sqrt(2 / (h slope)) / (9 C)``; ``slope`` is the largest scale over deviation of a frozen norm, and 1 without a norm.
    """
    return float((2 / (h * slope)) ** 0.5 / (9 * channels))
