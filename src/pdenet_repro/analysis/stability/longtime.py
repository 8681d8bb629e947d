"""Two solutions over times much longer than a unit's: what stability, a bound independent of time, looks like.

Each unit goes on with the weights of its first step. A parabolic flow without norm contracts (Theorem 1), a hyperbolic one
keeps velocities bounded (Theorem 2), an unrestricted one may expand exponentially.
"""

from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.styles import line_styles
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.theorem_setting import Flow, as_they_are, in_theory
from pdenet_repro.analysis.trajectory import euclidean_norms

LONGER = 8  # times a unit's own time
PAIRS = 2
WITH_NORM, WITHOUT = "with the network's norm", "without norm (theorems)"


@torch.no_grad()
def distances_over_time(flow: Flow, Y: Tensor, Z: Tensor, times: int) -> np.ndarray:
    """Distance over that at the start, (times + 1, N), of solutions from pairs (N, C, H, W).

    At the network's times 0, 1, ..., ``times``; the first weights of ``flow`` throughout.
    """
    dynamic, theta = flow.dynamic, flow.thetas[0]
    one, other = dynamic.start(Y), dynamic.start(Z)
    found = [euclidean_norms(Y - Z)]
    for _ in range(times):
        for _ in range(flow.refined):
            one, other = dynamic.step(one, theta), dynamic.step(other, theta)
        found.append(euclidean_norms(dynamic.features(one) - dynamic.features(other)))
    return (torch.stack(found) / found[0]).cpu().numpy()


def rows(subject: Subject, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[dict[str, Any]]:
    """Of each unit, from pairs of features that enter it: median and extremes over the pairs at each time."""
    times = LONGER * subject.config.network.steps
    found = []
    for setting, flows in ((WITH_NORM, as_they_are(subject)), (WITHOUT, in_theory(subject))):
        for unit, (flow, (Y, Z)) in enumerate(zip(flows, pairs, strict=True), start=1):
            for time, values in enumerate(distances_over_time(flow, Y[:PAIRS], Z[:PAIRS], times)):
                found.append(
                    {
                        "network": subject.name, "dynamic": subject.dynamic, "setting": setting, "unit": unit,
                        "time_in_steps": time, "pairs": len(values), "distance_over_start_median": float(np.median(values)),
                        "distance_over_start_max": float(values.max()),
                    }
                )  # fmt: skip
    return found


def sentence(found: Sequence[Mapping[str, Any]]) -> str:
    """Where the distances are at the end without norm."""
    factors = []
    for name in dict.fromkeys(row["network"] for row in found):
        chosen = [row for row in found if row["network"] == name and row["setting"] == WITHOUT]
        last = max(row["time_in_steps"] for row in chosen)
        at_end = median(row["distance_over_start_median"] for row in chosen if row["time_in_steps"] == last)
        factors.append(f"{at_end:.3g} ({name}, {last} steps)")
    return (
        "Over a long time, without norm and with their first step's weights, the units multiply distances by "
        f"{', '.join(factors)} (medians of the units)."
    )


def picture(found: Sequence[Mapping[str, Any]], own: Collection[int]) -> Figure:
    """Median of the units and the band over them, a panel a setting; ``own``: how many steps the units have."""
    style = line_styles((row["network"], row["dynamic"]) for row in found)
    figure = Figure(figsize=(10.5, 4.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, setting in zip(axes, (WITH_NORM, WITHOUT), strict=True):
        axis.axhline(1, color="black", linewidth=1)
        for steps in own:
            axis.axvline(steps, color="#666666", linewidth=1, linestyle="--")
        axis.text(
            max(own), 0.99, " end of the unit", fontsize=8, color="#666666", va="top",
            transform=axis.get_xaxis_transform(),
        )  # fmt: skip
        for name, how in style.items():
            by_time: dict[int, list[float]] = {}
            for row in (row for row in found if row["network"] == name and row["setting"] == setting):
                by_time.setdefault(row["time_in_steps"], []).append(row["distance_over_start_median"])
            times, values = list(by_time), list(by_time.values())
            axis.plot(times, list(map(median, values)), how.line, color=how.colour, marker=how.marker,
                      markevery=max(1, len(times) // 8), linewidth=1.8, label=name)  # fmt: skip
            axis.fill_between(
                times, list(map(min, values)), list(map(max, values)), color=how.colour, alpha=0.13, linewidth=0
            )
        axis.set_yscale("log")
        axis.set_title(f"{setting}, first step's weights throughout", fontsize=11)
        axis.set_xlabel("time in steps")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("distance of two solutions\nover that at the start")
    depth_axes.legend(figure)
    return figure
