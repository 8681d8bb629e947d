"""Draw the symbols of kernels, and the accuracy of networks at other image resolutions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pdenet_repro.analysis.drawing import tick_steps, time_steps
from pdenet_repro.analysis.result import Picture, Row, columns_of, where
from pdenet_repro.analysis.stencils.differential import BANDS, ODD_OF_NOISE
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import CLASSES, IMAGE_SIDE
from pdenet_repro.report.figures import colours, draw_grid, percent_axis

Rows = Sequence[Row]
SHADES = {"low": "#2b4c7e", "middle": "#5f9ea0", "high": "#e3b23c"}


def mean_symbol(rows: Rows, kind: str) -> float:
    """Return the mean of the column ``symbol_KIND`` over kernels, weighted by their squared norms."""
    values, weights = columns_of(rows, f"symbol_{kind}", "squared_norm")
    return float(np.average(values, weights=weights))


def symbols(subjects: Sequence[Subject], terms: Rows) -> Picture:
    """Draw for each network the mean squared symbol in each band and the odd share, by unit and time step."""
    figure = Figure(figsize=(4.2 * len(subjects) + 0.6, 4.4), layout="constrained")
    axes = figure.subplots(1, len(subjects), squeeze=False, sharey=True)[0]
    for axis, subject in zip(axes, subjects, strict=True):
        rows = [row for row in where(terms, network=subject.name) if row["squared_norm"] > 0]
        layers = time_steps(rows)
        for kind, colour in (*SHADES.items(), ("odd", "#999999")):
            values = [mean_symbol(where(rows, unit=unit, step=step), kind) for unit, step in layers]
            line, marker = ("", "x") if kind == "odd" else ("-", "o")
            axis.plot(range(len(layers)), values, line, marker=marker, color=colour, markersize=5)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.axhline(ODD_OF_NOISE, color="#999999", linewidth=0.8, linestyle=":")
        tick_steps(axis, layers, rotation=90, fontsize=9)
        _title(axis, subject)
        draw_grid(axis, rows_only=True)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("mean squared symbol over that of all frequencies")
    handles = [Line2D([], [], color=colour, marker="o", label=f"{band} frequencies") for band, colour in SHADES.items()]
    handles.append(Line2D([], [], color="#999999", marker="x", linestyle="", label="share that is odd"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, 1 + len(subjects)), frameon=False)
    bands = "; ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in BANDS.items())
    return Picture(
        figure,
        "Kernels by frequency",
        f"Mean of the squared symbols of the units' kernels over bands of frequency (over Nyquist's: {bands}), over their mean "
        "at all frequencies; crosses: the share of the kernels that is odd, like a first derivative. Kernels of independent "
        "entries have 1 (line) and 4/9 (dotted).",
    )


def _title(axis: Axes, subject: Subject) -> None:
    name, size = (subject.name, 12) if len(subject.name) <= 33 else (subject.name.replace(", ", ",\n"), 9)
    axis.set_title(name, color=colours([subject.dynamic])[subject.dynamic], fontweight="bold", fontsize=size)


def accuracies(subjects: Sequence[Subject], resolutions: Rows) -> Picture:
    """Draw for each network the test accuracy against the side of the images, for unchanged and rescaled stencils."""
    figure = Figure(figsize=(3.6 * len(subjects) + 0.8, 4.0), layout="constrained")
    axes = figure.subplots(1, len(subjects), squeeze=False, sharey=True)[0]
    sides = sorted({row["side_pixels"] for row in resolutions})
    for axis, subject in zip(axes, subjects, strict=True):
        colour = colours([subject.dynamic])[subject.dynamic]
        rows = sorted(where(resolutions, network=subject.name), key=lambda row: row["side_pixels"])
        for stencils, style, face, shift in (("unchanged", "--", "white", -0.05), ("rescaled", "-", colour, 0.05)):
            chosen = [row for row in rows if row["stencils"] in ("native", stencils)]
            at = [sides.index(row["side_pixels"]) + shift * (row["stencils"] != "native") for row in chosen]
            values, low, high = np.array(columns_of(chosen, "test_accuracy", "low_95", "high_95"))
            axis.errorbar(
                at, values, [values - low, high - values], color=colour, linestyle=style, marker="o", markerfacecolor=face,
                markersize=7, capsize=3, elinewidth=1,
            )  # fmt: skip
        axis.axhline(1 / CLASSES, color="#777777", linewidth=0.8, linestyle=":")
        _title(axis, subject)
        axis.set_xticks(range(len(sides)), [f"{side}" for side in sides])
        axis.set_xlim(-0.4, len(sides) - 0.6)
        axis.set_xlabel("side of the images in pixels")
        percent_axis(axis.yaxis)
        axis.set_ylim(0, 1.05 * max(row["high_95"] for row in resolutions))
        draw_grid(axis, rows_only=True)
    axes[0].set_ylabel("test accuracy")
    handles = [
        Line2D([], [], color="#333333", marker="o", linestyle="-", label="stencils rescaled to the mesh"),
        Line2D(
            [], [], color="#333333", marker="o", linestyle="--", markerfacecolor="white", label="stencils unchanged"
        ),
        Line2D([], [], color="#777777", linestyle=":", label="chance"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if len(subjects) > 1 else 1, frameon=False)
    return Picture(
        figure,
        "Networks at other image resolutions",
        f"Test accuracy on {resolutions[0]['test_images']} test images resized to other meshes (exact 95 % intervals), with the "
        f"stencils of {IMAGE_SIDE} pixels, and with stencils of the same differential operators at the new mesh size and time "
        "steps as short as that mesh needs; batch norms have new statistics at every size.",
    )
