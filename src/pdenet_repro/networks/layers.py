"""The two layers of the paper: symmetric (6), which makes a network a differential equation, and residual (1).

Features ``Y`` are (N, C, H, W). ``theta`` holds the weights of one time step: kernels (C, C, 3, 3), scale and shift (C,).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_weight

from pdenet_repro.networks.norms import Norm

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


def conv(Y: Tensor, K: Tensor) -> Tensor:
    """``K Y``: cross-correlation with zero padding, no bias, the size of the image kept; ``K``: (C_out, C_in, k, k), k odd."""
    return F.conv2d(Y, K, padding=K.shape[-1] // 2)


def conv_transpose(Z: Tensor, K: Tensor) -> Tensor:
    """``K^T Z``: the exact adjoint of ``conv`` with the same kernel, (N, C_out, H, W) to (N, C_in, H, W)."""
    return F.conv_transpose2d(Z, K, padding=K.shape[-1] // 2)


def kernel_gradient(Y: Tensor, K: Tensor, Z: Tensor) -> Tensor:
    """Gradient of ``<Z, conv(Y, K)>`` with respect to ``K``; Y (N, C_in, H, W), Z (N, C_out, H, W)."""
    return conv2d_weight(Y.to(Z.dtype), K.shape, Z, padding=K.shape[-1] // 2)


class SymmetricWeights(NamedTuple):
    """Weights of a symmetric layer."""

    kernel: Tensor
    scale: Tensor
    shift: Tensor


class ResidualWeights(NamedTuple):
    """Weights of a residual layer."""

    kernel1: Tensor
    kernel2: Tensor
    scale: Tensor
    shift: Tensor


class SymmetricLayer:
    """``F(Y; theta) = -K^T sigma( N(K Y) s + b )``, equation (6). The norm's shift b is the layer's bias."""

    weights = SymmetricWeights

    def __init__(self, norm: Norm, activation: str) -> None:
        self.norm, self.sigma = norm, ACTIVATIONS[activation]

    def __call__(self, Y: Tensor, theta: Any) -> Tensor:
        """(N, C, H, W) to the same; ``theta``: `SymmetricWeights`."""
        K, s, b = theta
        return -conv_transpose(self.sigma(self.norm(conv(Y, K), s, b)), K)

    def pullback(self, Y: Tensor, theta: Any, v: Tensor) -> tuple[Tensor, Tensor, Any]:
        """``F(Y; theta)``, ``(dF/dY)^T v`` and ``(dF/dtheta)^T v``, in one evaluation without a graph through the convolutions.

        With ``Z = K Y``, ``A = sigma(N(Z) s + b)`` and its derivative ``J`` at Z: ``F = -K^T A``, ``(dF/dY)^T v = K^T z`` with
        ``z = -J^T K v``, and the kernel's gradient is that of ``<z, K Y> - <A, K v>``.
        """
        K, *affine = theta
        with torch.no_grad():
            Z, minus_Kv = conv(Y, K), conv(v, K).neg_()
        with torch.enable_grad():
            inputs = [t.detach().requires_grad_() for t in (Z, *affine)]
            A = self.sigma(self.norm(*inputs))
        z, *of_affine = torch.autograd.grad(A, inputs, minus_Kv.to(A.dtype))
        A = A.detach()
        of_K = kernel_gradient(Y, K, z).sub_(kernel_gradient(v, K, A))
        return conv_transpose(A, K).neg_(), conv_transpose(z, K), type(theta)(of_K, *of_affine)


class ResidualLayer:
    """``F(Y; theta) = K2^T sigma( N(K1 Y) s + b )``, equation (1): no symmetry, the unrestricted control."""

    weights = ResidualWeights

    def __init__(self, norm: Norm, activation: str) -> None:
        self.norm, self.sigma = norm, ACTIVATIONS[activation]

    def __call__(self, Y: Tensor, theta: Any) -> Tensor:
        """(N, C, H, W) to the same; ``theta``: `ResidualWeights`."""
        K1, K2, s, b = theta
        return conv_transpose(self.sigma(self.norm(conv(Y, K1), s, b)), K2)
