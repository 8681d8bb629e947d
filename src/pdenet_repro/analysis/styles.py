"""Colours, markers and lines of networks in the pictures of all analyses."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.report.figures import colours

LINES = ("-", "--", "-.", ":")
FURTHER = "PX*p<>h"  # markers of the second and later networks of a dynamic; its first has the dynamic's marker


@dataclass(frozen=True)
class Style:
    """How a network is drawn: in the colour of its dynamic, with its own marker and line among networks of that dynamic."""

    colour: str
    marker: str
    line: str


def line_styles(networks: Iterable[tuple[str, str]]) -> dict[str, Style]:
    """The style of each network, by its name; ``networks`` are pairs (name, dynamic), which may be repeated."""
    networks = list(dict.fromkeys(networks))
    colour = colours(list(dict.fromkeys(dynamic for _, dynamic in networks)))
    found: dict[str, Style] = {}
    before: Counter[str] = Counter()
    for name, dynamic in networks:
        number = before[dynamic]
        marker = FURTHER[(number - 1) % len(FURTHER)] if number else facts_of(dynamic).marker
        found[name] = Style(colour[dynamic], marker, LINES[number % len(LINES)])
        before[dynamic] += 1
    return found


def draw_grid(axis: Axes, *, rows_only: bool = False) -> None:
    """Draw pale grid lines, or the horizontal ones alone, and no frame on top and right."""
    axis.grid(axis="y" if rows_only else "both", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def legend_columns(names: Sequence[str], figure: Figure, size: float) -> int:
    """The number of columns of a legend below the figure, for names in letters of ``size`` points."""
    letters = 72 * figure.get_figwidth() / (0.55 * size)  # across, of average width; handle and gaps take nine

    def width(columns: int) -> int:
        return sum(9 + max(map(len, part)) for part in np.array_split(names, columns))

    return max((n for n in range(1, min(6, len(names)) + 1) if width(n) <= letters), default=1)
