"""Standardisation of each image by its own mean and standard deviation, on the device the images are on."""

import torch
from torch import Tensor


def standardize(images: Tensor, mode: str, dtype: torch.dtype | None = None) -> Tensor:
    """``(x - mean) / max(std, 1/sqrt(n))`` of raw images (N, C, H, W), values 0..255, std with n - 1 (SPEC section 1).

    ``per_image_and_channel`` (v1): over the n = H W pixels of each channel; ``per_image`` (v2): over all n = C H W values;
    ``none``: values 0..1. ``dtype``: of the result; None: the images' own, for uint8 the default floating-point type.
    """
    images = images.to(dtype or (images.dtype if images.is_floating_point() else torch.get_default_dtype()))
    if mode == "none":
        return images / 255
    over = (2, 3) if mode == "per_image_and_channel" else (1, 2, 3)
    n = images[0].numel() // (images.shape[1] if mode == "per_image_and_channel" else 1)
    variance, mean = torch.var_mean(images, over, correction=1, keepdim=True)
    # the bound stands under the root: so the gradient of a constant image is 0, not 0 times infinity
    return (images - mean) / variance.clamp_min(1 / n).sqrt()
