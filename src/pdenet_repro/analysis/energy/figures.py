"""Draw the norms of the features, the conserved quantities and the forces in the units of networks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.drawing import draw_layers, legend, line_styles, plain_numbers, styles_of
from pdenet_repro.analysis.energy.time_series import NetworkSeries
from pdenet_repro.analysis.result import Row
from pdenet_repro.analysis.trajectory import Place, places, units
from pdenet_repro.report.figures import Style


def _path(found: Sequence[NetworkSeries]) -> list[Place]:
    """Return the places in units of a network with the most units and steps among those measured."""
    return places(*(each.subject.config.network for each in found))[1:-1]


def of_norms(found: Sequence[NetworkSeries]) -> Figure:
    """Draw the norm of the features over that at the start of the unit: a row for each setting, a line for each network."""
    settings = list(dict.fromkeys(each.setting for each in found))
    style = line_styles((each.subject.name, each.subject.dynamic) for each in found)
    figure = Figure(figsize=(10.0, 1.2 + 2.6 * len(settings)), layout="constrained")
    axes = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for i, (axis, setting) in enumerate(zip(axes, settings, strict=True)):
        depth_axes.prepare(axis, _path(found), named=i == 0, labelled=i == len(settings) - 1)
        axis.axhline(1, color="black", linewidth=1)
        for each in (each for each in found if each.setting == setting):
            how = style[each.subject.name]
            axis.plot([], [], how.dashes, marker=how.marker, markersize=5, color=how.colour, label=each.subject.name)
            for at, series in zip(depth_axes.unit_indices(_path(found)), each.units, strict=False):
                whole = np.isclose(series.times % 1, 0)
                x = at[0] + series.times
                depth_axes.draw(axis, x, series.feature_norm, how, marker=None)
                axis.plot(
                    x[whole], np.median(series.feature_norm[whole], axis=1), how.marker, color=how.colour, markersize=5
                )
        axis.set_yscale("log")
        plain_numbers(axis)
        axis.set_ylabel(f"{setting}\n\n‖Y‖ over that at\nthe unit's start")
    legend(figure)
    return figure


def of_invariants(found: Sequence[NetworkSeries]) -> Figure:
    """Draw phi (parabolic), H (hyperbolic) and energy (10) (second-order) of flows without norm: a row for each network."""
    figure = Figure(figsize=(10.0, 1.0 + 2.4 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    style = line_styles((each.subject.name, each.subject.dynamic) for each in found)
    for i, (axis, each) in enumerate(zip(axes, found, strict=True)):
        colour = style[each.subject.name].colour
        depth_axes.prepare(axis, _path(found), named=i == 0, labelled=i == len(found) - 1)
        axis.axhline(1, color="black", linewidth=1, label="linear bound ½‖K Y₀‖²" if not i else None)
        for unit, (at, series) in enumerate(zip(depth_axes.unit_indices(_path(found)), each.units, strict=False)):
            x = at[0] + series.times
            lines = [
                (series.invariant, colour, "H of the scheme's state, constant to O(h)", ":"),
                (series.centred, colour, "H with both parts at one time, constant to O(h²)", "-"),
                (series.energy_10, "black", "energy (10)", "--"),
            ]
            if units(each.subject.network)[0].dynamic.facts.equation == "parabolic":  # its state has one part
                lines = [(series.invariant, colour, "φ", "-")]
            for values, shade, name, line in lines:
                if values is not None:
                    known, how = ~np.isnan(values[:, 0]), Style(shade, "", line)
                    depth_axes.draw(axis, x[known], values[known], how, None if unit else name, band=line == "-")
        axis.set_ylim(0, 1.08 * max(1.0, axis.get_ylim()[1] / 1.08))
        axis.set_ylabel(f"{each.subject.name}\n\nover ½‖K Y₀‖²", fontsize=9)
    legend(figure)
    return figure


def of_forces(rows: Sequence[Row]) -> Figure:
    """Draw ``|F|`` at test images over the bound that the norm gives, for every layer of every network."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    axis = figure.subplots()

    def shares(of_layer: Sequence[Row]) -> list[list[float]]:
        return [[row[f"force_{part}"] / row["force_bound"] for row in of_layer] for part in ("median", "median", "max")]

    draw_layers(axis, [row for row in rows if row["force_bound"] < np.inf], styles_of(rows), shares)
    axis.axhline(1, color="black", linewidth=1)
    axis.set_ylim(0, 1.05)
    axis.set_ylabel("‖F(Y)‖ over its bound")
    legend(figure)
    return figure
