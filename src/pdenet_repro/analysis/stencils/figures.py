"""Pictures of kernels as differential operators, and of networks moved to other resolutions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pdenet_repro.analysis.result import Picture
from pdenet_repro.analysis.stencils.differential import GROUPS, shares_of_noise
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.report.figures import colours

Rows = Sequence[Mapping[str, Any]]
SHADES = dict(zip(GROUPS, ("#2b4c7e", "#5f9ea0", "#e3b23c", "#b3b3b3"), strict=True))
NAMES = {"reaction": "reaction: 1", "convection": "convection: ∂x, ∂y", "diffusion": "diffusion: ∂xx, ∂yy, ∂xy",
         "higher": "higher: ∂xxy, ∂xyy, ∂xxyy"}  # fmt: skip


def share_in_all(terms: Rows, group: str) -> float | None:
    """Share of a group of terms in several kernels together, by their squared norms; None where all of them are zero."""
    kept = [row for row in terms if row["squared_norm"] > 0]  # a kernel of zeros has no shares
    if not kept:
        return None
    return float(np.average([row[f"share_{group}"] for row in kept], weights=[row["squared_norm"] for row in kept]))


def parts(subjects: Sequence[Subject], terms: Rows) -> Picture:
    """A panel a network: a bar for each unit and time step, its kernels' parts stacked; at the left independent noise."""
    figure = Figure(figsize=(4.2 * len(subjects) + 0.6, 4.4), layout="constrained")
    axes = figure.subplots(1, len(subjects), squeeze=False, sharey=True)[0]
    noise = shares_of_noise()
    for axis, subject in zip(axes, subjects, strict=True):
        rows = [row for row in terms if row["network"] == subject.name]
        layers = sorted({(row["unit"], row["step"]) for row in rows})
        places = [0.0] + [i + 1.2 + 0.5 * unit for i, (unit, _) in enumerate(layers)]
        bottom = np.zeros(len(places))
        for group, members in GROUPS.items():
            heights = [sum(noise[term] for term in members)]
            for layer in layers:
                of = [row for row in rows if (row["unit"], row["step"]) == layer]
                heights.append(share_in_all(of, group) or 0.0)
            bars = axis.bar(places, heights, 0.9, bottom, color=SHADES[group])
            bars[0].set_alpha(0.45)
            axis.axhline((bottom + heights)[0], color="#777777", linewidth=0.6, linestyle=":", zorder=0)
            bottom += heights
        axis.set_xticks(places, ["noise", *(f"{unit}.{step}" for unit, step in layers)], rotation=90, fontsize=9)
        axis.set_xlabel("unit . time step")
        _title(axis, subject)
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of the kernels")
    handles = [Patch(color=SHADES[group], label=NAMES[group]) for group in reversed(GROUPS)]
    figure.legend(
        handles=handles[::-1],
        loc="outside lower center",
        ncols=4 if len(subjects) > 2 else 2 * len(subjects) - 1,
        frameon=False,
    )
    return Picture(
        figure,
        "Kernels as differential operators",
        "How much of the units' kernels is reaction, convection, diffusion and higher terms: squared norms of the terms' "
        "parts of the 3x3 stencils, as shares of their sum; independent of the mesh size. Noise: what kernels of independent "
        "numbers, such as initial ones, come to. No bar: kernels that are zero.",
    )


def _title(axis: Axes, subject: Subject) -> None:
    """The network's name; a long one, which tells it from others of its dynamic, in two lines of smaller letters."""
    name, size = (subject.name, 12) if len(subject.name) <= 33 else (subject.name.replace(", ", ",\n"), 9)
    axis.set_title(name, color=colours([subject.dynamic])[subject.dynamic], fontweight="bold", fontsize=size)


def accuracies(subjects: Sequence[Subject], moved: Rows) -> Picture:
    """A panel a network: test accuracy against the image side, stencils unchanged and rescaled."""
    figure = Figure(figsize=(3.6 * len(subjects) + 0.8, 4.0), layout="constrained")
    axes = figure.subplots(1, len(subjects), squeeze=False, sharey=True)[0]
    sides = sorted({row["side_pixels"] for row in moved})
    for axis, subject in zip(axes, subjects, strict=True):
        colour = colours([subject.dynamic])[subject.dynamic]
        rows = [row for row in moved if row["network"] == subject.name]
        for stencils, style, face, shift in (("unchanged", "--", "white", -0.05), ("rescaled", "-", colour, 0.05)):
            chosen = sorted(
                (row for row in rows if row["stencils"] in ("native", stencils)), key=lambda row: row["side_pixels"]
            )
            at = np.array([sides.index(row["side_pixels"]) + shift * (row["stencils"] != "native") for row in chosen])
            values = np.array([row["test_accuracy"] for row in chosen])
            errors = [values - [row["low_95"] for row in chosen], [row["high_95"] for row in chosen] - values]
            axis.errorbar(
                at, values, errors, color=colour, linestyle=style, marker="o", markerfacecolor=face, markersize=7,
                capsize=3, elinewidth=1,
            )  # fmt: skip
        axis.axhline(0.1, color="#777777", linewidth=0.8, linestyle=":")
        _title(axis, subject)
        axis.set_xticks(range(len(sides)), [f"{side}" for side in sides])
        axis.set_xlim(-0.4, len(sides) - 0.6)
        axis.set_xlabel("side of the images in pixels")
        axis.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percentages, as they are written
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_ylim(0, 1.05 * max(row["high_95"] for row in moved))
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("test accuracy")
    handles = [
        Line2D([], [], color="#333333", marker="o", linestyle="-", label="stencils rescaled to the mesh"),
        Line2D(
            [], [], color="#333333", marker="o", markerfacecolor="white", linestyle="--", label="stencils unchanged"
        ),
        Line2D([], [], color="#777777", linestyle=":", label="chance"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if len(subjects) > 1 else 1, frameon=False)
    return Picture(
        figure,
        "Networks moved to other resolutions",
        f"Test accuracy on {moved[0]['test_images']} test images resized to other meshes (exact 95 % intervals), with the "
        f"stencils of {IMAGE_SIDE} pixels and with stencils of the same differential operators at the new mesh size.",
    )
