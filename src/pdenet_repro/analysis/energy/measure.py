"""Kind ``energy``: measure norms of features, conserved or decreasing quantities, and forces (outputs of layers).

Test images are propagated through the networks as they are, and through their units in the setting of the paper's theorems
(`theorem_setting`): no norm, no bias, the kernels of each unit's first step at every time, and small time steps.
"""

import argparse
from collections.abc import Sequence

import numpy as np

from pdenet_repro.analysis.energy import figures
from pdenet_repro.analysis.energy.invariants import observed_order
from pdenet_repro.analysis.energy.time_series import NetworkSeries, TimeSeries, forces, time_series
from pdenet_repro.analysis.result import HIGH, LOW, Picture, Result, Row, joined, quantiles, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import network_flows, theorem_flows
from pdenet_repro.analysis.trajectory import entering_features, units
from pdenet_repro.system.console import progress

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 16
AS_IT_IS, THEOREM = "with norm, as it is", "no norm, constant weights"
REFINED = 8  # at least so many steps replace one in the theorems' setting, to come close to continuous time


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure every network as it is and in the setting of the theorems."""
    found, orders, rows = [], [], []
    for subject in progress(subjects, "norms and energies of the features"):
        entering, activation = entering_features(subject, given.images, given.seed), subject.config.network.activation
        found.append(NetworkSeries(subject, AS_IT_IS, list(map(time_series, network_flows(subject), entering))))
        flows = theorem_flows(subject, REFINED)
        finer = theorem_flows(subject, 2 * max(flow.refined for flow in flows))
        theory, again = (
            [time_series(f, Y, activation) for f, Y in zip(each, entering, strict=True)] for each in (flows, finer)
        )
        found.append(NetworkSeries(subject, THEOREM, theory))
        ratios = [fine.refined / coarse.refined for coarse, fine in zip(flows, finer, strict=True)]
        orders.append(_orders(theory, again, ratios))
        rows += forces(subject, entering)
    result = Result(sentences=_sentences(found, orders) + _force_sentences(rows))
    result.tables = {"energy": [row for each in found for row in _rows(each)], "energy_force": rows}
    result.pictures["energy"] = Picture(
        figures.of_norms(found),
        "Norms of the features",
        f"Euclidean norm of the features over that at the start of the unit, median over {given.images} test images, bands "
        f"from {LOW} to {HIGH} %. Above: networks as they are, in evaluation mode (at initial weights the "
        "batch norms have the statistics of some images). Below: the kernels of each unit's first step at every time, no norm, "
        "no bias, the time steps refined: the parabolic flow decreases the norm; the hyperbolic flows need not conserve it.",
    )
    with_invariant = [each for each in found if each.setting == THEOREM and each.units[0].invariant is not None]
    if with_invariant:
        result.pictures["energy_conserved"] = Picture(
            figures.of_invariants(with_invariant),
            "Conserved and decreasing quantities",
            "No norm, no bias, the kernels of each unit's first step, refined time steps: φ(Y) = Σ S(K Y), which the parabolic "
            "flow decreases, and H (Σ S(K₁Z) + Σ S(K₂Y), or ½‖Y'‖² + Σ S(K Y)), which the hyperbolic flows conserve, S' = σ; "
            f"over its bound ½‖K Y₀‖² (Hamiltonian: of both halves). Medians over {given.images} test images, bands from "
            f"{LOW} to {HIGH} %. The schemes hold the two parts of a state at times half a step apart; taken at one time, H is "
            "constant to second order.",
        )
    if any(row["force_bound"] < np.inf for row in rows):
        result.pictures["energy_force"] = Picture(
            figures.of_forces(rows),
            "Forces and their bound",
            "Norm of a layer's output at test images, over the bound that its normalisation gives for every image: median (mark) "
            "and largest (line). With this bound features grow at most linearly in time under the first-order equations, at most "
            "quadratically under (8).",
        )
    return result


def _orders(coarse: Sequence[TimeSeries], fine: Sequence[TimeSeries], ratios: Sequence[float]) -> list[float]:
    """Return the observed orders in h of the deviations of the invariant and of its centred form (medians of the units)."""
    orders = [
        [observed_order(*pair, ratio) for pair in zip(a.deviations(), b.deviations(), strict=True)]
        for a, b, ratio in zip(coarse, fine, ratios, strict=True)
    ]
    return [float(np.median(of_units)) for of_units in zip(*orders, strict=True)]


def _rows(found: NetworkSeries) -> list[Row]:
    rows = []
    for unit, of_unit in enumerate(found.units, start=1):
        series = {"invariant": of_unit.invariant, "centred_invariant": of_unit.centred, "energy_10": of_unit.energy_10}
        for i, time in enumerate(of_unit.times):
            row = {**found.subject.columns, "setting": found.setting, "unit": unit, "time_in_steps": float(time),
                   "images": of_unit.feature_norm.shape[1]}  # fmt: skip
            row |= quantiles("norm_over_unit_start", of_unit.feature_norm[i])
            for name, values in series.items():
                known = values is not None and not np.isnan(values[i]).any()
                row |= quantiles(f"{name}_over_linear_bound", values[i] if values is not None and known else None)
            rows.append(row)
    return rows


def _sentences(found: Sequence[NetworkSeries], orders: Sequence[Sequence[float]]) -> list[str]:
    sentences = []
    for setting in (AS_IT_IS, THEOREM):
        factors = [
            f"{each.subject.name} {joined((np.median(unit.feature_norm[-1]) for unit in each.units), '.2f')}"
            for each in found
            if each.setting == setting
        ]
        sentences.append(f"{setting}: the units multiply the norm of the features (medians) by {'; '.join(factors)}.")
    without = []
    for each, order in zip((each for each in found if each.setting == THEOREM), orders, strict=True):
        equation = units(each.subject.network)[0].dynamic.facts.equation
        if equation is None:
            without.append(each.subject.name)
            continue
        about = f"{each.subject.name}, {THEOREM}:"
        invariant, centred, energy_10 = (
            [getattr(unit, name) for unit in each.units] for name in ("invariant", "centred", "energy_10")
        )
        if equation == "parabolic":
            worst = max(float((phi[1:] / phi[:-1]).max()) for phi in invariant)
            left = joined((np.median(phi[-1] / phi[0]) for phi in invariant), ".3f")
            sentences.append(
                f"{about} phi(Y) falls to {left} of its initial value in the units (medians); the largest ratio of two "
                f"successive values is {worst:.6f}."
            )
            continue
        start = joined((np.median(H[0]) for H in centred), ".2f")
        own, both = (max(of_units) for of_units in zip(*(unit.deviations() for unit in each.units), strict=True))
        sentences.append(
            f"{about} H is {start} times its linear bound (medians of the units) and differs from its start by at most {own:.1e} "
            f"at the scheme's states, by {both:.1e} with both parts at one time; observed orders in h (medians) {order[0]:.2f} "
            f"and {order[1]:.2f}."
        )
        if energy_10[0] is not None:
            largest = max(float(E.max()) for E in energy_10)
            sentences.append(f"{about} energy (10) is at most {largest:.3f} times the linear bound.")
    if without:
        sentences.append(
            f"phi(Y) and H are not measured for {'; '.join(without)}, because the facts state no equation (facts.equation)."
        )
    return sentences


def _force_sentences(rows: Sequence[Row]) -> list[str]:
    sentences = []
    bounded = [row for row in rows if row["force_bound"] < np.inf]
    for name in dict.fromkeys(row["network"] for row in bounded):
        ratios = [row["force_max"] / row["force_bound"] for row in where(bounded, network=name)]
        sentences.append(
            f"{name}: |F| reaches {min(ratios):.0%} to {max(ratios):.0%} of the bound that its norm gives."
        )
    return sentences
