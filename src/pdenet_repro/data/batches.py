"""Makes training batches. All images stay on the compute device as one uint8 tensor, and are shuffled and augmented there."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.config.schema import ScheduleConfig
from pdenet_repro.system.seeds import stream


class DeviceImages:
    """Raw images (N, 3, H, W) uint8 and labels (N,) int64 on ``device``."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, device: torch.device) -> None:
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)

    def __len__(self) -> int:
        return len(self.labels)


class TrainingBatches:
    """The shuffled batches of each epoch; if the images do not divide evenly, the last one is smaller or left out.

    The order and the augmentation of an epoch depend on (seed, epoch) alone. ``standardize`` converts raw pixels to
    standardised images.
    """

    def __init__(
        self,
        images: DeviceImages,
        schedule: ScheduleConfig,
        standardize: Callable[[Tensor], Tensor],
        augmentation: str,
        seed: int,
    ) -> None:
        self.images, self.batch_size, self.seed = images, schedule.batch_size, seed
        self.standardize, self.augmentation = standardize, augmentation
        self.steps = schedule.steps_per_epoch(len(images))

    def start_epoch(self, epoch: int) -> None:
        """Draw the order of the images and, if they are augmented, their flips and shifts, and move them to the device."""
        device, n = self.images.labels.device, len(self.images)
        self.order = torch.from_numpy(stream(self.seed, "order", epoch).permutation(n)).to(device)
        if self.augmentation == "flip_crop":
            random, margin = stream(self.seed, "augmentation", epoch), self.margin
            draws = [
                random.randint(0, 2, n),
                random.randint(0, 2 * margin + 1, n),
                random.randint(0, 2 * margin + 1, n),
            ]
            self.draws = torch.from_numpy(np.stack(draws)).to(device)

    @property
    def margin(self) -> int:
        """The zero padding of the random crop in pixels, 1/16 of the side."""
        return self.images.pixels.shape[-1] // 16

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the standardised, augmented images (B, 3, H, W) and the labels (B,) of step 0, 1, ... of the epoch."""
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)  # may end beyond the last image
        indices = self.order[part]
        images = self.standardize(self.images.pixels[indices])
        if self.augmentation == "flip_crop":
            images = flip_and_crop(images, *self.draws[:, part], margin=self.margin)
        return images, self.images.labels[indices]


def flip_and_crop(images: Tensor, flip: Tensor, down: Tensor, right: Tensor, *, margin: int) -> Tensor:
    """Mirror left-right where ``flip`` is 1, pad by ``margin`` zeros, cut out (H, W) at row ``down``, column ``right``.

    ``images``: (N, C, H, W); ``flip``, ``down``, ``right``: integers (N,), the last two in 0..2 margin (v2, Table 1). Zero is
    the mean of a standardised image.
    """
    n, channels, height, width = images.shape
    images = torch.where(flip.bool()[:, None, None, None], images.flip(3), images)
    padded = torch.nn.functional.pad(images, [margin] * 4)
    example = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    rows = (down[:, None] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width, device=images.device))[:, None, None, :]
    return padded[example, channel, rows, columns]
