"""Axes whose x is the position in a network: the time steps of each unit, with the opening and the connectors between units."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pdenet_repro.analysis.styles import draw_grid, legend_columns
from pdenet_repro.analysis.trajectory import Place

BETWEEN = "#e3e3e3"  # background of opening, connectors and pooling, where no differential equation holds
LOW, HIGH = 10, 90  # percentiles at the edges of every band, in tables too


def prepare(axis: Axes, path: Sequence[Place], *, named: bool = True, labelled: bool = True) -> None:
    """Draw the background of an axis: units white, what lies between them grey, a tick for each time step.

    ``path``: the places of the network in order, x = 0, 1, .... ``named``: write the units' names on top. ``labelled``: write
    the numbers of the time steps and the label below.
    """
    last = max(place.unit for place in path if place.in_unit)
    for i, (one, other) in enumerate(zip(path, path[1:], strict=False)):
        if one.unit != other.unit:
            axis.axvspan(i + 0.12, i + 0.88, color=BETWEEN, linewidth=0, zorder=0)
            if named:
                what = "opening" if not one.unit else "connector" + (", pooling" if one.unit < last else ", mean")
                axis.text(
                    i + 0.5, 0.97, what, rotation=90, fontsize=7, color="#666666", ha="center", va="top",
                    transform=axis.get_xaxis_transform(), zorder=1,
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
    """The x of each place of ``path``, the places of one network, on an axis prepared with ``axis_path``, those of several."""
    at = {(place.name or (place.unit, place.step)): i for i, place in enumerate(axis_path)}
    return [at[place.name or (place.unit, place.step)] for place in path]


def inside(path: Sequence[Place]) -> list[list[int]]:
    """For each unit the indices of its places in ``path``."""
    units = sorted({place.unit for place in path if place.in_unit})
    return [[i for i, place in enumerate(path) if place.in_unit and place.unit == unit] for unit in units]


def draw(
    axis: Axes, at: Sequence[float] | np.ndarray, values: np.ndarray, colour: str, label: str | None = None, style: str = "-",
    marker: str | None = None, *, band: bool = True,
) -> None:  # fmt: skip
    """Draw the median of ``values`` (places, samples) as a line, and the range from LOW to HIGH percent as a band."""
    low, middle, high = np.nanpercentile(values, [LOW, 50, HIGH], axis=1)
    axis.plot(at, middle, style, color=colour, label=label, linewidth=1.8, marker=marker, markersize=4.5)
    if band:
        axis.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0)


def plain_numbers(axis: Axes) -> None:
    """Write the numbers of a logarithmic y axis without powers of ten, and more of them where it spans few powers."""
    low, high = axis.get_ylim()
    span = high / low
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if span < 20 else (1.0, 2.0, 5.0) if span < 500 else (1.0,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure) -> None:
    """Put one legend below the figure that has each name of its panels once."""
    named: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    columns = legend_columns(list(named), figure, 10)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns, frameon=False)


def quantiles(name: str, values: np.ndarray | None) -> dict[str, float | str]:
    """Columns of a table: LOW percent, median and HIGH percent of samples (n,); empty columns for None."""
    names = (f"{name}_p{LOW}", f"{name}_median", f"{name}_p{HIGH}")
    if values is None:
        return dict.fromkeys(names, "")
    return dict(zip(names, map(float, np.nanpercentile(values, [LOW, 50, HIGH])), strict=True))


def extremes(name: str, values: np.ndarray) -> dict[str, float]:
    """Columns of a table: minimum, median and maximum of samples (n,)."""
    return {f"{name}_{part}": float(f(values)) for part, f in (("min", np.min), ("median", np.median), ("max", np.max))}


def tick_steps(axis: Axes, steps: Sequence[tuple[int, int]], **options: Any) -> None:
    """Ticks at 0, 1, ... for (unit, time step), with options of ``set_xticks``, and the label of the axis."""
    axis.set_xticks(range(len(steps)), [f"{unit}.{step}" for unit, step in steps], **options)
    axis.set_xlabel("unit . time step")
