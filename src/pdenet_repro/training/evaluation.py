"""Computes class probabilities of images and their accuracy, with a choice of the statistics that batch norms use."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch

from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.norms import BatchNorm
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.system.errors import NonFiniteNumbers
from pdenet_repro.system.seeds import stream

ESTIMATED_FROM = 1024  # the largest number of training images from which statistics are reestimated


def batch_count(images: int, batch_size: int) -> int:
    """Return the number of batches of nearly equal size, at most ``batch_size``, into which ``images`` images are divided."""
    return -(-images // batch_size)


def largest_batch(images: int, batch_size: int) -> int:
    """Return the size of the first of these batches; others may have one image less."""
    return -(-images // batch_count(images, batch_size))


@torch.no_grad()
def class_probabilities(
    network: PDENet,
    images: DeviceImages,
    batch_size: int,
    autocast: Callable[[], AbstractContextManager[None]],
    after_batch: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Return the probabilities (N, classes) of all images in evaluation mode; the network's mode is restored afterwards.

    Batches have nearly equal sizes of at most ``batch_size``, because a norm over a small last batch would be inaccurate.
    ``after_batch(done, total)`` is called with the numbers of images.

    Raises
    ------
    NonFiniteNumbers
        A probability is infinite or NaN.
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
        found = torch.cat(parts).numpy()
    finally:
        network.train(was_training)
    if wrong := int((~np.isfinite(found)).any(1).sum()):
        raise NonFiniteNumbers(
            f"the class probabilities of {wrong} of {len(images)} images are not finite, so that there is no result; choose "
            f"another network.norm, or a smaller schedule.learning_rate"
        )
    return found


def batch_norms(network: PDENet) -> list[BatchNorm]:
    """Return the batch norms of the opening layer and the connectors; the list is empty if they have other norms."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


@torch.no_grad()
def reestimate_statistics(
    network: PDENet,
    images: DeviceImages,
    batch_size: int,
    seed: int,
    autocast: Callable[[], AbstractContextManager[None]],
    prepare: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """Replace the running means and variances of the batch norms by those of the current weights.

    They are the mean and the variance of each norm's input for at most 1,024 training images, drawn with ``seed``, in
    batches of ``batch_size``, each normalised by its own statistics, as in training ("precise BatchNorm", Wu & Johnson
    2021, arXiv 2105.07576). Running statistics lag behind the weights while the learning rate is large.

    ``prepare`` converts raw images (N, 3, H, W) uint8 into the network's input; None: the network standardises them.
    """
    layers, was_training = batch_norms(network), network.training
    drawn = stream(seed, "statistics").permutation(len(images))[:ESTIMATED_FROM]
    moments = [[torch.zeros_like(layer.running_mean), torch.zeros_like(layer.running_mean)] for layer in layers]
    network.train()
    try:
        for layer in layers:
            layer.rate = 1.0  # the running statistics become those of the last batch
        for part in np.array_split(drawn, batch_count(len(drawn), batch_size)):
            with autocast():
                pixels = images.pixels[torch.from_numpy(part).to(images.pixels.device)]
                network.forward_unchecked((prepare or network.standardize)(pixels))
            for layer, (first, second) in zip(layers, moments, strict=True):
                share = len(part) / len(drawn)
                first.add_(layer.running_mean, alpha=share)
                second.add_(layer.running_variance + layer.running_mean.square(), alpha=share)
        for layer, (first, second) in zip(layers, moments, strict=True):
            layer.running_mean.copy_(first)
            layer.running_variance.copy_((second - first.square()).clamp_min(0))
    finally:
        for layer in layers:
            del layer.rate
        network.train(was_training)


@contextmanager
def using_statistics(network: PDENet, statistics: str, reestimate: Callable[[], None]) -> Iterator[None]:
    """Context in which a network's batch norms use one of `config.schema.STATISTICS` at test time; they are restored afterwards.

    ``reestimate`` is called for ``reestimated`` and sets the running statistics of the norms.
    """
    layers = batch_norms(network)
    before = [
        (layer.use_batch_statistics, layer.running_mean.clone(), layer.running_variance.clone()) for layer in layers
    ]
    try:
        for layer in layers:
            layer.use_batch_statistics = statistics == "batch"
        if statistics == "reestimated":
            reestimate()
        yield
    finally:
        for layer, (use_batch_statistics, mean, variance) in zip(layers, before, strict=True):
            layer.use_batch_statistics = use_batch_statistics
            layer.running_mean.copy_(mean)
            layer.running_variance.copy_(variance)


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the rows of (N, classes) whose largest entry is at the label (N,), from 0 to 1."""
    return float((probabilities.argmax(1) == labels).mean())
