"""Elements that the figures of several analyses share: the style of each network, marks, bands, axes and legends."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pdenet_repro.analysis.result import Row, where
from pdenet_repro.report.figures import Style, colours, draw_grid, style_of


def line_styles(networks: Iterable[tuple[str, str]]) -> dict[str, Style]:
    """Return the style of each network by its name; ``networks`` are pairs (name, dynamic), repetitions allowed.

    Networks of one dynamic share its colour and differ in marker and dashes.
    """
    networks = list(dict.fromkeys(networks))
    colour = colours(list(dict.fromkeys(dynamic for _, dynamic in networks)))
    found: dict[str, Style] = {}
    before: Counter[str] = Counter()
    for name, dynamic in networks:
        found[name] = style_of(dynamic, before[dynamic], colour[dynamic])
        before[dynamic] += 1
    return found


def styles_of(rows: Iterable[Row]) -> dict[str, Style]:
    """Return `line_styles` of the networks in the columns ``network`` and ``dynamic`` of a table."""
    return line_styles((row["network"], row["dynamic"]) for row in rows)


def panels(rows: Iterable[Row], most: int = 10) -> list[dict[str, Style]]:
    """Return `styles_of` of the networks for each panel of a picture: one panel, or one per dynamic for more than ``most``."""
    rows = list(rows)
    style = styles_of(rows)
    if len(style) <= most:
        return [style]
    dynamics = dict.fromkeys(row["dynamic"] for row in rows)
    return [{row["network"]: style[row["network"]] for row in where(rows, dynamic=dynamic)} for dynamic in dynamics]


def draw_marks(
    axis: Axes, at: Sequence[float], low_middle_high: Any, how: Style, size: float, label: str | None = None
) -> None:
    """Draw a mark at each middle value and a vertical line from its low to its high value.

    ``low_middle_high`` holds three arrays of the length of ``at``. Marks are filled for the first network of a dynamic only.
    """
    low, middle, high = low_middle_high
    axis.vlines(at, low, high, color=how.colour, linewidth=1)
    face = how.colour if how.dashes == "-" else "none"
    options: dict[str, Any] = {"edgecolors": how.colour, "facecolors": face, "zorder": 3}  # above lines of reference
    axis.scatter(at, middle, size, marker=how.marker, label=label, **options)


def draw_layers(
    axis: Axes, rows: Iterable[Row], style: Mapping[str, Style], low_middle_high: Callable[[list[Row]], Any]
) -> None:
    """Draw marks (`draw_marks`) of the layers of every time step: all networks and layers side by side around the step's tick.

    ``low_middle_high`` computes the values of a layer from its rows. The first layer of a step has its network's mark, further
    layers have other marks than all networks.
    """
    rows, networks = list(rows), list(style)
    steps, layers = time_steps(rows), list(dict.fromkeys((row["network"], row["layer"]) for row in rows))
    for i, (network, layer) in enumerate(layers):
        how, label = style[network], network
        if layer > 1:
            how = replace(how, marker="PX*h"[(networks.index(network) + layer - 2) % 4])
            label = f"{network}, layer {layer} of a step"
        own = where(rows, network=network, layer=layer)
        at = [steps.index((row["unit"], row["step"])) + 0.7 * ((i + 0.5) / len(layers) - 0.5) for row in own]
        draw_marks(axis, at, low_middle_high(own), how, 28, label)
    tick_steps(axis, steps)
    draw_grid(axis, rows_only=True)


def draw_band(
    axis: Axes, x: Any, low_middle_high: Any, how: Style, label: str | None = None, alpha: float = 0.13, **options: Any
) -> None:
    """Draw a line through the middle values and a band from the low to the high ones; ``alpha`` 0 leaves the band out."""
    low, middle, high = low_middle_high
    options = {"marker": how.marker, **options}
    axis.plot(x, middle, how.dashes, color=how.colour, label=label, **options)
    if alpha:
        axis.fill_between(x, low, high, color=how.colour, alpha=alpha, linewidth=0)


def draw_spread(
    axis: Axes, rows: Iterable[Row], x: str, y: str, how: Style, label: str | None = None, alpha: float = 0.13,
    percentiles: Sequence[float] = (0, 50, 100), **options: Any,
) -> None:  # fmt: skip
    """Draw column ``y`` against column ``x`` as a line with a band, which show ``percentiles`` of the rows with the same x.

    The three percentiles are the lower edge, the line and the upper edge; by default the minimum, the median and the maximum.
    """
    values: dict[float, list[float]] = {}
    for row in rows:
        values.setdefault(row[x], []).append(row[y])
    at = sorted(values)
    spread = np.array([np.percentile(values[each], percentiles) for each in at]).reshape(len(at), 3).T
    draw_band(axis, at, spread, how, label, alpha, **options)


def plain_numbers(axis: Axes) -> None:
    """Label a logarithmic y axis with plain numbers like 0.02, with more of them where it spans few powers of ten."""
    low, high = axis.get_ylim()
    span = high / low
    subs = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if span < 20 else (1.0, 2.0, 5.0) if span < 500 else (1.0,)
    axis.yaxis.set_major_locator(LogLocator(subs=subs))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def time_steps(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """Return the sorted pairs (unit, time step) that occur in the rows of a table."""
    return sorted({(row["unit"], row["step"]) for row in rows})


def tick_steps(axis: Axes, steps: Sequence[tuple[int, int]], **options: Any) -> None:
    """Label x = 0, 1, ... with the pairs (unit, time step) as ``unit.step``; ``options`` go to ``set_xticks``."""
    axis.set_xticks(range(len(steps)), [f"{unit}.{step}" for unit, step in steps], **options)
    axis.set_xlabel("unit . time step")


def legend(figure: Figure, axes: Sequence[Axes] = (), further: Sequence[Any] = (), size: float = 10) -> None:
    """Draw one legend below the figure: each label in ``axes`` (default: all) once, then the handles ``further``."""
    named: dict[str, Any] = {}
    for axis in axes or figure.axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    named |= {handle.get_label(): handle for handle in further}
    columns = _columns(list(named), figure, size)
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=size)


def _columns(names: Sequence[str], figure: Figure, size: float) -> int:
    """Return the largest number of columns with which a legend in letters of ``size`` points fits the figure's width."""
    # so many letters of average width fit; the line sample and the gaps of a column take 9
    letters = 72 * figure.get_figwidth() / (0.55 * size)

    def width(columns: int) -> int:
        return sum(9 + max(map(len, part)) for part in np.array_split(names, columns))

    return max((n for n in range(1, min(6, len(names)) + 1) if width(n) <= letters), default=1)
