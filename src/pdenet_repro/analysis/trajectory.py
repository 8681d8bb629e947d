"""Compute the features of images at every time step of a network, in batches that fit the memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig
from pdenet_repro.networks.build import build_network
from pdenet_repro.networks.dynamics import State
from pdenet_repro.networks.norms import BatchNorm
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system import device
from pdenet_repro.system.errors import OutOfMemory

MAX_BATCH = 32  # largest number of images that are computed together


@dataclass(frozen=True)
class Place:
    """A place in a network at which features are measured: after ``step`` time steps of ``unit`` (1, 2, ...).

    The standardised images are the place of unit 0, the means over the pixels that of the last unit + 1; only these two have a
    ``name``, ``images`` or ``pixel means``. Opening and connectors lie between places of different units.
    """

    unit: int
    step: int
    name: str = ""

    @property
    def in_unit(self) -> bool:
        """Whether the place is in a unit, where the network discretises a differential equation."""
        return not self.name


IMAGES = Place(0, 0, "images")


def places(*networks: NetworkConfig) -> list[Place]:
    """Return all places of a network in order: images, the times 0 to ``steps`` of each unit, pixel means.

    For several networks these are the places of one with the largest number of units and of steps among them.
    """
    count, steps = max(len(each.widths) for each in networks), max(each.steps for each in networks)
    inside = [Place(unit, step) for unit in range(1, count + 1) for step in range(steps + 1)]
    return [IMAGES, *inside, Place(count + 1, 0, "pixel means")]


def units(network: PDENet) -> list[Unit]:
    """Return the units of a network, first to last."""
    return list(network.units)  # type: ignore[arg-type]


def states(network: PDENet, images: Tensor) -> Iterator[tuple[Place, State]]:
    """Yield every place of a network with the state of standardised images (N, 3, H, W) there.

    The last state is the classifier's input (N, channels). The arithmetic is that of `PDENet.pixel_means`.
    """
    yield IMAGES, (images,)
    Y = network.opening(images)
    for number, (unit, connector) in enumerate(zip(units(network), network.connectors, strict=True), start=1):
        for step, state in enumerate(unit.trajectory(Y)):
            yield Place(number, step), state
        Y = connector(unit.dynamic.output(state))
        if number < len(network.units):
            Y = F.avg_pool2d(Y, 2)
    yield Place(len(network.units) + 1, 0, "pixel means"), (Y.mean((2, 3)),)


def state_features(network: PDENet, place: Place, state: State) -> Tensor:
    """Return the features (N, ...) of a state: both halves (Hamiltonian), those at the later of two times (second-order)."""
    return units(network)[place.unit - 1].dynamic.output(state) if place.in_unit else state[0]


@torch.no_grad()
def entering_features(subject: Subject, images: int, seed: int) -> list[Tensor]:
    """Compute the features of random test images that enter each unit: an array (images, C, H, W) for each unit.

    Raises
    ------
    OutOfMemory
        The features would take more than half of the free memory.
    """
    pixels, _ = subject.test_images(images, seed)
    one = 4 * sum(_numbers(subject.config.network))
    free = device.available_memory(pixels.device)
    if images * one > free / 2:
        raise OutOfMemory(
            f"--images {images}: the features that enter the units of {subject.name} would take {images * one / 2**20:,.0f} "
            f"MiB, and {free / 2**20:,.0f} MiB are free on {pixels.device}; must be at most {int(free / 2 / one)}"
        )
    parts: list[list[Tensor]] = []
    for part in batch_slices(subject, images):
        trajectory = states(subject.network, subject.network.standardize(pixels[part]))
        starts = (each for each in trajectory if each[0].in_unit and each[0].step == 0)
        parts.append([state_features(subject.network, *start) for start in starts])
    return [torch.cat(of_unit) for of_unit in zip(*parts, strict=True)]


@torch.no_grad()
def set_initial_statistics(subject: Subject, seed: int) -> None:
    """Give the batch norms of a network at initial weights the statistics of at most ``MAX_BATCH`` random test images.

    Initial running statistics are 0 and 1, with which the features would shrink from unit to unit, unlike in training, which
    uses the statistics of each batch. A trained network is not changed.
    """
    batch_norms = [module for module in subject.network.modules() if isinstance(module, BatchNorm)]
    if subject.folder is None and batch_norms:
        pixels, _ = subject.test_images(min(MAX_BATCH, len(subject.dataset.test.labels)), seed)
        subject.network.train()
        for module in batch_norms:
            module.rate = 1.0
        subject.network(pixels[batch_slices(subject, len(pixels))[0]])
        subject.network.eval()


def at_initial_weights(subject: Subject, seed: int) -> Subject:
    """Return the network of a finished run at its initial weights, after `set_initial_statistics`."""
    initial = replace(subject, network=build_network(subject.config).eval().to(subject.device), folder=None)
    set_initial_statistics(initial, seed)
    return initial


def _numbers(network: NetworkConfig) -> list[int]:
    """Return for each unit the number of values in one image's features."""
    return [width * (IMAGE_SIDE >> i) ** 2 for i, width in enumerate(network.widths)]


def batch_slices(subject: Subject, images: int, solutions: int = 1) -> list[slice]:
    """Divide ``images`` into slices of nearly equal size that fit the memory and have at most ``MAX_BATCH`` images.

    ``solutions`` is the number of solutions that are computed together for each image.

    Raises
    ------
    OutOfMemory
        The memory does not suffice for one image.
    """
    network = subject.config.network
    # eight times the float32 features of one image: the two parts of a state, and what a layer computes in between
    one = 8 * 4 * max(_numbers(network)) * solutions
    free = device.available_memory(subject.device)
    at_once = min(MAX_BATCH, int(free / 2 / one))
    if at_once < 1:
        raise OutOfMemory(
            f"{subject.name}: one image takes about {one / 2**20:,.0f} MiB at network.widths={network.widths}, and "
            f"{free / 2**20:,.0f} MiB are free on {subject.device}; it may take at most half of them"
        )
    edges = np.linspace(0, images, -(-images // at_once) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]


def euclidean_norms(Y: Tensor) -> Tensor:
    """Return the Euclidean norm of each example of (N, ...) over all but the first axis: (N,) float64."""
    lengths: Tensor = torch.linalg.vector_norm(Y.flatten(1), dim=1, dtype=torch.float64)
    return lengths


def state_norms(state: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of each example over all parts of a state: (N,) float64."""
    return torch.stack([euclidean_norms(part) for part in state]).square().sum(0).sqrt()
