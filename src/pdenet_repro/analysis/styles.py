"""How networks are told apart in the pictures of all analyses."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.report.figures import colours

LINES = ("-", "--", "-.", ":")
FURTHER = "PX*p<>h"  # markers of further networks of a dynamic; its first has the dynamic's own


@dataclass(frozen=True)
class Style:
    """How a network is drawn: the colour of its dynamic, a marker and a line that tell it from others of that dynamic."""

    colour: str
    marker: str
    line: str


def line_styles(networks: Iterable[tuple[str, str]]) -> dict[str, Style]:
    """By name, of networks given as (name, dynamic), possibly repeatedly."""
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


def legend_columns(names: Sequence[str], figure: Figure, size: float) -> int:
    """How many columns of names, in letters of ``size`` points, a legend has room for below the figure."""
    letters = 72 * figure.get_figwidth() / (0.55 * size)  # across, of average width; handle and gaps take nine

    def width(columns: int) -> int:
        return sum(9 + max(map(len, part)) for part in np.array_split(names, columns))

    return max((n for n in range(1, min(6, len(names)) + 1) if width(n) <= letters), default=1)
