"""Feature norms and energies along the units of networks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.energy.courses import Measured
from pdenet_repro.analysis.styles import line_styles
from pdenet_repro.analysis.trajectory import Place, places
from pdenet_repro.report.figures import colours


def _way(found: Sequence[Measured]) -> list[Place]:
    """The units' places of all networks."""
    return places(*(each.subject.config.network for each in found))[1:-1]


def of_norms(found: Sequence[Measured]) -> Figure:
    """Norm of the features over that at the unit's start; a row a setting, a line a dynamic."""
    settings = list(dict.fromkeys(each.setting for each in found))
    style = line_styles((each.name, each.subject.dynamic) for each in found)
    figure = Figure(figsize=(10.0, 1.0 + 2.6 * len(settings)), layout="constrained")
    axes = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for i, (axis, setting) in enumerate(zip(axes, settings, strict=True)):
        depth_axes.prepare(axis, _way(found), named=i == 0, labelled=i == len(settings) - 1)
        axis.axhline(1, color="black", linewidth=1)
        for each in (each for each in found if each.setting == setting):
            how = style[each.name]
            axis.plot([], [], how.line, marker=how.marker, markersize=5, color=how.colour, label=each.name)
            for at, course in zip(depth_axes.inside(_way(found)), each.units, strict=False):
                whole = np.isclose(course.times % 1, 0)
                x = at[0] + course.times
                depth_axes.draw(axis, x, course.norm, how.colour, style=how.line)
                axis.plot(x[whole], np.median(course.norm[whole], axis=1), how.marker, color=how.colour, markersize=5)
        axis.set_yscale("log")
        depth_axes.plain_numbers(axis)
        axis.set_ylabel(f"{setting}\n\n‖Y‖ over that at\nthe unit's start")
    depth_axes.legend(figure)
    return figure


def of_energies(found: Sequence[Measured]) -> Figure:
    """Energy (10), its kinetic part, and the linear wave's energy; a row a second-order network and setting."""
    found = [each for each in found if each.units[0].energy is not None]
    figure = Figure(figsize=(10.0, 1.0 + 2.6 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for i, (axis, each) in enumerate(zip(axes, found, strict=True)):
        colour = colours([each.subject.dynamic])[each.subject.dynamic]
        depth_axes.prepare(axis, _way(found), named=i == 0, labelled=i == len(found) - 1)
        axis.axhline(1, color="black", linewidth=1)
        for unit, (at, course) in enumerate(zip(depth_axes.inside(_way(found)), each.units, strict=False)):
            x = at[0] + course.times
            for values, shade, name, style in (
                (course.energy, colour, "energy (10)", "-"),
                (course.kinetic, colour, "its kinetic part", ":"),
                (course.linear, "black", "linear wave with the same kernels", "--"),
            ):
                assert values is not None
                depth_axes.draw(axis, x, values, shade, None if unit else name, style, band=style == "-")
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        several = f"{each.name}\n" if len({other.name for other in found}) > 1 else ""
        axis.set_ylabel(f"{several}{each.setting}\n\nenergy over ½‖K Y₀‖²")
    depth_axes.legend(figure)
    return figure
