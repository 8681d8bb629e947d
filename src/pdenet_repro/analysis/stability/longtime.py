"""Measure the distance of two solutions over times much longer than a unit's: it may grow algebraically or exponentially.

All steps have the weights of the unit's first step; without normalisation they have its kernels, scale 1 and no bias. Then a
parabolic flow increases no distance (Theorem 1). A hyperbolic flow conserves an energy, but distances may grow, even in the
energy norm of the linear equation. Where ``sigma' = 0`` the linearised force is zero, leapfrog has a defective double root 1,
and distances grow linearly in time; for example
``y'' = -relu(y)`` with ``y(0) = 1`` and ``y'(0) = 0`` gives ``y(100) = -98.4``. With an unrestricted equation distances may grow
exponentially.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis.drawing import draw_spread, legend, plain_numbers, styles_of
from pdenet_repro.analysis.energy.invariants import energy_distance
from pdenet_repro.analysis.result import Row, joined, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import Flow, network_flows, theorem_flows
from pdenet_repro.analysis.trajectory import euclidean_norms
from pdenet_repro.report.figures import draw_grid

LONGER = 16  # final time over the final time of a unit
WITH_NORM, WITHOUT = "with the network's norm", "without norm (theorems)"


@torch.no_grad()
def distances_over_time(flow: Flow, Y: Tensor, Z: Tensor, times: int, activation: str = "relu") -> list[np.ndarray]:
    """Compute distances of the solutions from Y and Z (N, C, H, W) at times 0, 1, ..., divided by those at time 0.

    The three arrays (times + 1, N) are the Euclidean distance, and `energy_distance` without and with the activation, which are
    NaN for a dynamic without energy. The last time is ``times``, in steps of the network. All steps have the first weights of
    ``flow``.
    """
    dynamic, theta = flow.dynamic, flow.thetas[0]
    one, other = dynamic.start(Y), dynamic.start(Z)
    found: list[list[Tensor]] = [[], [], []]
    for time in range(times + 1):
        for _ in range(flow.refined if time else 0):
            one, other = dynamic.step(one, theta), dynamic.step(other, theta)
        distance = euclidean_norms(dynamic.output(one) - dynamic.output(other))
        measured = (distance, *(energy_distance(dynamic, one, other, theta, sigma) for sigma in ("", activation)))
        for values, value in zip(found, measured, strict=True):
            values.append(torch.full_like(distance, torch.nan) if value is None else value)
    return [(torch.stack(each) / each[0]).cpu().numpy() for each in found]


def exponents(distance: np.ndarray) -> tuple[float, float, str]:
    """Fit ``t^p`` and ``exp(r t)`` to a distance d (T + 1,) at times 0, 1, ..., T; return p, r and the better fit's name.

    Both are least-squares fits of log d from T/4 on, against log t and against t; the better one has the smaller residual. If
    these are fewer than three distances, or one of them is 0 or not finite, p and r are NaN and the name is empty.
    """
    times = np.arange(len(distance))
    late = times >= max(1, len(distance) // 4)
    if late.sum() < 3 or not (distance[late] > 0).all() or not np.isfinite(distance[late]).all():
        return np.nan, np.nan, ""
    log_d, t = np.log(distance[late]), times[late]
    fits = {name: np.polyfit(x, log_d, 1, full=True) for name, x in (("algebraic", np.log(t)), ("exponential", t))}
    residuals = {name: float(fit[1][0]) if len(fit[1]) else 0.0 for name, fit in fits.items()}
    return (
        float(fits["algebraic"][0][0]),
        float(fits["exponential"][0][0]),
        min(residuals, key=lambda name: residuals[name]),
    )


def rows(subject: Subject, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Row]:
    """Return a row for each setting, unit and time; ``pairs`` has two features (N, C, H, W) that enter each unit."""
    times, activation = LONGER * subject.config.network.steps, subject.config.network.activation
    found = []
    for setting, flows in ((WITH_NORM, network_flows(subject)), (WITHOUT, theorem_flows(subject))):
        for unit, (flow, (Y, Z)) in enumerate(zip(flows, pairs, strict=True), start=1):
            distance, energy, controlled = distances_over_time(flow, Y, Z, times, activation)
            power, rate, better = exponents(np.median(distance, axis=1))
            for time, values in enumerate(distance):
                found.append(
                    {
                        **subject.columns, "setting": setting, "unit": unit, "time_in_steps": time, "pairs": len(values),
                        "distance_over_start_median": float(np.median(values)),
                        "distance_over_start_max": float(values.max()),
                        "energy_distance_over_start_median": float(np.median(energy[time])),
                        "controlled_distance_over_start_median": float(np.median(controlled[time])),
                        "fit_power": power, "fit_rate": rate, "better_fit": better,
                    }
                )  # fmt: skip
    return found


def sentences(found: Sequence[Row]) -> list[str]:
    """Return a sentence for each network on its final distances without norm, also in energy norms, and on their growth."""
    result = []
    for name in dict.fromkeys(row["network"] for row in found):
        chosen = where(found, network=name, setting=WITHOUT)
        last = max(row["time_in_steps"] for row in chosen)
        ends = where(chosen, time_in_steps=last)
        at_end, power, rate, energies, controlled = (
            joined((row[key] for row in ends), ".3g")
            for key in ("distance_over_start_median", "fit_power", "fit_rate", "energy_distance_over_start_median",
                        "controlled_distance_over_start_median")
        )  # fmt: skip
        algebraic = sum(row["better_fit"] == "algebraic" for row in ends)
        sentence = (
            f"{name}, without norm, with the first step's kernels, scale 1 and no bias for {last} steps: the units multiply "
            f"distances by {at_end} (medians of {ends[0]['pairs']} pairs); t^p fits with p = {power}, exp(r t) with r = {rate}; "
            f"t^p fits better in {algebraic} of {len(ends)} units."
        )
        if not np.isnan(ends[0]["energy_distance_over_start_median"]):
            sentence += (
                f" In the energy norm of the linear equation distances are multiplied by {energies}; the part that H controls, "
                f"V and sigma(K Y), by {controlled}."
            )
        result.append(sentence)
    return result


def picture(found: Sequence[Row], own: Collection[int]) -> Figure:
    """Draw distances against time, as median and range of the units: a panel for each setting, one for what H bounds, if any.

    ``own`` has the numbers of time steps of the networks' units.
    """
    style = styles_of(found)
    panels = [(WITH_NORM, "distance_over_start_median"), (WITHOUT, "distance_over_start_median")]
    if np.isfinite([row["controlled_distance_over_start_median"] for row in found]).any():
        panels.append((WITHOUT, "controlled_distance_over_start_median"))
    figure = Figure(figsize=(4.5 * len(panels), 4.8), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, (setting, column) in zip(axes, panels, strict=True):
        axis.axhline(1, color="black", linewidth=1)
        for steps in own:
            axis.axvline(steps, color="#666666", linewidth=1, linestyle="--")
        axis.text(
            max(own), 0.99, " end of the unit", fontsize=8, color="#666666", va="top",
            transform=axis.get_xaxis_transform(),
        )  # fmt: skip
        for name, how in style.items():
            of_network = [row for row in where(found, network=name, setting=setting) if row["time_in_steps"]]
            if not np.isfinite([row[column] for row in of_network]).any():  # no energy norm
                axis.plot([], [], how.dashes, color=how.colour, marker=how.marker, label=name)
                continue
            draw_spread(axis, of_network, "time_in_steps", column, how, name, markevery=0.15, linewidth=1.8)
        axis.set_xscale("log")
        axis.set_yscale("log")
        part = "\nonly what H bounds" if column.startswith("controlled") else ""
        axis.set_title(f"{setting}{part}", fontsize=11)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("time in steps")
        draw_grid(axis)
    plain_numbers(axes[0])
    axes[0].set_ylabel("distance of two solutions\nover that at the start")
    legend(figure)
    return figure
