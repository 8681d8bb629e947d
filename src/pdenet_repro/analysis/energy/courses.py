"""What becomes of features in the units of a network: norms and energies at every time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.energy import wave
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import Flow
from pdenet_repro.analysis.trajectory import euclidean_norms
from pdenet_repro.networks.dynamics import SecondOrder

FEW = 8  # images whose states along a unit are kept together, and images in the theorems' setting, at most


@dataclass(frozen=True)
class Course:
    """What becomes of features in a unit: arrays (times, images)."""

    times: np.ndarray  # (times,) in time steps of the network
    norm: np.ndarray  # of the features, over that at the start
    energy: np.ndarray | None  # (10) over the linear wave's energy at the start; second-order only
    kinetic: np.ndarray | None  # the part of it in motion
    linear: np.ndarray | None  # the linear wave's energy, over that at the start


@dataclass(frozen=True)
class Measured:
    """One network in one setting: a course for each unit."""

    name: str  # of the network; that of the trained one also where its initial weights are followed
    subject: Subject
    setting: str
    units: Sequence[Course]


@torch.no_grad()
def course(flow: Flow, Y: Tensor) -> Course:
    """From features (N, C, H, W), before the first and after every time step."""
    parts = [_course(flow, some) for some in Y.split(FEW)]
    joined = [None if each[0] is None else torch.cat(each, 1).cpu().numpy() for each in zip(*parts, strict=True)]
    norm, *energies = joined
    assert norm is not None
    return Course(np.arange(len(norm)) / flow.refined, norm, *energies)


def _course(flow: Flow, Y: Tensor) -> "tuple[Tensor | None, ...]":
    dynamic, found, own = flow.dynamic, [], []
    for state, theta in wave.path(dynamic, Y, flow.thetas):
        found.append(euclidean_norms(dynamic.features(state)))
        if isinstance(dynamic, SecondOrder):
            own.append(wave.energy(dynamic, state, theta))
    relative = torch.stack(found) / found[0]
    if not own:
        return relative, None, None, None
    linear = torch.stack([each.total for each in wave.linear_energies(dynamic.h, Y, flow.thetas)])
    total, kinetic = (torch.stack(each) / linear[0] for each in zip(*((e.total, e.kinetic) for e in own), strict=True))
    return relative, total, kinetic, linear / linear[0]
