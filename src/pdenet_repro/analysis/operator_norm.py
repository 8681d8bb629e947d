"""The largest singular value of a convolution with zero padding, and the step sizes it allows."""

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from pdenet_repro.networks.layers import conv, conv_transpose


@torch.no_grad()
def operator_norm(K: Tensor, side: int, tolerance: float = 1e-7) -> tuple[float, Tensor]:
    """``||K||`` of ``conv(., K)`` on ``side`` x ``side`` pixels, and the features (1, C, side, side) of norm 1 it belongs to.

    Largest eigenvalue of ``K^T K`` by Lanczos iteration in float64 (scipy's ``eigsh``), matrix-free: the operator that
    is applied, zero padding included, not a bound from the kernel. ``K``: (C_out, C, k, k); ``tolerance``: relative, of
    ``||K||^2``.
    """
    kernel = K.detach().cpu().double()
    shape = (1, K.shape[1], side, side)

    def apply(v: np.ndarray) -> np.ndarray:
        return conv_transpose(conv(torch.from_numpy(v.ravel()).reshape(shape), kernel), kernel).numpy().ravel()

    n = int(np.prod(shape))
    start = np.random.RandomState(0).standard_normal(n)
    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)
    values, vectors = eigsh(operator, k=1, which="LA", tol=tolerance, v0=start)
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
