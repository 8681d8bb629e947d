"""The two layers of the paper: the symmetric layer (6) of its differential equations, and the residual layer (1).

Features ``Y`` are (N, C, H, W). ``theta`` holds the weights of one time step: kernels (C, C, 3, 3), scale and shift (C,).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.networks import winograd
from pdenet_repro.networks.norms import Norm

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


def conv(Y: Tensor, K: Tensor) -> Tensor:
    """Return ``K Y``, the cross-correlation with zero padding and without bias: (N, C_in, H, W) to (N, C_out, H, W).

    ``K``: (C_out, C_in, k, k) with odd k.
    """
    if winograd.is_faster(Y, K):
        return winograd.conv(Y, K)
    return F.conv2d(Y, K, padding=K.shape[-1] // 2)


def conv_transpose(Z: Tensor, K: Tensor) -> Tensor:
    """Return ``K^T Z``, the exact adjoint of ``conv`` with the same kernel: (N, C_out, H, W) to (N, C_in, H, W)."""
    if winograd.is_faster(Z, K):
        return winograd.conv_transpose(Z, K)
    return F.conv_transpose2d(Z, K, padding=K.shape[-1] // 2)


def is_kernel(name: str) -> bool:
    """Return whether a weight of this name is a kernel; module names may stand before it, as in ``opening.kernel``."""
    return name.rpartition(".")[2].startswith("kernel")


class SymmetricWeights(NamedTuple):
    """Weights of a symmetric layer: kernel (C, C, 3, 3), scale and shift (C,)."""

    kernel: Tensor
    scale: Tensor
    shift: Tensor


class ResidualWeights(NamedTuple):
    """Weights of a residual layer: two kernels (C, C, 3, 3), scale and shift (C,)."""

    kernel1: Tensor
    kernel2: Tensor
    scale: Tensor
    shift: Tensor


class SymmetricLayer:
    """The symmetric layer (6), ``F(Y; theta) = -K^T sigma( N(K Y) s + b )``. The norm's shift b is the layer's bias."""

    weights = SymmetricWeights

    def __init__(self, norm: Norm, activation: str) -> None:
        self.norm, self.sigma = norm, ACTIVATIONS[activation]

    def __call__(self, Y: Tensor, theta: Any) -> Tensor:
        """Return ``F(Y; theta)``, (N, C, H, W) as Y; ``theta``: `SymmetricWeights`."""
        K, s, b = theta
        return -conv_transpose(self.sigma(self.norm(conv(Y, K), s, b)), K)


class ResidualLayer:
    """The residual layer (1), ``F(Y; theta) = K2^T sigma( N(K1 Y) s + b )``, unrestricted because K1 and K2 are independent."""

    weights = ResidualWeights

    def __init__(self, norm: Norm, activation: str) -> None:
        self.norm, self.sigma = norm, ACTIVATIONS[activation]

    def __call__(self, Y: Tensor, theta: Any) -> Tensor:
        """Return ``F(Y; theta)``, (N, C, H, W) as Y; ``theta``: `ResidualWeights`."""
        K1, K2, s, b = theta
        return conv_transpose(self.sigma(self.norm(conv(Y, K1), s, b)), K2)


def pullback(layer: Callable[[Tensor, Any], Tensor], Y: Tensor, theta: Any, v: Tensor) -> tuple[Tensor, Tensor, Any]:
    """Return ``F(Y; theta)`` of a layer F, ``(dF/dY)^T v`` and ``(dF/dtheta)^T v``; Y and v: (N, C, H, W)."""
    if torch.compiler.is_compiling():  # torch.func can be compiled, autograd.grad cannot
        value, transposed = torch.func.vjp(layer, Y, theta)[:2]
        return value, *transposed(v.to(value.dtype))
    with torch.enable_grad():  # the same values as torch.func, with less overhead
        inputs = [each.detach().requires_grad_() for each in (Y, *theta)]
        value = layer(inputs[0], type(theta)(*inputs[1:]))
        of_Y, *of_theta = torch.autograd.grad(value, inputs, v.to(value.dtype))
    return value.detach(), of_Y, type(theta)(*of_theta)
