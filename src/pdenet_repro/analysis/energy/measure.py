"""Norms of the features along the time steps, and the energy of the second-order dynamic.

A parabolic equation damps, a hyperbolic one conserves. In the setting of the paper's theorems, no norm and the same
weights at every time, (7) makes the features smaller at every step, and energy (10) of (8) stays below that of the linear
wave equation, which is constant. Measured on trained networks, the same at initial weights, and in that setting.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.energy import figures
from pdenet_repro.analysis.energy.courses import FEW, Measured, course
from pdenet_repro.analysis.options import add_images
from pdenet_repro.analysis.result import Picture, Result
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import as_they_are, in_theory
from pdenet_repro.analysis.trajectory import entering_features, set_initial_statistics
from pdenet_repro.networks.build import build_network
from pdenet_repro.system.console import progress

TRAINED, INITIAL = "trained", "initial weights"
THEOREM = "no norm, constant weights"
REFINED = 8  # time steps for one, at least, in the theorems' setting, which is one of continuous time


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be varied."""
    add_images(parser, 16)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Every network, in the theorems' setting too, and each trained one at its initial weights."""
    cases = [(each.name, each, TRAINED if each.folder else INITIAL) for each in subjects]
    cases += [(each.name, _at_initial_weights(each, given.seed), INITIAL) for each in subjects if each.folder]
    cases += [(each.name, each, THEOREM) for each in subjects]
    found = []
    for name, subject, setting in progress(cases, "following features through the networks"):
        images = min(given.images, FEW) if setting == THEOREM else given.images
        entering = entering_features(subject, images, given.seed)
        flows = in_theory(subject, REFINED) if setting == THEOREM else as_they_are(subject)
        found.append(Measured(name, subject, setting, [course(*each) for each in zip(flows, entering, strict=True)]))
    result = Result(tables={"energy": [row for each in found for row in _rows(each)]}, sentences=_sentences(found))
    result.pictures["energy"] = Picture(
        figures.of_norms(found),
        "Norms of the features",
        f"Euclidean norm of the features over that at the start of the unit, median over {given.images} test images, bands "
        f"from {depth_axes.LOW} to {depth_axes.HIGH} %: a parabolic flow (7) damps, a hyperbolic one conserves. Trained, and at "
        "initial weights: networks as they are, with their norms, in evaluation mode (at initial weights the batch norms have "
        "the statistics of some images). Below: the kernels of each unit's first step at every time, no norm, no bias, the "
        f"time steps refined, at most {FEW} images.",
    )
    if any(each.units[0].energy is not None for each in found):
        result.pictures["energy_second_order"] = Picture(
            figures.of_energies(found),
            "Energy of the second-order dynamic",
            "Energy (10) along the time steps, over the energy of the linear wave equation with the same kernels at the unit's "
            f"start, ½‖K Y₀‖²: medians over {given.images} test images (without norm at most {FEW}), bands from "
            f"{depth_axes.LOW} to {depth_axes.HIGH} %. The theorem promises at most 1 without norm and with constant weights "
            "(lowest row, time steps "
            "refined). Dashed: the linear wave's own energy in the form that leapfrog conserves, constant as long as the "
            "weights are. Dotted: the kinetic part of (10); it lies above the whole where a norm makes the potential negative.",
        )
    else:
        result.sentences.append("Energy (10) is one of the second-order dynamic, which is not among the networks.")
    return result


def _at_initial_weights(subject: Subject, seed: int) -> Subject:
    where = next(subject.network.parameters()).device
    initial = replace(subject, network=build_network(subject.config).eval().to(where), folder=None)
    set_initial_statistics(initial, seed)
    return initial


def _rows(found: Measured) -> list[dict[str, Any]]:
    columns = (
        "norm_over_unit_start",
        "energy_over_linear_start",
        "kinetic_over_linear_start",
        "linear_over_linear_start",
    )
    rows = []
    for unit, of_unit in enumerate(found.units, start=1):
        arrays = (of_unit.norm, of_unit.energy, of_unit.kinetic, of_unit.linear)
        for i, time in enumerate(of_unit.times):
            row: dict[str, Any] = {
                "network": found.name, "dynamic": found.subject.dynamic, "setting": found.setting, "unit": unit,
                "time_in_steps": float(time), "images": of_unit.norm.shape[1],
            }  # fmt: skip
            for column, array in zip(columns, arrays, strict=True):
                row |= depth_axes.quantiles(column, None if array is None else array[i])
            rows.append(row)
    return rows


def _sentences(found: Sequence[Measured]) -> list[str]:
    sentences = []
    for setting in dict.fromkeys(each.setting for each in found):
        factors = [
            f"{each.name} {', '.join(f'{np.median(unit.norm[-1]):.2f}' for unit in each.units)}"
            for each in found
            if each.setting == setting
        ]
        sentences.append(f"{setting}: the units multiply the norm of the features (medians) by {'; '.join(factors)}.")
    for each in found:
        energies = [unit.energy for unit in each.units if unit.energy is not None]
        waves = [unit.linear for unit in each.units if unit.linear is not None]
        if energies:
            largest = ", ".join(f"{np.median(energy.max(0)):.2f}" for energy in energies)
            sentences.append(
                f"{each.name}, {each.setting}: energy (10) reaches {largest} times ½‖K Y₀‖² in the units "
                f"(medians) and at most {max(float((energy / energy[0]).max()) for energy in energies):.3f} times its start; "
                f"the linear wave's departs from its start by at most {max(float(np.abs(w - 1).max()) for w in waves):.1e}."
            )
    return sentences
