"""Corrupt images independently of the network: by noise, blur, low contrast or occlusion of a given strength.

Images are raw, (N, 3, H, W) uint8, before and after. ``random`` draws the same numbers for every strength, so that results for
different strengths differ by the strength only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import functional


def gaussian_noise(images: Tensor, deviation: float, random: np.random.RandomState) -> Tensor:
    """Add independent normal noise to every value; its standard ``deviation`` is in pixel values (of 255)."""
    draw = torch.from_numpy(random.standard_normal(images.shape).astype(np.float32)).to(images.device)
    return _to_bytes(images + deviation * draw)


def gaussian_blur(images: Tensor, deviation: float, random: np.random.RandomState) -> Tensor:
    """Convolve with a Gaussian of standard ``deviation`` in pixels, truncated at three of them, with mirrored edges."""
    return _to_bytes(functional.gaussian_blur(images.float(), 2 * ceil(3 * deviation) + 1, deviation))


def contrast(images: Tensor, divisor: float, random: np.random.RandomState) -> Tensor:
    """Divide the distance of all values from the image's mean grey by ``divisor``."""
    return _to_bytes(255 * functional.adjust_contrast(images / 255, 1 / divisor))


def occlusion(images: Tensor, side: float, random: np.random.RandomState) -> Tensor:
    """Cover a square of ``side`` pixels at a random place with the image's mean colour; larger squares contain smaller ones."""
    height, width, size = *images.shape[2:], round(side)
    covered = []
    for image, place in zip(images, random.random_sample((len(images), 2)), strict=True):
        top, left = int(place[0] * (height - size)), int(place[1] * (width - size))
        colour = _to_bytes(image.float().mean((1, 2), keepdim=True))
        covered.append(functional.erase(image, top, left, size, size, colour))
    return torch.stack(covered)


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Corruption:
    """A function that corrupts images, its names, and strengths from hardly visible to hardly recognisable results."""

    apply: Callable[[Tensor, float, np.random.RandomState], Tensor]
    heading: str
    unit: str  # of the strength, for an axis
    strengths: tuple[float, ...]
    clean: float = 0  # the strength that changes nothing


CORRUPTIONS = {
    "noise": Corruption(gaussian_noise, "Gaussian noise", "standard deviation (of 255)", (4, 8, 16, 32, 64)),
    "blur": Corruption(gaussian_blur, "Gaussian blur", "standard deviation (pixels)", (0.5, 1, 2, 4, 8)),
    "contrast": Corruption(contrast, "low contrast", "contrast divided by", (2, 5, 10, 20, 50), clean=1),
    "occlusion": Corruption(occlusion, "occlusion", "side of the covered square (pixels)", (16, 32, 48, 64, 80)),
}
