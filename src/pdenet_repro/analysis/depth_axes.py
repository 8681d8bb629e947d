"""Draw axes whose x is the depth in a network: images, the time steps of each unit, and the pixel means."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pdenet_repro.analysis.drawing import draw_band
from pdenet_repro.analysis.result import HIGH, LOW
from pdenet_repro.analysis.trajectory import Place
from pdenet_repro.report.figures import Style, draw_grid

BETWEEN = "#e3e3e3"  # background of layers that discretise no differential equation: opening, connectors and pooling


def prepare(axis: Axes, path: Sequence[Place], *, named: bool = True, labelled: bool = True) -> None:
    """Draw the background of an axis: white in the units, grey between them, and a tick at each time step.

    ``path`` holds the places of the network in order; their x are 0, 1, .... If there are more than 40, time steps within a unit
    have no tick. If ``named``, the names of units and layers are written above; if ``labelled``, the numbers of the time steps
    and the label of the axis below.
    """
    last = max(place.unit for place in path if place.in_unit)
    for i, (one, other) in enumerate(zip(path, path[1:], strict=False)):
        if one.unit != other.unit:
            axis.axvspan(i + 0.12, i + 0.88, color=BETWEEN, linewidth=0, zorder=0)
            if named:
                what = "opening" if not one.unit else "connector" + (", pooling" if one.unit < last else ", mean")
                axis.text(
                    i + 0.5, 0.97, what, rotation=90, fontsize=7, color="#666666", ha="center", va="top",
                    transform=axis.get_xaxis_transform(), bbox={"color": BETWEEN, "linewidth": 0, "pad": 1},
                )  # fmt: skip
    for unit in range(1, last + 1):
        at = [i for i, place in enumerate(path) if place.unit == unit]
        if named:
            axis.text(
                (at[0] + at[-1]) / 2, 1.02, f"unit {unit}", ha="center", va="bottom", fontsize=10, fontweight="bold",
                transform=axis.get_xaxis_transform(),
            )  # fmt: skip
    axis.set_xlim(-0.3, len(path) - 0.7)
    draw_grid(axis, rows_only=True)
    names = [place.name.replace(" ", "\n") or str(place.step) for place in path]
    crowded = len(path) > 40
    shown = [i for i, place in enumerate(path) if not crowded or place.name or place.step == 0]
    axis.set_xticks(shown, [names[i] for i in shown] if labelled else [], fontsize=8)
    if labelled:
        axis.set_xlabel("time steps done in the unit")


def positions(axis_path: Sequence[Place], path: Sequence[Place]) -> list[int]:
    """Return the x of each place of one network, ``path``, on an axis that was prepared with ``axis_path``."""
    at = {(place.name or (place.unit, place.step)): i for i, place in enumerate(axis_path)}
    return [at[place.name or (place.unit, place.step)] for place in path]


def unit_indices(path: Sequence[Place]) -> list[list[int]]:
    """Return for each unit the indices in ``path`` of the places that are in it."""
    units = sorted({place.unit for place in path if place.in_unit})
    return [[i for i, place in enumerate(path) if place.in_unit and place.unit == unit] for unit in units]


def draw(
    axis: Axes, at: Sequence[float] | np.ndarray, values: np.ndarray, how: Style, label: str | None = None,
    *, band: bool = True, **options: Any,
) -> None:  # fmt: skip
    """Draw the median of ``values`` (places, samples) as a line, and percentiles LOW to HIGH as a band, at x = ``at``."""
    spread = np.nanpercentile(values, [LOW, 50, HIGH], axis=1)
    draw_band(axis, at, spread, how, label, 0.13 if band else 0, linewidth=1.8, markersize=4.5, **options)
