"""Pictures of the features' norms, of conserved quantities and of forces in the units of networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.energy.courses import Measured
from pdenet_repro.analysis.styles import draw_grid, line_styles
from pdenet_repro.analysis.trajectory import Place, places


def _path(found: Sequence[Measured]) -> list[Place]:
    """The places in units, for the network with the most units and steps."""
    return places(*(each.subject.config.network for each in found))[1:-1]


def of_norms(found: Sequence[Measured]) -> Figure:
    """Norm of the features over that at the start of the unit: a row for each setting, a line for each network."""
    settings = list(dict.fromkeys(each.setting for each in found))
    style = line_styles((each.subject.name, each.subject.dynamic) for each in found)
    figure = Figure(figsize=(10.0, 1.2 + 2.6 * len(settings)), layout="constrained")
    axes = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for i, (axis, setting) in enumerate(zip(axes, settings, strict=True)):
        depth_axes.prepare(axis, _path(found), named=i == 0, labelled=i == len(settings) - 1)
        axis.axhline(1, color="black", linewidth=1)
        for each in (each for each in found if each.setting == setting):
            how = style[each.subject.name]
            axis.plot([], [], how.line, marker=how.marker, markersize=5, color=how.colour, label=each.subject.name)
            for at, course in zip(depth_axes.inside(_path(found)), each.units, strict=False):
                whole = np.isclose(course.times % 1, 0)
                x = at[0] + course.times
                depth_axes.draw(axis, x, course.norm, how.colour, style=how.line)
                axis.plot(x[whole], np.median(course.norm[whole], axis=1), how.marker, color=how.colour, markersize=5)
        axis.set_yscale("log")
        depth_axes.plain_numbers(axis)
        axis.set_ylabel(f"{setting}\n\n‖Y‖ over that at\nthe unit's start")
    depth_axes.legend(figure)
    return figure


def of_invariants(found: Sequence[Measured]) -> Figure:
    """Without norm, phi of parabolic networks, H and energy (10) of hyperbolic ones: a row for each network."""
    figure = Figure(figsize=(10.0, 1.0 + 2.4 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    style = line_styles((each.subject.name, each.subject.dynamic) for each in found)
    for i, (axis, each) in enumerate(zip(axes, found, strict=True)):
        colour = style[each.subject.name].colour
        depth_axes.prepare(axis, _path(found), named=i == 0, labelled=i == len(found) - 1)
        axis.axhline(1, color="black", linewidth=1, label="linear bound ½‖K Y₀‖²" if not i else None)
        for unit, (at, course) in enumerate(zip(depth_axes.inside(_path(found)), each.units, strict=False)):
            x = at[0] + course.times
            for values, shade, name, line in (
                (course.invariant, colour, "H or φ of the scheme's state, O(h)", ":"),
                (course.centred, colour, "H or φ with all parts at one time, O(h²)", "-"),
                (course.energy_10, "black", "energy (10)", "--"),
            ):
                if values is not None:
                    known = ~np.isnan(values[:, 0])
                    depth_axes.draw(
                        axis, x[known], values[known], shade, None if unit else name, line, band=line == "-"
                    )
        axis.set_ylim(0, 1.08 * max(1.0, axis.get_ylim()[1] / 1.08))
        axis.set_ylabel(f"{each.subject.name}\n\nover ½‖K Y₀‖²", fontsize=9)
    depth_axes.legend(figure)
    return figure


def of_forces(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """``|F|`` at test images over the bound that the norm gives, for every layer of every network."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    axis = figure.subplots()
    style = line_styles((row["network"], row["dynamic"]) for row in rows)
    names = sorted({(row["unit"], row["step"]) for row in rows})
    for i, (network, how) in enumerate(style.items()):
        own = [row for row in rows if row["network"] == network and row["force_bound"] < np.inf]
        at = [names.index((row["unit"], row["step"])) + 0.6 * (i / len(style) - 0.5) for row in own]
        median, largest = ([row[key] / row["force_bound"] for row in own] for key in ("force_median", "force_max"))
        axis.vlines(at, median, largest, color=how.colour, linewidth=1)
        filled = how.colour if how.line == "-" else "none"
        axis.scatter(at, median, 30, marker=how.marker, edgecolors=how.colour, facecolors=filled, label=network)
    axis.axhline(1, color="black", linewidth=1)
    axis.set_ylim(0, 1.05)
    depth_axes.tick_steps(axis, names)
    axis.set_ylabel("‖F(Y)‖ over its bound")
    draw_grid(axis, rows_only=True)
    depth_axes.legend(figure)
    return figure
