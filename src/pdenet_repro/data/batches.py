"""Images live on the compute device as one uint8 tensor; shuffling, standardisation and augmentation happen there."""

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.config.schema import ScheduleConfig
from pdenet_repro.data.standardize import standardize
from pdenet_repro.system.seeds import stream


class DeviceImages:
    """Raw images (N, 3, H, W) uint8 and labels (N,) int64 on ``device``."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, device: torch.device) -> None:
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)

    def __len__(self) -> int:
        return len(self.labels)


class TrainingBatches:
    """Shuffled batches of an epoch; the last one is smaller, or left out, where they do not come out even.

    Order and augmentation of an epoch depend on (seed, epoch) alone.
    """

    def __init__(
        self,
        images: DeviceImages,
        schedule: ScheduleConfig,
        standardization: str,
        augmentation: str,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.images, self.batch_size, self.seed = images, schedule.batch_size, seed
        self.standardization, self.augmentation, self.dtype = standardization, augmentation, dtype
        self.steps = schedule.steps_per_epoch(len(images))

    def start_epoch(self, epoch: int) -> None:
        """Draw the order, and flips and shifts where asked for, and move them to the device in one go."""
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
        """Zero padding of the random crop, 1/16 of the side in pixels."""
        return self.images.pixels.shape[-1] // 16

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Standardised, augmented images (B, 3, H, W) and labels (B,) of step 0, 1, ... of the epoch."""
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)  # ends with the images
        chosen = self.order[part]
        images = standardize(self.images.pixels[chosen], self.standardization, self.dtype)
        if self.augmentation == "flip_crop":
            images = flip_and_crop(images, *self.draws[:, part], margin=self.margin)
        return images, self.images.labels[chosen]


def flip_and_crop(images: Tensor, flip: Tensor, down: Tensor, right: Tensor, *, margin: int) -> Tensor:
    """Mirror left-right where ``flip`` is 1, pad by ``margin`` zeros, cut out (H, W) at row ``down``, column ``right``.

    Images (N, C, H, W); the three draws (N,) integers, the last two in 0..2 margin (v2, Table 1). A zero is the mean of
    a standardised image.
    """
    n, channels, height, width = images.shape
    images = torch.where(flip.bool()[:, None, None, None], images.flip(3), images)
    padded = torch.nn.functional.pad(images, [margin] * 4)
    example = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    rows = (down[:, None] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width, device=images.device))[:, None, None, :]
    return padded[example, channel, rows, columns]
