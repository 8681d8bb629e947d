"""What a network makes of images: class probabilities, accuracy, confusion matrix."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch

from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.pdenet import PDENet


def batch_count(images: int, batch_size: int) -> int:
    """Into how many batches of nearly equal size, at most ``batch_size``, so many images are cut."""
    return -(-images // batch_size)


def largest_batch(images: int, batch_size: int) -> int:
    """The size of the first of these batches; others may have one image less."""
    return -(-images // batch_count(images, batch_size))


@torch.no_grad()
def class_probabilities(
    network: PDENet,
    images: DeviceImages,
    batch_size: int,
    autocast: Callable[[], AbstractContextManager[None]],
    after_batch: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Probabilities (N, classes) float32 of all images, the network in evaluation mode and put back afterwards.

    Batches are of nearly equal size, at most ``batch_size`` (a norm over the batch wants no small last one).
    ``after_batch`` is told how many images are done, of how many.
    """
    was_training = network.training
    network.eval()
    try:
        parts, done = [], 0
        for pixels in images.pixels.tensor_split(batch_count(len(images), batch_size)):
            with autocast():
                parts.append(network.probabilities(pixels).cpu())
            done += len(pixels)
            after_batch(done, len(images))
        return torch.cat(parts).numpy()
    finally:
        network.train(was_training)


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows of (N, classes) whose largest entry is at the label (N,)."""
    return float((probabilities.argmax(1) == labels).mean())


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (classes, classes): entry (i, j) images of class i predicted as j (Figure 3)."""
    classes = probabilities.shape[1]
    return np.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)
