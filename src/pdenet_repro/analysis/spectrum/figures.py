"""Draw eigenvalues in the complex plane with the region of stability, stable step sizes, and asymmetries of Jacobians."""

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from pdenet_repro.analysis.drawing import draw_spread, legend, line_styles, tick_steps, time_steps
from pdenet_repro.analysis.result import HIGH, LOW, Picture, Row, where
from pdenet_repro.analysis.spectrum.integrators import ForwardEuler, integrator_of
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.figures import colours, draw_grid

Rows = Sequence[Row]
MARKERS = {"frozen": "o", "free": "x"}  # by the treatment of the norm
STABLE, EDGE = "#f2e8b6", "#8a6d00"  # colours of the region of stability and of its outline


def eigenvalue_plane(subjects: Sequence[Subject], points: Rows, layers: Rows) -> Picture:
    """Draw ``h lambda`` of every time step: a column for each network, rows for the norm frozen (crops) and free (full size)."""
    figure = Figure(figsize=(3.3 * len(subjects) + 0.9, 7.4), layout="constrained")
    axes = figure.subplots(2, len(subjects), squeeze=False, sharex="col", sharey="col")
    units = max(int(row["unit"]) for row in points)
    for column, subject in zip(axes.T, subjects, strict=True):
        integrator, h = integrator_of(subject.dynamic), subject.config.network.step_size
        shades = _shades(colours([subject.dynamic])[subject.dynamic], units)
        rows = where(points, network=subject.name)
        z = h * np.array([complex(row["real"], row["imaginary"]) for row in rows])
        euler = isinstance(integrator, ForwardEuler)
        _limits(column[0], z, euler=euler)
        for axis, norm in zip(column, MARKERS, strict=True):
            _region(axis, euler=euler)
            axis.set_aspect("equal" if euler else "auto")
            for unit in range(units, 0, -1):  # the smallest marks come last, on top
                chosen = z[[row["unit"] == unit and row["norm"] == norm for row in rows]]
                axis.scatter(chosen.real, chosen.imag, 5 + 7 * unit, color=[shades[unit - 1]], marker=MARKERS[norm],
                             linewidths=0.8)  # fmt: skip
            axis.axhline(0, color="#999999", linewidth=0.5, zorder=0)
            axis.axvline(0, color="#999999", linewidth=0.5, zorder=0)
            axis.spines[["top", "right"]].set_visible(False)
        column[0].xaxis.set_major_locator(MaxNLocator(6))
        column[0].set_title(f"{fill(subject.name, 38)}\n{integrator.name}, h = {h:g}", fontsize=11)
        column[1].set_xlabel("real part of h λ")
    for axis, shown in zip(axes[:, 0], ("norm frozen, on crops", "norm free, at full size"), strict=True):
        axis.set_ylabel(f"{shown}\n\nimaginary part of h λ")
    greys = _shades("#555555", units)
    handles = [Line2D([], [], linestyle="", marker="s", color=greys[i], label=f"unit {i + 1}") for i in range(units)]
    regions = {isinstance(integrator_of(subject.dynamic), ForwardEuler) for subject in subjects}
    if True in regions:
        handles.append(Line2D([], [], linewidth=8, color=STABLE, label="stable: in the disc"))
    if False in regions:
        handles.append(Line2D([], [], color=EDGE, marker="|", markersize=9, label="stable: only on the line"))
    columns = len(handles) if len(subjects) > 2 else 1 + len(subjects)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    grids = sorted({(row["unit"], row["grid"]) for row in where(layers, size="crop")})
    return Picture(
        figure,
        "Eigenvalues of the layers",
        "Eigenvalues λ of the Jacobian of every time step at test images, times the step size h, and where the time integrator "
        "is stable: in a disc (forward Euler), or on a line of no width (symplectic Euler, leapfrog), beside which a mode "
        "grows. Above: norm frozen at the mean and variance of the whole features, all eigenvalues (float64) on crops of "
        + ", ".join(f"{grid} (unit {unit})" for unit, grid in grids)
        + " pixels. Below: mean and variance follow the features, the largest and the rightmost eigenvalues at full size. "
        "For the hyperbolic dynamics λ are those of the first-order system, and the two axes have different scales.",
    )


def step_sizes(subjects: Sequence[Subject], layers: Rows) -> Picture:
    """Draw the largest stable step size of every layer at full size, and the one used, with strips for 0 and infinity."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    axis = figure.subplots()
    full = where(layers, size="full")
    names = time_steps(full)
    used = {subject.config.network.step_size for subject in subjects}
    low, high, none, unlimited = _heights([row["step_size_allowed"] for row in full], used)
    style = line_styles((subject.name, subject.dynamic) for subject in subjects)
    handles = []
    for i, subject in enumerate(subjects):
        colour, marker = style[subject.name].colour, style[subject.name].marker
        offset = (i - (len(subjects) - 1) / 2) * 0.6 / len(subjects)
        for norm in MARKERS:
            rows = where(full, network=subject.name, norm=norm)
            at = [names.index((row["unit"], row["step"])) + offset for row in rows]
            values = [{0: none, np.inf: unlimited}.get(h, h) for h in (row["step_size_allowed"] for row in rows)]
            size, face = (34, colour) if norm == "frozen" else (90, "none")
            axis.scatter(at, values, size, marker=marker, facecolors=face, edgecolors=colour, linewidths=1.2, zorder=3)
        name = f"{subject.name} ({integrator_of(subject.dynamic).name})"
        handles.append(Line2D([], [], linestyle="", marker=marker, color=colour, label=name))
    for h in used:
        axis.axhline(h, color="black", linewidth=1.2, zorder=1)
        axis.annotate(
            f"used:\nh = {h:g}", (1, h), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center", fontsize=9,
        )  # fmt: skip
    axis.set_yscale("log")
    bottom, top = (none**2 / low if none else low), (unlimited**2 / high if unlimited else high)
    axis.set_ylim(bottom, top)
    axis.axhspan(bottom, min(used), color="#f6d5d5", zorder=0, linewidth=0)
    axis.text(
        0.008, low * (top / bottom) ** 0.015, "allowed < used: unstable", transform=axis.get_yaxis_transform(),
        fontsize=9, color="#993333",
    )  # fmt: skip
    ticks = {t: f"{t:g}" for t in _round_numbers(low, high)}
    for edge, height, label in ((low, none, "none"), (high, unlimited, "any")):
        if height:
            ticks[height] = label
            axis.axhline(edge, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    tick_steps(axis, names)
    for first in [i for i, (_, step) in enumerate(names) if step == 1 and i]:
        axis.axvline(first - 0.5, color="#cccccc", linewidth=0.8, zorder=0)
    axis.set_ylabel("largest stable step size h")
    axis.spines[["top", "right"]].set_visible(False)
    circle: dict[str, Any] = {"linestyle": "", "marker": "o", "color": "#333333"}
    handles.append(Line2D([], [], **circle, markersize=5, label="norm frozen"))
    handles.append(Line2D([], [], **circle, markersize=9, markerfacecolor="none", label="norm free"))
    widest = 0.55 + 0.08 * max(len(str(handle.get_label())) for handle in handles)  # inches, about
    columns = max(1, min(3 if len(subjects) > 2 else 4, int(9 / widest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return Picture(
        figure,
        "Step sizes that the layers allow",
        "The largest step size at which no mode grows, for every time step and image at full size, by the eigenvalues λ of "
        "largest modulus and of largest real part (matrix-free, to about 1 % of the largest, of λ² for symplectic Euler and "
        "leapfrog: weaker growth is not seen): forward Euler |1 + h λ| <= 1, symplectic Euler and leapfrog h |λ| <= 2 with λ "
        "imaginary. None: a mode grows at every step size; any: all eigenvalues are 0. Norm frozen: mean and variance held; "
        "free: they follow the features.",
    )


def asymmetry_by_size(subjects: Sequence[Subject], trend: Rows) -> Picture:
    """Draw the asymmetry of Jacobians, the norm free, against the side of the crop on which the norm has its statistics."""
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axis = figure.subplots()
    style = line_styles((subject.name, subject.dynamic) for subject in subjects)
    for name, how in style.items():
        draw_spread(axis, where(trend, network=name), "side", "asymmetry", how, name, 0.12, (LOW, 50, HIGH))
    axis.set_xscale("log")
    if any(row["asymmetry"] > 0 for row in trend):
        axis.set_yscale("log")
    ticks = sorted({row["side"] for row in trend})
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.minorticks_off()
    axis.set_xlabel("side of the crop in pixels of the unit's grid (the largest: the whole)")
    axis.set_ylabel("‖J - Jᵀ‖ / ‖J‖, norm free")
    draw_grid(axis)
    legend(figure)
    return Picture(
        figure,
        "Asymmetry and the number of pixels",
        "How asymmetric a free norm makes the Jacobians of the layers (Frobenius norm, estimated), on crops of the features and "
        f"on the whole: medians of images, units and steps, bands from {LOW} to {HIGH} %. The asymmetry comes from the mean and "
        "the variance over the pixels, and falls with their number.",
    )


def _heights(allowed: Sequence[float], used: set[float]) -> tuple[float, float, float, float]:
    """Return both ends of the logarithmic axis, and the heights beyond them of step sizes 0 and inf (0.0 if there are none)."""
    shown = [h for h in (*allowed, *used) if 0 < h < np.inf]
    low, high = min(shown) / 1.6, 1.6 * max(shown)  # a factor of 2.5 at least, so that a tick is between
    strip = (high / low) ** 0.06
    return low, high, low / strip if 0 in allowed else 0.0, high * strip if np.inf in allowed else 0.0


def _round_numbers(low: float, high: float) -> list[float]:
    """Return ticks of a logarithmic axis: 1, 2 and 5 times the powers of ten, or only the powers if there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) < 6 else (1,)
    return [t for t in (factor * 10.0**power for power in powers for factor in factors) if low <= t <= high]


def _shades(colour: str, count: int) -> list[tuple[float, float, float]]:
    strengths = np.linspace(0.4, 1, count) if count > 1 else [1.0]
    red, green, blue = to_rgb(colour)
    return [(1 - t * (1 - red), 1 - t * (1 - green), 1 - t * (1 - blue)) for t in strengths]


def _limits(axis: Axes, z: np.ndarray, *, euler: bool) -> None:
    """Set the limits of a panel so that it contains all points z and the region of stability; a disc is drawn round."""
    parallel, across = (z.real, z.imag) if euler else (z.imag, z.real)
    low, high = min(parallel.min(), -2), max(parallel.max(), 0 if euler else 2)
    margin, width = 0.06 * (high - low), max(1.25 * np.abs(across).max(), (0.56 if euler else 0.05) * (high - low))
    if euler:
        axis.set(xlim=(low - margin, high + margin), ylim=(-width, width))
    else:
        axis.set(ylim=(low - margin, high + margin), xlim=(-width, width))


def _region(axis: Axes, *, euler: bool) -> None:
    if euler:
        axis.add_patch(Ellipse((-1, 0), 2, 2, facecolor=STABLE, zorder=-1))
        axis.add_patch(Ellipse((-1, 0), 2, 2, fill=False, edgecolor=EDGE, zorder=3))  # visible over the points
    else:  # drawn over the points, which lie on the line and would hide it
        axis.plot([0, 0], [-2, 2], color=EDGE, linewidth=1.3, marker="_", markersize=22, zorder=3)
