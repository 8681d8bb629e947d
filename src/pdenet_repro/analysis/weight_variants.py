"""Change a network without training it (finer time steps, kernels averaged over time) and measure its accuracy."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pdenet_repro.analysis.result import Row
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.dynamics import Dynamic, SecondOrder, State
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.unit import Unit
from pdenet_repro.report.statistics import exact_interval, mcnemar
from pdenet_repro.system.device import autocast
from pdenet_repro.training.evaluation import batch_count, batch_norms, reestimate_statistics

STATISTICS_IMAGES = 128  # training images for new statistics of batch norms
BATCH = 25  # test images that are computed together


def refined(network: PDENet, times: int, only: int | None = None) -> PDENet:
    """Return a copy in which ``times`` steps of size ``h / times`` with the same weights replace each time step.

    With ``only``, the index of a unit from 0, the other units stay as they are. The equation stays the same, its initial velocity
    included, if the dynamic has one (`Dynamic.resized`).
    """

    def repeat(theta: Tensor) -> Tensor:
        return theta.repeat_interleave(times, dim=0)

    return _changed(network, repeat, times, slice(None) if only is None else slice(only, only + 1))


def refined_steps(network: PDENet, times: int, which: slice) -> PDENet:
    """Return a copy in which ``times`` steps of size ``h / times`` replace each of the time steps ``which`` of every unit.

    The other steps keep their size. Where the size changes, `Dynamic.resized` changes the state: that of leapfrog (8) holds
    features at two times, and the earlier ones are moved so that the velocity stays. Each step of leapfrog changes the velocity
    by the force times its own size. Only for units for which `can_change_step_size`.
    """
    network = copy.deepcopy(network)
    for index, unit in enumerate(units(network)):
        network.units[index] = _PartlyRefined(unit, times, which)
    return network


@torch.no_grad()
def can_change_step_size(unit: Unit) -> bool:
    """Return whether it is known how the unit's state depends on the step size."""
    channels = sum(next(layer.parameters()).shape[1] for layer in unit.theta)
    state = unit.start(next(unit.parameters()).new_zeros(1, channels, 1, 1))
    return len(state) == 1 or type(unit.dynamic).resized is not Dynamic.resized


class _PartlyRefined(nn.Module):
    """A unit that `refined_steps` describes; for predictions only."""

    def __init__(self, unit: Unit, times: int, which: slice) -> None:
        super().__init__()
        self.unit, self.times, self.which = unit, times, which
        self.finer = copy.copy(unit.dynamic)
        self.finer.h /= times

    def forward(self, Y: Tensor) -> Tensor:
        state, h = self.unit.start(Y), self.unit.dynamic.h
        thetas = self.unit.thetas()
        refined_here = range(len(thetas))[self.which]
        for j, theta in enumerate(thetas):
            dynamic, times = (self.finer, self.times) if j in refined_here else (self.unit.dynamic, 1)
            if dynamic.h != h:
                state, h = dynamic.resized(state, h), dynamic.h
            for _ in range(times):
                state = dynamic.step(state, theta)
        return self.unit.dynamic.output(state)


def refined_centred(network: PDENet, times: int) -> PDENet:
    """Return a copy refined as in `refined`, whose units end ``(1 - 1 / times) h / 2`` later, with free motion at the end.

    Leapfrog (8) from rest is a kick by the force at each of the times 0, h, ... and free motion between and after them. The
    ``times`` kicks that replace one come at its time and after it, on average ``(1 - 1 / times) h / 2`` late. With the later
    end they act on average as long as the kick that they replace. The output is ``Y + (times - 1) / 2 (Y - Y_previous)`` of
    the refined unit's last state.

    Raises
    ------
    TypeError
        The network has another dynamic than (8), or does not start from rest.
    """
    network = refined(network, times)
    for unit in units(network):
        if not is_leapfrog_from_rest(unit.dynamic):
            raise TypeError(f"{type(unit.dynamic).__name__}: must be SecondOrder, which starts from rest")
        unit.dynamic.output = partial(_continued, (times - 1) / 2)  # type: ignore[method-assign]
    return network


def is_leapfrog_from_rest(dynamic: Dynamic) -> bool:
    """Return whether the dynamic is leapfrog (8) with ``Y_{-1} = Y_0``."""
    return type(dynamic) is SecondOrder


def _continued(steps: float, state: State) -> Tensor:
    Y, Y_previous = state
    return Y + steps * (Y - Y_previous)


def averaged_in_time(network: PDENet) -> PDENet:
    """Return a copy in which every kernel of a unit is its mean over the time steps; scales and shifts stay."""

    def mean(theta: Tensor) -> Tensor:
        return theta.mean(0, keepdim=True).expand_as(theta).clone() if theta.ndim == 5 else theta

    return _changed(network, mean)


def _start(original: Dynamic, finer: Dynamic, Y: Tensor) -> State:
    return finer.resized(original.start(Y), original.h)


@torch.no_grad()
def _changed(network: PDENet, change: Callable[[Tensor], Tensor], times: int = 1, which: slice = slice(None)) -> PDENet:
    network = copy.deepcopy(network)
    for unit in units(network)[which]:
        dynamic = copy.copy(unit.dynamic)
        if times > 1:
            dynamic.h /= times
            dynamic.start = partial(_start, unit.dynamic, dynamic)  # type: ignore[method-assign]
        unit.dynamic, unit.steps = dynamic, unit.steps * times
        unit.step, unit.adjoint_step = dynamic.step, dynamic.adjoint_step
        for layer in unit.theta:
            for name, parameter in list(layer.named_parameters()):
                setattr(layer, name, nn.Parameter(change(parameter)))
    return network


def renew_statistics(
    subject: Subject, network: PDENet, images: int, seed: int, prepare: Callable[[Tensor], Tensor] | None = None
) -> None:
    """Recompute the running statistics of a changed network's batch norms on ``images`` random training images.

    ``prepare`` turns raw images (N, 3, H, W) uint8 into input of the network; None stands for its standardisation. A network
    without batch norms is not changed.
    """
    if not batch_norms(network):
        return
    train = subject.dataset.train
    chosen = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(seed))[:images].numpy()
    pixels = DeviceImages(train.pixels[chosen], train.labels[chosen], subject.device)
    context = autocast(subject.device, subject.config.precision)
    reestimate_statistics(network, pixels, min(images, 32), seed, context, prepare)


@torch.no_grad()
def predictions(
    subject: Subject, network: PDENet, images: Tensor, batch: int, prepare: Callable[[Tensor], Tensor] | None = None
) -> np.ndarray:
    """Predict the classes (N,) of raw images (N, 3, H, W) uint8, in the precision of the subject's training.

    ``prepare`` is as in `renew_statistics`. The images are divided into nearly equal batches of at most ``batch``.
    """
    context = autocast(images.device, subject.config.precision)
    found = []
    for part in images.tensor_split(batch_count(len(images), batch)):
        with context():
            found.append(network.forward_unchecked((prepare or network.standardize)(part)).argmax(1))
    return torch.cat(found).cpu().numpy()


def accuracy_columns(right: np.ndarray) -> Row:
    """Return columns of a table: test accuracy with its exact 95 % interval; ``right`` (images,) marks correct predictions."""
    share = float(right.mean())
    low, high = exact_interval(share, len(right))
    return {"test_images": len(right), "test_accuracy": share, "low_95": low, "high_95": high}


def comparison_columns(original: np.ndarray, changed: np.ndarray) -> Row:
    """Return `accuracy_columns` of a changed network with McNemar's test against the original; (images,) bool each."""
    lost, gained, p = mcnemar(original, changed)
    return accuracy_columns(changed) | {"right_only_as_trained": lost, "right_only_changed": gained, "mcnemar_p": p}


def variant_accuracies(
    subject: Subject, column: str, variants: Iterable[tuple[Any, Callable[[PDENet], PDENet], str]], images: int, seed: int
) -> list[Row]:  # fmt: skip
    """Compare changed copies of a network with it on random test images; return a row of a table for each copy.

    ``variants`` are triples: the name of the copy for the table's ``column``, the function that makes it from the network, and
    the statistics of its batch norms, ``as trained`` or ``renewed``.
    """
    pixels, labels = subject.test_images(images, seed)
    truth, rows = labels.cpu().numpy(), []
    original = predictions(subject, subject.network, pixels, BATCH) == truth
    for name, change, statistics in variants:
        network = change(subject.network)
        if statistics == "renewed":
            renew_statistics(subject, network, STATISTICS_IMAGES, seed)
        right = predictions(subject, network, pixels, BATCH) == truth
        rows.append({**subject.columns, column: name, "statistics": statistics} | comparison_columns(original, right))
    return rows
