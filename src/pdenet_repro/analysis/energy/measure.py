"""Kind ``energy``: norms of the features, quantities that the equations conserve or decrease, and forces with their bounds.

Test images are propagated through the networks as they are, and through their units in the setting of the paper's theorems: no
norm, no bias, the kernels of each unit's first step at every time, and time steps that are small enough (`theorem_setting`).
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.energy import figures
from pdenet_repro.analysis.energy.courses import Course, Measured, course, forces
from pdenet_repro.analysis.energy.invariants import observed_order
from pdenet_repro.analysis.options import add_images
from pdenet_repro.analysis.result import Picture, Result
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import as_they_are, in_theory
from pdenet_repro.analysis.trajectory import entering_features
from pdenet_repro.system.console import progress

BESIDE_INITIAL_WEIGHTS = True
AS_IT_IS, THEOREM = "with norm, as it is", "no norm, constant weights"
REFINED = 8  # least number of time steps for one in the theorems' setting, where time is continuous


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind to its parser."""
    add_images(parser, 16)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure every network as it is and in the theorems' setting."""
    found, orders, rows = [], [], []
    for subject in progress(subjects, "norms and energies of the features"):
        entering, activation = entering_features(subject, given.images, given.seed), subject.config.network.activation
        own = [course(*each) for each in zip(as_they_are(subject), entering, strict=True)]
        found.append(Measured(subject, AS_IT_IS, own))
        flows = in_theory(subject, REFINED)
        theory = [course(f, Y, activation, energies=True) for f, Y in zip(flows, entering, strict=True)]
        found.append(Measured(subject, THEOREM, theory))
        finer = in_theory(subject, 2 * max(flow.refined for flow in flows))
        again = [course(f, Y, activation, energies=True) for f, Y in zip(finer, entering, strict=True)]
        ratios = [fine.refined / coarse.refined for coarse, fine in zip(flows, finer, strict=True)]
        orders.append(_orders(theory, again, ratios))
        rows += forces(subject, entering)
    result = Result(sentences=_sentences(found, orders) + _force_sentences(rows))
    result.tables = {"energy": [row for each in found for row in _rows(each)], "energy_force": rows}
    result.pictures["energy"] = Picture(
        figures.of_norms(found),
        "Norms of the features",
        f"Euclidean norm of the features over that at the start of the unit, median over {given.images} test images, bands "
        f"from {depth_axes.LOW} to {depth_axes.HIGH} %. Above: networks as they are, in evaluation mode (at initial weights the "
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
            f"over its bound ½‖K Y₀‖² (Hamiltonian: of both halves). Medians over {given.images} test images. The schemes hold "
            "the two parts of a state at times half a step apart; taken at one time, H is constant to second order.",
        )
    if any(row["force_bound"] < np.inf for row in rows):
        result.pictures["energy_force"] = Picture(
            figures.of_forces(rows),
            "Forces and their bound",
            "Norm of a layer's output at test images, over the bound that its norm gives for every image: median (mark) and "
            "largest (line). With this bound features grow at most linearly in time under the first-order equations, at most "
            "quadratically under (8).",
        )
    return result


def _orders(coarse: Sequence[Course], fine: Sequence[Course], ratios: Sequence[float]) -> tuple[float, float] | None:
    """Observed orders in h of the deviation of the invariant and of its centred form, medians over the units."""
    if coarse[0].invariant is None:
        return None
    return tuple(
        float(
            np.median(
                [
                    observed_order(a.deviation(centred=centred), b.deviation(centred=centred), ratio)
                    for a, b, ratio in zip(coarse, fine, ratios, strict=True)
                ]
            )
        )
        for centred in (False, True)
    )  # type: ignore[return-value]


def _rows(found: Measured) -> list[dict[str, Any]]:
    columns = ("invariant_over_linear_bound", "centred_invariant_over_linear_bound", "energy_10_over_linear_bound")
    rows = []
    for unit, of_unit in enumerate(found.units, start=1):
        for i, time in enumerate(of_unit.times):
            row: dict[str, Any] = {
                "network": found.subject.name, "dynamic": found.subject.dynamic, "setting": found.setting, "unit": unit,
                "time_in_steps": float(time), "images": of_unit.norm.shape[1],
            }  # fmt: skip
            row |= depth_axes.quantiles("norm_over_unit_start", of_unit.norm[i])
            arrays = (of_unit.invariant, of_unit.centred, of_unit.energy_10)
            for column, array in zip(columns, arrays, strict=True):
                known = array is not None and not np.isnan(array[i]).any()
                row |= depth_axes.quantiles(column, array[i] if array is not None and known else None)
            rows.append(row)
    return rows


def _sentences(found: Sequence[Measured], orders: Sequence[tuple[float, float] | None]) -> list[str]:
    sentences = []
    for setting in (AS_IT_IS, THEOREM):
        factors = [
            f"{each.subject.name} {', '.join(f'{np.median(unit.norm[-1]):.2f}' for unit in each.units)}"
            for each in found
            if each.setting == setting
        ]
        sentences.append(f"{setting}: the units multiply the norm of the features (medians) by {'; '.join(factors)}.")
    for each, order in zip((each for each in found if each.setting == THEOREM), orders, strict=True):
        known = [unit for unit in each.units if unit.invariant is not None]
        if not known or order is None:
            continue
        name = each.subject.name
        if each.subject.dynamic == "parabolic":
            worst = max(float((unit.invariant[1:] / unit.invariant[:-1]).max()) for unit in known)  # type: ignore[index]
            left = ", ".join(f"{np.median(unit.invariant[-1] / unit.invariant[0]):.3f}" for unit in known)  # type: ignore[index]
            sentences.append(
                f"{name}, {THEOREM}: phi(Y) falls to {left} of its start in the units (medians); the largest ratio of two "
                f"successive values is {worst:.6f}."
            )
            continue
        own, centred = (max(unit.deviation(centred=c) for unit in known) for c in (False, True))
        start = ", ".join(f"{np.median(unit.centred[0]):.2f}" for unit in known)  # type: ignore[index]
        sentences.append(
            f"{name}, {THEOREM}: H is {start} times its linear bound (medians of the units) and differs from its start by at "
            f"most {own:.1e} at the scheme's states, {centred:.1e} with all parts at one time; observed orders in h (medians) "
            f"{order[0]:.2f} and {order[1]:.2f}."
        )
        if known[0].energy_10 is not None:
            largest = max(float(np.max(unit.energy_10)) for unit in known)  # type: ignore[arg-type]
            sentences.append(f"{name}, {THEOREM}: energy (10) is at most {largest:.3f} times the linear bound.")
    return sentences


def _force_sentences(rows: Sequence[dict[str, Any]]) -> list[str]:
    sentences = []
    for name in dict.fromkeys(row["network"] for row in rows):
        ratios = [row["force_max"] / row["force_bound"] for row in rows if row["network"] == name]
        sentences.append(
            f"{name}: |F| reaches {min(ratios):.0%} to {max(ratios):.0%} of the bound that its norm gives."
        )
    return sentences
