"""The largest singular value of a convolution with zero padding, and the step sizes it allows."""

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

from pdenet_repro.analysis.jacobian import NoEigenvalues
from pdenet_repro.networks.layers import conv, conv_transpose


@torch.no_grad()
def operator_norm(K: Tensor, side: int, tolerance: float = 1e-7) -> tuple[float, Tensor]:
    """``||K||`` of ``conv(., K)`` on ``side`` x ``side`` pixels, and the features (1, C, side, side) of norm 1 it belongs to.

    Largest eigenvalue of ``K^T K`` by Lanczos iteration in float64 (scipy's ``eigsh``), matrix-free: the operator that
    is applied, zero padding included, not a bound from the kernel. ``K``: (C_out, C, k, k); ``tolerance``: relative, of
    ``||K||^2``. A zero kernel: 0.0 and features of norm 1, of which each will do.

    Raises
    ------
    NoEigenvalues
        A kernel that is not finite, or an iteration that breaks down.
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
        raise NoEigenvalues("the norm of a convolution: its kernel has entries that are not finite numbers")
    if not first.any():  # ARPACK takes the zero map for an error
        return 0.0, torch.from_numpy(start / np.linalg.norm(start)).reshape(shape)
    try:
        values, vectors = eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)
    except ArpackError as error:
        raise NoEigenvalues(f"the norm of a convolution: the iteration for it broke down: {error}") from error
    return float(max(values[0], 0.0)) ** 0.5, torch.from_numpy(vectors[:, 0].copy()).reshape(shape)


def euler_bound(norm: float) -> float:
    """The largest step size h for which forward Euler for (7) cannot expand: ``2 / ||K||^2``; Theorem 1, discrete.

    For a monotone sigma of slope at most 1 and no norm, ``F(Y) - F(Z) = -K^T D K (Y - Z)`` with ``D`` diagonal in [0, 1]
    (the secants' slopes). ``I - h K^T D K`` is symmetric, its eigenvalues in ``[1 - h ||K||^2, 1]``: no pair of
    features moves apart if and, where all of sigma is active, only if ``h <= 2 / ||K||^2``.
    """
    return 2 / norm**2 if norm else float("inf")


def leapfrog_bound(norm: float) -> float:
    """The largest step size h for which leapfrog for the linear wave equation ``Y'' = -K^T K Y`` is stable: ``2 / ||K||``."""
    return 2 / norm if norm else float("inf")


def entries_for_step_size(channels: int, h: float, slope: float = 1.0) -> float:
    """The largest box for which forward Euler with step size h cannot expand, whatever the kernel (C, C, 3, 3) in it.

    Entries of at most b give ``|K|^2 <= (largest row sum)(largest column sum) <= (9 C b)^2`` (Schur), nearly attained by
    constant kernels on large images. ``h slope |K|^2 <= 2`` follows for ``b = sqrt(2 / (h slope)) / (9 C)``; ``slope`` is the
    largest ``s / deviation`` of a frozen norm, 1 without one. With b = 1 and C = 16 the bound on ``|K|^2`` is 20,736.
    """
    return float((2 / (h * slope)) ** 0.5 / (9 * channels))
