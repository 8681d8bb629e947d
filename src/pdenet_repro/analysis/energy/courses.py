"""Norms of the features, conserved quantities and forces in the units of a network, as functions of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.energy import invariants
from pdenet_repro.analysis.jacobian import evaluations
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import Flow
from pdenet_repro.analysis.trajectory import euclidean_norms, units
from pdenet_repro.networks.dynamics import SecondOrder

FEW = 8  # images whose states at all times of a unit are stored at a time


@dataclass(frozen=True)
class Course:
    """Norm and energies of features in a unit, arrays (times, images); energies are divided by ``|K Y_0|^2 / 2``."""

    times: np.ndarray  # (times,), in time steps of the network
    norm: np.ndarray  # of the features, divided by that at the start
    invariant: np.ndarray | None = None  # `invariants.invariant` at a state; None for a dynamic without one
    centred: np.ndarray | None = None  # the same with all parts of a state at one time; NaN at the last time
    energy_10: np.ndarray | None = None  # equation (10); None unless the dynamic is second-order

    def deviation(self, *, centred: bool) -> float:
        """Largest difference of the invariant from its first value, relative to that."""
        values = self.centred if centred else self.invariant
        assert values is not None
        return float(np.nanmax(np.abs(values / values[0] - 1)))


@dataclass(frozen=True)
class Measured:
    """The courses of one network in one setting, one for each unit."""

    subject: Subject
    setting: str
    units: Sequence[Course]


@torch.no_grad()
def course(flow: Flow, Y: Tensor, activation: str = "", *, energies: bool = False) -> Course:
    """The course of features Y (N, C, H, W) in a unit. ``energies``: compute them too, which needs a flow without norm."""
    parts = [_course(flow, some, activation, energies=energies) for some in Y.split(FEW)]
    columns = [None if each[0] is None else torch.cat(each, 1).cpu().numpy() for each in zip(*parts, strict=True)]
    norm, *others = columns
    assert norm is not None
    return Course(np.arange(len(norm)) / flow.refined, norm, *others)


def _course(flow: Flow, Y: Tensor, activation: str, *, energies: bool) -> list[Tensor | None]:
    dynamic, theta = flow.dynamic, flow.thetas[0]
    states = invariants.states(dynamic, Y, flow.thetas)
    norm = torch.stack([euclidean_norms(dynamic.output(state)) for state in states])
    found: list[Tensor | None] = [norm / norm[0], None, None, None]
    if energies and invariants.has_invariant(dynamic):
        bound = invariants.linear_bound(dynamic, Y, theta).clamp_min(1e-300)
        own = [invariants.invariant(dynamic, state, theta, activation) for state in states]
        centred = [
            invariants.invariant(dynamic, state, theta, activation, after)
            for state, after in zip(states, states[1:], strict=False)
        ]
        found[1] = torch.stack(own) / bound
        found[2] = torch.stack([*centred, torch.full_like(own[0], torch.nan)]) / bound
        if isinstance(dynamic, SecondOrder):
            found[3] = (
                torch.stack([invariants.energy_10(dynamic, state, theta, activation) for state in states]) / bound
            )
    return found


def forces(subject: Subject, entering: Sequence[Tensor]) -> list[dict[str, Any]]:
    """For each layer median and largest ``|F|`` at the features ``entering`` the units, and the bound that the norm gives."""
    rows, config = [], subject.config.network
    for number, (unit, Y) in enumerate(zip(units(subject.network), entering, strict=True), start=1):
        found: dict[tuple[int, int], list[Tensor]] = {}
        bounds: dict[tuple[int, int], float] = {}
        for some in Y.split(FEW):
            for step, layers in enumerate(evaluations(unit, some), start=1):
                for layer, each in enumerate(layers, start=1):
                    if not found.get((step, layer)):
                        bounds[step, layer] = invariants.force_bound(
                            each.F.norm, each.theta, Y.shape[-1], config.activation
                        )
                    with torch.no_grad():
                        found.setdefault((step, layer), []).append(euclidean_norms(each.F(each.Y, each.theta)))
        for (step, layer), values in found.items():
            force = torch.cat(values).cpu().numpy()
            rows.append(
                {"network": subject.name, "dynamic": subject.dynamic, "unit": number, "step": step, "layer": layer,
                 "images": len(force), "force_median": float(np.median(force)), "force_max": float(force.max()),
                 "force_bound": bounds[step, layer]}
            )  # fmt: skip
    return rows
