"""Pictures of spectra: eigenvalues in the complex plane with the region of stability; step sizes allowed and used."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from pdenet_repro.analysis.finding import Picture
from pdenet_repro.analysis.integrators import INTEGRATORS, ForwardEuler
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.figures import colours

Rows = Sequence[Mapping[str, Any]]
MARKERS = {"frozen": "o", "with norm": "x"}
STABLE = "#f2e8b6"


def in_the_plane(subjects: Sequence[Subject], points: Rows, layers: Rows) -> Picture:
    """A panel a network: ``h lambda`` of every layer on the small grids, shades for units, markers for the norm."""
    figure = Figure(figsize=(4.1 * len(subjects) + 0.4, 4.9), layout="constrained")
    axes = figure.subplots(1, len(subjects), squeeze=False)[0]
    units = max(int(row["unit"]) for row in points)
    for axis, subject in zip(axes, subjects, strict=True):
        colour = colours([subject.dynamic])[subject.dynamic]
        h = subject.config.network.step_size
        rows = [row for row in points if row["network"] == subject.name]
        shades = _shades(colour, units)
        z = h * np.array([complex(row["real"], row["imaginary"]) for row in rows])
        _limits(axis, z, euler=isinstance(INTEGRATORS[subject.dynamic], ForwardEuler))
        _region(axis, subject)
        for norm in ("with norm", "frozen"):  # the frozen ones, on the axis, on top
            for unit in range(1, units + 1):
                chosen = z[[row["unit"] == unit and row["norm"] == norm for row in rows]]
                size = 15 if norm == "with norm" else 7
                axis.scatter(
                    chosen.real, chosen.imag, size, color=[shades[unit - 1]], marker=MARKERS[norm], linewidths=0.9,
                    zorder=3 if norm == "frozen" else 2,
                )  # fmt: skip
        axis.axhline(0, color="#999999", linewidth=0.5, zorder=0)
        axis.axvline(0, color="#999999", linewidth=0.5, zorder=0)
        axis.set_title(f"{subject.name}\n{INTEGRATORS[subject.dynamic].name}, h = {h:g}", fontsize=11)
        axis.set_xlabel("real part of h λ")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("imaginary part of h λ")
    greys = _shades("#555555", units)
    handles = [Line2D([], [], linestyle="", marker="s", color=greys[i], label=f"unit {i + 1}") for i in range(units)]
    handles += [
        Line2D([], [], linestyle="", marker=marker, color="#333333", markersize=5, label=f"norm {norm}")
        for norm, marker in {"frozen": MARKERS["frozen"], "free": MARKERS["with norm"]}.items()
    ]
    handles.append(Line2D([], [], linewidth=8, color=STABLE, label="stable: a step lets no mode grow"))
    figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    grids = sorted({(row["unit"], row["grid"]) for row in layers if row["asymmetry"] != ""})
    return Picture(
        figure,
        "Eigenvalues of the layers",
        "Eigenvalues λ of the Jacobian of every layer (unit, time step) at test images, times the step size h, and where the "
        "time integrator is stable. Norm frozen: mean and variance held at their values there; free: they follow the "
        "features. All eigenvalues, float64; features averaged to "
        + ", ".join(f"{grid} (unit {unit})" for unit, grid in grids)
        + " pixels. For the hyperbolic dynamics λ are those of the first-order system. The axes of a panel differ in scale.",
    )


def step_sizes(subjects: Sequence[Subject], layers: Rows) -> Picture:
    """The largest stable step size of every layer at full size, and the one used."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    axis = figure.subplots()
    full = [row for row in layers if row["asymmetry"] == ""]
    names = sorted({(row["unit"], row["step"]) for row in full})
    used = {subject.config.network.step_size for subject in subjects}
    handles = []
    for i, subject in enumerate(subjects):
        colour = colours([subject.dynamic])[subject.dynamic]
        offset = (i - (len(subjects) - 1) / 2) * 0.6 / len(subjects)
        for norm in MARKERS:
            rows = [row for row in full if row["network"] == subject.name and row["norm"] == norm]
            at = [names.index((row["unit"], row["step"])) + offset for row in rows]
            values = [row["step_size_allowed"] for row in rows]
            filled = {"s": 34, "facecolors": colour} if norm == "frozen" else {"s": 90, "facecolors": "none"}
            axis.scatter(at, values, edgecolors=colour, linewidths=1.2, zorder=3, **filled)
        name = f"{subject.name} ({INTEGRATORS[subject.dynamic].name})"
        handles.append(Line2D([], [], linestyle="", marker="o", color=colour, label=name))
    for h in used:
        axis.axhline(h, color="black", linewidth=1.2, zorder=1)
        axis.annotate(
            f"used: h = {h:g}", (1, h), (-4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", fontsize=9,
        )  # fmt: skip
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.set_ylim(low, max(high, 1.3 * max(used)))
    axis.axhspan(low, min(used), color="#f6d5d5", zorder=0, linewidth=0)
    axis.text(0.008, 0.02, "allowed < used: unstable", transform=axis.transAxes, fontsize=9, color="#993333")
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= t <= axis.get_ylim()[1]]
    axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xticks(range(len(names)), [f"{unit}.{step}" for unit, step in names])
    for first in [i for i, (_, step) in enumerate(names) if step == 1 and i]:
        axis.axvline(first - 0.5, color="#cccccc", linewidth=0.8, zorder=0)
    axis.set_xlabel("unit . time step")
    axis.set_ylabel("largest stable step size h")
    axis.spines[["top", "right"]].set_visible(False)
    handles += [
        Line2D([], [], linestyle="", marker="o", color="#333333", markersize=5, label="norm frozen"),
        Line2D([], [], linestyle="", marker="o", color="#333333", markerfacecolor="none", markersize=9, label="norm free"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return Picture(
        figure,
        "Step sizes that the layers allow",
        "The largest step size at which the mode of the largest eigenvalue does not grow, for every layer at full size "
        "(matrix-free): forward Euler h |λ| <= 2, Verlet and leapfrog h |λ| <= 2 with λ imaginary. Norm frozen: mean and "
        "variance held; free: they follow the features. A layer without a point allows no step size.",
    )


def _shades(colour: str, count: int) -> list[tuple[float, float, float]]:
    """From pale to full."""
    strengths = np.linspace(0.4, 1, count) if count > 1 else [1.0]
    red, green, blue = to_rgb(colour)
    return [(1 - t * (1 - red), 1 - t * (1 - green), 1 - t * (1 - blue)) for t in strengths]


def _limits(axis: Axes, z: np.ndarray, *, euler: bool) -> None:
    """All points, and at least the region of stability along its axis."""
    along, across = (z.real, z.imag) if euler else (z.imag, z.real)
    low, high = (min(along.min(), -2), max(along.max(), 0)) if euler else (min(along.min(), -2), max(along.max(), 2))
    margin, width = 0.06 * (high - low), max(1.25 * np.abs(across).max(), 0.05 * (high - low))
    if euler:
        axis.set(xlim=(low - margin, high + margin), ylim=(-width, width))
    else:
        axis.set(ylim=(low - margin, high + margin), xlim=(-width, width))


def _region(axis: Axes, subject: Subject) -> None:
    if isinstance(INTEGRATORS[subject.dynamic], ForwardEuler):
        axis.add_patch(Ellipse((-1, 0), 2, 2, facecolor=STABLE, edgecolor="#c8b560", zorder=-1))
    else:
        axis.plot([0, 0], [-2, 2], color=STABLE, linewidth=14, solid_capstyle="butt", zorder=-1)
