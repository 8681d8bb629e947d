"""Axes whose x is the way through a network: time steps of the units, with opening and connectors between them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pdenet_repro.analysis.styles import legend_columns
from pdenet_repro.analysis.trajectory import Place

BETWEEN = "#e3e3e3"  # what is not part of the flow
LOW, HIGH = 10, 90  # percentiles of every band, in tables too


def prepare(axis: Axes, way: Sequence[Place], *, named: bool = True, labelled: bool = True) -> None:
    """Units as white stretches with their names on top, what lies between them grey; ticks are the time steps.

    ``named``: names on top; ``labelled``: ticks and label below.
    """
    last = max(place.unit for place in way if place.in_unit)
    for i, (one, other) in enumerate(zip(way, way[1:], strict=False)):
        if one.unit != other.unit:
            axis.axvspan(i + 0.12, i + 0.88, color=BETWEEN, linewidth=0, zorder=0)
            if named:
                what = "opening" if not one.unit else "connector" + (", pooling" if one.unit < last else ", mean")
                axis.text(
                    i + 0.5, 0.97, what, rotation=90, fontsize=7, color="#666666", ha="center", va="top",
                    transform=axis.get_xaxis_transform(), zorder=1,
                )  # fmt: skip
    for unit in range(1, last + 1):
        at = [i for i, place in enumerate(way) if place.unit == unit]
        if named:
            axis.text(
                (at[0] + at[-1]) / 2, 1.02, f"unit {unit}", ha="center", va="bottom", fontsize=10, fontweight="bold",
                transform=axis.get_xaxis_transform(),
            )  # fmt: skip
    axis.set_xlim(-0.3, len(way) - 0.7)
    axis.grid(axis="y", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    names = [place.name.replace(" ", "\n") or str(place.step) for place in way]
    crowded = len(way) > 40
    shown = [i for i, place in enumerate(way) if not crowded or place.name or place.step == 0]
    axis.set_xticks(shown, [names[i] for i in shown] if labelled else [], fontsize=8)
    if labelled:
        axis.set_xlabel("time steps done in the unit")


def positions(axis_way: Sequence[Place], way: Sequence[Place]) -> list[int]:
    """Where the places of one network are on an axis that was prepared for several."""
    at = {(place.name or (place.unit, place.step)): i for i, place in enumerate(axis_way)}
    return [at[place.name or (place.unit, place.step)] for place in way]


def inside(way: Sequence[Place]) -> list[list[int]]:
    """Positions of each unit's places."""
    units = sorted({place.unit for place in way if place.in_unit})
    return [[i for i, place in enumerate(way) if place.in_unit and place.unit == unit] for unit in units]


def draw(
    axis: Axes, at: Sequence[float] | np.ndarray, values: np.ndarray, colour: str, label: str | None = None, style: str = "-",
    marker: str | None = None, *, band: bool = True,
) -> None:  # fmt: skip
    """The median of ``values`` (places, samples) as a line, LOW to HIGH percent as a band."""
    low, middle, high = np.nanpercentile(values, [LOW, 50, HIGH], axis=1)
    axis.plot(at, middle, style, color=colour, label=label, linewidth=1.8, marker=marker, markersize=4.5)
    if band:
        axis.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0)


def plain_numbers(axis: Axes) -> None:
    """A logarithmic y axis with its numbers written out, where it spans only a few powers of ten."""
    low, high = axis.get_ylim()
    span = high / low
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if span < 20 else (1.0, 2.0, 5.0) if span < 500 else (1.0,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure) -> None:
    """Below the figure, every name once, whichever panel it is in."""
    named: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    columns = legend_columns(list(named), figure, 10)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns, frameon=False)


def quantiles(name: str, values: np.ndarray | None) -> dict[str, float | str]:
    """The same three numbers of samples (n,) as columns of a table; empty ones for None."""
    names = (f"{name}_p{LOW}", f"{name}_median", f"{name}_p{HIGH}")
    if values is None:
        return dict.fromkeys(names, "")
    return dict(zip(names, map(float, np.nanpercentile(values, [LOW, 50, HIGH])), strict=True))
