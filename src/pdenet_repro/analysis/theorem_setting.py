"""The units of a network as they are, and in the setting of the paper's theorems: no norm, weights constant in time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pdenet_repro.analysis.operator_norm import euler_bound, leapfrog_bound, operator_norm
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.dynamics import Dynamic, SecondOrder
from pdenet_repro.networks.norms import Norm


@dataclass(frozen=True)
class Flow:
    """A dynamic with the weights of all its steps, ``refined`` of which make one of the network's."""

    dynamic: Dynamic
    thetas: Sequence[Any]
    refined: int = 1


def as_they_are(subject: Subject) -> list[Flow]:
    """The units' own layers and weights."""
    return [Flow(unit.dynamic, unit.thetas()) for unit in units(subject.network)]


def in_theory(subject: Subject, refined: int = 1) -> list[Flow]:
    """No norm, no bias, the kernels of the first step throughout.

    A time step is divided into ``refined`` ones, or as many as keep to the bound ``2 / ||K||^2`` (Theorem 1; that
    of symplectic Euler is no smaller), and to ``2 / ||K||`` for leapfrog.
    """
    network, flows = subject.config.network, []
    for i, unit in enumerate(units(subject.network)):
        first = unit.thetas()[0]
        theta = tuple(
            layer._replace(scale=torch.ones_like(layer.scale), shift=torch.zeros_like(layer.shift)) for layer in first
        )
        kernels = [K for layer in theta for name, K in layer._asdict().items() if name.startswith("kernel")]
        largest = max(operator_norm(K, IMAGE_SIDE >> i, tolerance=1e-3)[0] for K in kernels)
        bound = euler_bound(largest)
        if isinstance(unit.dynamic, SecondOrder):
            bound = min(bound, leapfrog_bound(largest))
        finer = max(refined, math.ceil(network.step_size / bound))
        dynamic = type(unit.dynamic)(network.step_size / finer, Norm("none"), network.activation)
        flows.append(Flow(dynamic, [theta] * (network.steps * finer), finer))
    return flows
