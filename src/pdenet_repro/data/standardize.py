"""Standardises each image by its own mean and standard deviation, on the device that holds the images."""

import torch
from torch import Tensor


def standardize(images: Tensor, mode: str) -> Tensor:
    """Return ``(x - mean) / max(std, 1/sqrt(n))`` of raw images (N, C, H, W), values 0..255 (docs/spec.md, section 1).

    ``mode`` says over what: ``per_image_and_channel`` (v1), over the n = H W pixels of each channel; ``per_image`` (v2), over
    all n = C H W values; ``none``: the values are divided by 255 instead. ``std`` is computed with n - 1. uint8 becomes the
    default floating-point type; a floating-point image keeps its type.
    """
    images = images if images.is_floating_point() else images.to(torch.get_default_dtype())
    if mode == "none":
        return images / 255
    over = (2, 3) if mode == "per_image_and_channel" else (1, 2, 3)
    n = images[0].numel() // (images.shape[1] if mode == "per_image_and_channel" else 1)
    variance, mean = torch.var_mean(images, over, correction=1, keepdim=True)
    # the bound is applied under the root, so that the gradient of a constant image is 0 and not 0 times infinity
    return (images - mean) / variance.clamp_min(1 / n).sqrt()
