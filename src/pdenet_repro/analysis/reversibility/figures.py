"""Draw the errors of units that run backwards, by precision and by number of steps, and the errors of gradients."""

from collections.abc import Mapping, Sequence
from statistics import geometric_mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from pdenet_repro.analysis.drawing import draw_spread, legend, styles_of
from pdenet_repro.analysis.result import Row, columns_of, where
from pdenet_repro.report.figures import Style, draw_grid

Rows = Sequence[Row]


def picture(by_unit: Rows, refined: Rows, gradients: Rows) -> Figure:
    """Draw relative errors: of the first state by unit and precision (left) and by steps (middle), of gradients (right)."""
    style = styles_of(by_unit)
    figure = Figure(figsize=(12.5, 5.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    _by_unit(left, by_unit, style)
    _by_steps(middle, refined, style)
    _of_gradients(right, gradients, style)
    for axis in (left, middle, right):
        axis.set_yscale("log")
        draw_grid(axis)
    low, high = left.get_ylim()
    left.set_ylim(low / 10, high * 3)
    legend(figure, [left])
    return figure


def _by_unit(axis: Axes, rows: Rows, style: Mapping[str, Style]) -> None:
    units = max(row["unit"] for row in rows)
    for network, how in style.items():
        axis.plot([], [], how.dashes, marker=how.marker, color=how.colour, label=network)  # for the legend
    roundoffs = {row["precision"]: row["unit_roundoff"] for row in rows}
    for precision, roundoff in roundoffs.items():
        for i, (network, how) in enumerate(style.items()):
            chosen = where(rows, network=network, precision=precision)
            x = [row["unit"] + 0.12 * (i - (len(style) - 1) / 2) for row in chosen]
            middle, largest = columns_of(chosen, "relative_error_median", "relative_error_max")
            axis.plot(x, middle, how.dashes, color=how.colour, linewidth=1, alpha=0.5)
            axis.plot(x, middle, how.marker, color=how.colour, markersize=6)
            axis.vlines(x, middle, largest, color=how.colour, linewidth=1.5)
        typical = geometric_mean(row["relative_error_median"] + 1e-17 for row in where(rows, precision=precision))
        axis.text(units + 0.35, typical, precision.replace(", ", ",\n"), va="center", fontsize=9)
        axis.plot([0.45, 0.6], [roundoff] * 2, color="black", linewidth=2)
    axis.text(0.65, next(iter(roundoffs.values())), "unit roundoff", va="center", fontsize=8)
    axis.set_xlim(0.45, units + 0.4 + 0.35 * units)
    axis.set_xticks(range(1, units + 1))
    axis.set_xlabel("unit")
    axis.set_ylabel("relative error of the first state")
    axis.set_title("by precision", fontsize=11)


def _by_steps(axis: Axes, rows: Rows, style: Mapping[str, Style]) -> None:
    steps = sorted({row["steps"] for row in rows})
    for network, how in style.items():
        own = where(rows, network=network)
        draw_spread(axis, own, "steps", "relative_error_median", how, alpha=0.15, markersize=6)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(steps))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("time steps of the unit, to the same final time")
    axis.set_ylabel("relative error of the first state")
    axis.set_title("float32, refined time grids", fontsize=11)


def _of_gradients(axis: Axes, rows: Rows, style: Mapping[str, Style]) -> None:
    for network, how in style.items():
        units, reverse, stored = columns_of(
            where(rows, network=network),
            "unit",
            "relative_difference_reverse_store",
            "relative_difference_store_float64",
        )
        axis.plot(units, reverse, how.marker + "-", color=how.colour, markersize=6)
        axis.plot(units, stored, how.marker + ":", color=how.colour, markersize=7, markerfacecolor="none")
    axis.plot([], [], "k-", marker="o", label="memory=reverse from store")
    axis.plot([], [], "k:", marker="o", markerfacecolor="none", label="store from float64")
    axis.legend(fontsize=9, loc="upper right")
    low, high = (f(row[key] for row in rows for key in row if key.startswith("relative")) for f in (min, max))
    axis.set_ylim(low / 2, high * 5)
    axis.set_xticks(sorted({row["unit"] for row in rows}))
    axis.set_xlabel("unit")
    axis.set_ylabel("relative difference of the gradient")
    axis.set_title("gradients, float32", fontsize=11)
