"""Compute norms of the features, conserved quantities and forces in the units of a network at every time step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.energy import invariants
from pdenet_repro.analysis.jacobian import measure_layers
from pdenet_repro.analysis.result import Row
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import Flow
from pdenet_repro.analysis.trajectory import euclidean_norms, units

BATCH = 8  # images whose states at all times of a unit are in memory together


@dataclass(frozen=True)
class TimeSeries:
    """Norm and energies of features in a unit as arrays (times, images); the energies are divided by ``|K Y_0|^2 / 2``."""

    times: np.ndarray  # (times,), in time steps of the network
    feature_norm: np.ndarray  # Euclidean norm of the features over that at the start
    invariant: np.ndarray | None = None  # `invariants.invariant` of the states; None if the facts state no equation
    centred: np.ndarray | None = None  # the same with both parts of a state at one time; NaN at the last time
    energy_10: np.ndarray | None = None  # equation (10); None unless the dynamic is second-order

    def deviations(self) -> list[float]:
        """Return the largest relative deviation from the first value, of the invariant and of its centred form."""
        known = [values for values in (self.invariant, self.centred) if values is not None]
        return [float(np.nanmax(np.abs(values / values[0] - 1))) for values in known]


@dataclass(frozen=True)
class NetworkSeries:
    """The time series of each unit of one network in one setting."""

    subject: Subject
    setting: str
    units: Sequence[TimeSeries]


@torch.no_grad()
def time_series(flow: Flow, Y: Tensor, activation: str = "") -> TimeSeries:
    """Compute the time series of a unit into which features Y (N, C, H, W) enter.

    Energies are computed if the unit's ``activation`` is given, which needs a flow without norm.
    """
    parts = [_time_series(flow, some, activation) for some in Y.split(BATCH)]
    found = {name: torch.cat([part[name] for part in parts], 1).cpu().numpy() for name in parts[0]}
    return TimeSeries(np.arange(len(found["feature_norm"])) / flow.refined, **found)


def _time_series(flow: Flow, Y: Tensor, activation: str) -> dict[str, Tensor]:
    dynamic, theta = flow.dynamic, flow.thetas[0]
    states = invariants.unit_states(dynamic, Y, flow.thetas)
    norms = torch.stack([euclidean_norms(dynamic.output(state)) for state in states])
    found = {"feature_norm": norms / norms[0]}
    if activation and dynamic.facts.equation:
        bound = invariants.linear_bound(dynamic, Y, theta).clamp_min(1e-300)
        own = [invariants.invariant(dynamic, state, theta, activation) for state in states]
        found["invariant"] = torch.stack(own) / bound
        centred = [invariants.invariant(dynamic, state, theta, activation, after) for state, after in pairwise(states)]
        found["centred"] = torch.stack([*centred, torch.full_like(own[0], torch.nan)]) / bound
        if dynamic.facts.equation == "second_order":
            energies = [invariants.energy_10(dynamic, state, theta, activation) for state in states]
            found["energy_10"] = torch.stack(energies) / bound
    return found


@torch.no_grad()
def forces(subject: Subject, entering: Sequence[Tensor]) -> list[Row]:
    """Return a row for each layer: median and largest ``|F|`` for features ``entering`` the units, and its bound."""
    rows, activation = [], subject.config.network.activation
    for number, (unit, Y) in enumerate(zip(units(subject.network), entering, strict=True), start=1):
        measured = measure_layers(unit, Y, BATCH, lambda each: euclidean_norms(each.F(each.Y, each.theta)))
        for (step, layer), (force, each) in measured.items():
            rows.append(
                {**subject.columns, "unit": number, "step": step, "layer": layer, "images": len(force),
                 "force_median": float(np.median(force)), "force_max": float(force.max()),
                 "force_bound": invariants.force_bound(each.F.norm, each.theta, Y.shape[-1], activation)}
            )  # fmt: skip
    return rows
