"""Make flows of a network's units, as they are or in the setting of the theorems: no normalisation, constant weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pdenet_repro.analysis.operator_norm import euler_bound, leapfrog_bound, operator_norm
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.dynamics import Dynamic
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.norms import Norm


@dataclass(frozen=True)
class Flow:
    """A dynamic with the weights of each of its time steps, ``refined`` of which replace one step of the network."""

    dynamic: Dynamic
    thetas: Sequence[Any]
    refined: int = 1


def network_flows(subject: Subject) -> list[Flow]:
    """Return a flow for each unit with the network's own norm, step size and weights."""
    return [Flow(unit.dynamic, unit.thetas()) for unit in units(subject.network)]


def theorem_flows(subject: Subject, refined: int = 1) -> list[Flow]:
    """Return a flow for each unit without norm and bias, with the kernels of the unit's first step at all times.

    Each time step of the network is divided into ``refined`` steps, or into more if those exceed ``2 / ||K||^2`` (Theorem 1)
    or, for leapfrog, ``2 / ||K||``. Symplectic Euler is stable up to the former at least.
    """
    network, flows = subject.config.network, []
    for i, unit in enumerate(units(subject.network)):
        first = unit.thetas()[0]
        theta = tuple(
            layer._replace(scale=torch.ones_like(layer.scale), shift=torch.zeros_like(layer.shift)) for layer in first
        )
        kernels = [K for layer in theta for name, K in layer._asdict().items() if is_kernel(name)]
        largest = max(operator_norm(K, IMAGE_SIDE >> i, tolerance=1e-3)[0] for K in kernels)
        bound = euler_bound(largest)
        if unit.dynamic.facts.equation == "second_order":
            bound = min(bound, leapfrog_bound(largest))
        finer = max(refined, math.ceil(network.step_size / bound))
        dynamic = type(unit.dynamic)(network.step_size / finer, Norm("none"), network.activation)
        flows.append(Flow(dynamic, [theta] * (network.steps * finer), finer))
    return flows
