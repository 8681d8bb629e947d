"""Normalisation ``N(Y) * s + b`` of features ``Y`` (N, C, H, W) with a scale ``s`` and a shift ``b`` for each channel (C,).

The norms in ``NORMS`` have no running statistics. The two batch norms (``batch``, ``batch_per_pixel``) average over the images
of the batch, and are allowed only in the opening layer and the connectors. The paper names the norm but gives no details;
docs/spec.md, section 2, lists what it may mean.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def instance_norm(Y: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Normalise over the pixels of each channel and example, with the biased variance (Ulyanov et al. 2016; v1's text)."""
    if Y.device.type == "cpu":  # groups of one channel give the same, and PyTorch computes them several times as fast
        return F.group_norm(Y, Y.shape[1], scale, shift, eps)
    return F.instance_norm(Y, weight=scale, bias=shift, eps=eps)


def channel_norm(Y: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Normalise at each pixel over the channels: ``(Y - mean_c) / sqrt(mean_c((Y - mean_c)^2) + eps)`` (toolbox, v1)."""
    Y = Y - Y.mean(1, keepdim=True)
    return _affine(Y * torch.rsqrt(Y.square().mean(1, keepdim=True) + eps), scale, shift)


def channel_rms_norm(Y: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Normalise at each pixel over the channels: ``Y / sqrt(sum_c Y^2 + eps)`` (the published text, v2)."""
    return _affine(Y * torch.rsqrt(Y.square().sum(1, keepdim=True) + eps), scale, shift)


def no_norm(Y: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Apply scale and shift alone (the setting of Theorem 1)."""
    return _affine(Y, scale, shift)


def per_pixel_batch_norm(Y: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """Normalise at each channel and pixel over the examples of the batch, with the biased variance, at test time too.

    The authors' toolbox has this norm for v1. The result for one image depends on the other images of the batch.
    """
    Y = Y - Y.mean(0, keepdim=True)
    return _affine(Y * torch.rsqrt(Y.square().mean(0, keepdim=True) + eps), scale, shift)


def _affine(Y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return Y * scale[:, None, None] + shift[:, None, None]


NormFunction = Callable[[Tensor, Tensor, Tensor, float], Tensor]

# function and eps of each norm (docs/spec.md, section 2)
NORMS: dict[str, tuple[NormFunction, float]] = {
    "instance": (instance_norm, 1e-3),
    "channel": (channel_norm, 1e-4),
    "channel_rms": (channel_rms_norm, 1e-4),
    "none": (no_norm, 1e-4),
    "batch_per_pixel": (per_pixel_batch_norm, 1e-4),
}


@dataclass(frozen=True)
class Norm:
    """A norm of ``NORMS`` without weights of its own; ``eps`` replaces the norm's default unless it is None."""

    name: str
    eps: float | None = None

    def __call__(self, Y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Return ``N(Y) * scale + shift``, (N, C, H, W) as Y; scale and shift: (C,)."""
        function, eps = NORMS[self.name]
        return function(Y, scale, shift, eps if self.eps is None else self.eps)


class NormLayer(nn.Module):
    """A norm of ``NORMS`` with a scale (initially 1) and shift (initially 0), for the opening layer and the connectors."""

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        self.norm = Norm(name)
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, Y: Tensor) -> Tensor:
        """Return the normalised features, (N, C, H, W) as Y."""
        return self.norm(Y, self.scale, self.shift)


class BatchNorm(nn.Module):
    """Batch normalisation over (N, H, W) (Ioffe & Szegedy 2015).

    In evaluation mode it uses the running statistics or, with ``use_batch_statistics``, those of the batch. The running
    variance is the biased one, as in the authors' toolbox and unlike ``torch.nn.BatchNorm2d``.
    """

    eps = 1e-4
    rate = 0.1  # weight of the newest batch in the running statistics
    use_batch_statistics = False

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def forward(self, Y: Tensor) -> Tensor:
        """Return the normalised features, (N, C, H, W) as Y; in training mode also update the running statistics."""
        if not self.training and self.use_batch_statistics:
            return F.batch_norm(Y, None, None, self.scale, self.shift, True, 0.0, self.eps)
        if not self.training:
            return F.batch_norm(
                Y, self.running_mean, self.running_variance, self.scale, self.shift, False, 0.0, self.eps
            )
        # with momentum 1, `mean` and `variance` become the mean and the unbiased variance of this batch
        mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_variance)
        out = F.batch_norm(Y, mean, variance, self.scale, self.shift, True, 1.0, self.eps)
        n = Y.numel() // Y.shape[1]
        self.running_mean.lerp_(mean, self.rate)
        self.running_variance.lerp_(variance * ((n - 1) / n), self.rate)
        return out


def connector_norm(name: str, channels: int) -> nn.Module:
    """Return the norm of an opening layer or a connector by its name: ``batch`` or one of ``NORMS``."""
    return BatchNorm(channels) if name == "batch" else NormLayer(name, channels)
