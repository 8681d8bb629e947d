"""What the figures of a report share: colours, markers, curves, axes, and the entries that identify a run in their CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import mean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator, PercentFormatter

from pdenet_repro.config.dynamics import BUILT_IN, facts_of
from pdenet_repro.report.groups import Cell, Grouping, Line
from pdenet_repro.report.run import Run

OTHERS = ("#cc79a7", "#e69f00", "#56b4e9", "#000000")  # for dynamics without a colour of their own (Okabe & Ito)
DASHES = ("-", "--", "-.", ":")  # one for each group
FURTHER = "v<>ph8d"  # markers of a dynamic's groups after the first
SHORTEST = 0.05  # smallest range of an axis of accuracies: a difference of a few test images must not look large
# the star of a published accuracy
STAR: Mapping[str, Any] = {"marker": "*", "linestyle": "", "markeredgecolor": "white", "markersize": 12, "zorder": 5}

Numbers = list[dict[str, Any]]


@dataclass(frozen=True)
class Style:
    """Colour, marker and dashes of a line in a figure."""

    colour: str
    marker: str
    dashes: str


def colours(dynamics: Sequence[str]) -> dict[str, str]:
    """Return a colour for each dynamic: its own, or the next of `OTHERS` that no other dynamic has as its own."""
    own = {name: facts_of(name).colour for name in dynamics}
    spare = cycle([colour for colour in OTHERS if colour not in own.values()] or OTHERS)
    return {name: colour or next(spare) for name, colour in own.items()}


def style_of(dynamic: str, number: int, colour: str) -> Style:
    """Return the style of a dynamic's network or group with this number; number 0 has the dynamic's own marker."""
    marker = FURTHER[(number - 1) % len(FURTHER)] if number else facts_of(dynamic).marker
    return Style(colour, marker, DASHES[number % len(DASHES)])


def styles(grouping: Grouping) -> dict[Line, Style]:
    """Return colour and marker by dynamic, dashes by group; with only one dynamic, colours distinguish its groups."""
    by_dynamic = colours(list(dict.fromkeys(line.dynamic for line in grouping.lines)))
    palette = cycle([*(facts.colour or "" for facts in BUILT_IN.values()), *OTHERS])
    several = len(by_dynamic) > 1 or len(grouping.lines) == 1
    return {
        line: style_of(line.dynamic, line.number, by_dynamic[line.dynamic] if several else next(palette))
        for line in grouping.lines
    }


def run_identity(cell: Cell, run: Run) -> dict[str, Any]:
    """Return the entries that identify the run in a row of a figure's numbers."""
    return {
        "dynamic": cell.dynamic,
        **dict(cell.group.settings),
        "images": cell.images,
        "seed": run.config.seed,
        "fold": run.config.data.fold,
    }


def shown_runs(grouping: Grouping) -> list[tuple[Cell, Run]]:
    """Return one run of each line that is compared with others, of the same seed where possible."""
    cells = list(grouping.comparable.values())
    repetition = grouping.common_repetition(cells)
    return [(cell, run_of(cell, repetition) or cell.runs[0]) for cell in cells]


def run_of(cell: Cell | None, repetition: int | None) -> Run | None:
    """Return the cell's run of a seed or fold, or None."""
    runs = cell.repetitions.get(repetition) if cell and repetition is not None else None
    return runs[0] if runs else None


def draw_curves(
    axis: Axes, curves: Sequence[Mapping[int, float]], label: str, style: Style, **options: Any
) -> tuple[list[int], np.ndarray]:
    """Draw the curves of several runs (epoch -> value) as thin lines and their mean as a thick one; return the mean.

    The mean is at the epochs that all runs have, and is returned as these epochs and their values. It has a marker at every
    epoch, or at some if there are 20 or more.
    """
    epochs = sorted(set.intersection(*map(set, curves)))
    means = np.array([mean(curve[epoch] for curve in curves) for epoch in epochs])
    some = (0.03 * (len(axis.lines) % 4), 0.12)  # parts of the axes' diagonal; other lines have theirs elsewhere
    options |= {"marker": style.marker, "markersize": 5, "markevery": some if len(epochs) >= 20 else 1}
    axis.plot(epochs, means, color=style.colour, label=label, linestyle=style.dashes, **options)
    for curve in curves if len(curves) > 1 else []:
        axis.plot(list(curve), list(curve.values()), color=style.colour, linewidth=0.5, alpha=0.5)
    return epochs, means


def size_title(size: int | None) -> str:
    """Return the title of a figure whose lines are all on ``size`` training images; None: each on its most images."""
    return f"{size:,} training images" if size else "each on its most training images"


def widened(limits: tuple[float, float]) -> tuple[float, float]:
    """Return the limits of an axis of accuracies, moved apart to a range of `SHORTEST` if theirs is smaller."""
    missing = max(0.0, SHORTEST - (limits[1] - limits[0]))
    return limits[0] - missing / 2, limits[1] + missing / 2


def percent_axis(axis: Axis) -> None:
    """Label an axis whose values are fractions with whole per cents."""
    # The steps leave out 2.5, which needs a decimal.
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], min_n_ticks=1))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def draw_grid(axis: Axes, *, rows_only: bool = False) -> None:
    """Draw pale grid lines (with ``rows_only`` only the horizontal ones), and hide the frame on top and right."""
    axis.grid(axis="y" if rows_only else "both", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
