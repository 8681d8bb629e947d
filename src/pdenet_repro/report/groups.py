"""Which runs belong together: the one grouping that tables, figures, CSV files, terminal and page all follow.

A *cell* is the runs that agree in everything that can change the result, but the seed; runs on the official folds are
cells of their own. Cells that differ in the dynamic and the number of training images alone form a *group*, named by the
settings that tell it from the other groups. A *line* is the cells of one dynamic in one group, by number of images.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from pdenet_repro.config.dynamics import facts_of, sort_key
from pdenet_repro.config.schema import all_settings, value_of
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.run import RESULT_KEYS, Run
from pdenet_repro.system.errors import InvalidConfig

WITHIN = ("dynamic", "data.fraction", "seed")  # what runs of one group may differ in
FOLD = "data.fold"
VARIATION = "variation"


@dataclass(frozen=True)
class Group:
    """Settings by which a group is named, in the order of their importance; none where there is one group only."""

    settings: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """For tables and legends: ``schedule.learning_rate=0.1``."""
        return ", ".join(value if key in (FOLD, VARIATION) else f"{key}={value}" for key, value in self.settings)

    def named(self, dynamic: str) -> str:
        """A dynamic of the group, for tables and legends."""
        return ", ".join(part for part in (facts_of(dynamic).label, self.name) if part)


@dataclass(frozen=True, eq=False)
class Cell:
    """Runs that differ in the seed alone, or in the seed and the official fold."""

    group: Group
    runs: tuple[Run, ...]

    @property
    def dynamic(self) -> str:
        """Name of the dynamic."""
        return self.runs[0].dynamic

    @property
    def images(self) -> int:
        """Number of training images."""
        return self.runs[0].images

    @property
    def on_folds(self) -> bool:
        """Whether its runs are on the official folds."""
        return self.runs[0].config.data.fold is not None

    @property
    def name(self) -> str:
        """Dynamic and group, for tables and legends."""
        return self.group.named(self.dynamic)

    @cached_property
    def repetitions(self) -> dict[int, list[Run]]:
        """The runs by seed; on the official folds by fold, whose seeds are averaged."""
        found: dict[int, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.repetition[1 if self.on_folds else 0], []).append(run)
        return dict(sorted(found.items()))

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of each repetition."""
        return [mean(run.accuracy for run in runs) for runs in self.repetitions.values()]

    @property
    def count(self) -> str:
        """How many repetitions of what: ``3 seeds (0, 1, 2)``."""
        return counted(len(self.repetitions), "fold" if self.on_folds else "seed") + f" ({listed(self.repetitions)})"


@dataclass(frozen=True, eq=False)
class Line:
    """The cells of one dynamic in one group, by number of training images."""

    dynamic: str
    group: Group
    number: int  # of the group, for its markers and dashes
    cells: Mapping[int, Cell]

    @property
    def name(self) -> str:
        """Dynamic and group, for tables and legends."""
        return self.group.named(self.dynamic)

    @property
    def largest(self) -> Cell:
        """The cell on the most images."""
        return self.cells[max(self.cells)]


class Grouping:
    """The cells of some runs, by group, dynamic and number of images.

    ``by``: settings to name groups by, first; they tell runs apart even if they change no result.
    """

    def __init__(self, runs: Sequence[Run], by: Sequence[str] = (), missing: Sequence[Missing] = ()) -> None:
        check_keys(by)
        if any(run.config.variation for run in runs):
            by = [*dict.fromkeys([*by, VARIATION])]
        self.by, self.missing = tuple(by), tuple(missing)
        keys = [*by, *(key for key in RESULT_KEYS if key not in (*WITHIN, *by))]
        self.values = {run: {key: _shown(run, key) for key in keys} for run in runs}
        self.differing = [key for key in keys if len({values[key] for values in self.values.values()}) > 1]
        self.naming = self._naming()
        self.lines = self._lines(runs)
        self.cells = [cell for line in self.lines for cell in line.cells.values()]

    @property
    def groups(self) -> list[Group]:
        """In the order of the tables: the one with the most runs first."""
        return list(dict.fromkeys(line.group for line in sorted(self.lines, key=lambda line: line.number)))

    @property
    def sizes(self) -> list[int]:
        """Numbers of training images that any run has, growing."""
        return sorted({cell.images for cell in self.cells})

    @property
    def whole(self) -> int | None:
        """Number of training images that are all of the data set; None where all runs are on official folds."""
        of_fraction = {cell.runs[0].config.data.fraction: cell.images for cell in self.cells if not cell.on_folds}
        return round(of_fraction[max(of_fraction)] / max(of_fraction)) if of_fraction else None

    @property
    def planned_sizes(self) -> list[int]:
        """Numbers of training images that runs have, or would have that are planned and missing; growing."""
        whole = self.whole
        fractions = {each.fraction for each in self.missing if each.fraction is not None}
        return sorted({*self.sizes, *(round(fraction * whole) for fraction in fractions if whole)})

    @property
    def comparable(self) -> dict[Line, Cell]:
        """The cells to show beside each other: on the number of images that most lines have, else each on its own most."""
        size = shared_size([line.cells for line in self.lines])
        if size is None:
            return {line: line.largest for line in self.lines}
        return {line: line.cells[size] for line in self.lines if size in line.cells}

    def without(self, runs: Sequence[Run]) -> str:
        """Names of the lines that none of the runs is of, with blanks between them."""
        own = {line.name: {run for cell in line.cells.values() for run in cell.runs} for line in self.lines}
        return "; ".join(name for name, of_line in own.items() if of_line.isdisjoint(runs))

    def common_repetition(self, cells: Iterable[Cell]) -> int | None:
        """The seed (or fold) that most of the cells have, the lowest of those; None without cells."""
        counts = Counter(repetition for cell in cells for repetition in cell.repetitions)
        return min(counts, key=lambda each: (-counts[each], each), default=None)

    def full_differences(self) -> list[str]:
        """A sentence for each setting that is not the same in all runs, beside those the figures vary."""
        sentences = []
        for key in self.differing:
            counts = Counter(values[key] for values in self.values.values())
            sentences.append(f"{key}: " + ", ".join(f"{value} in {counted(n, 'run')}" for value, n in counts.items()))
        return sentences

    def _naming(self) -> list[str]:
        """The settings to name groups by: those chosen, then as few of the differing ones as tell all groups apart."""

        def distinct(keys: Sequence[str]) -> int:
            return len({tuple(values[key] for key in keys) for values in self.values.values()})

        named = [key for key in self.by if key in self.differing]
        while distinct(named) < distinct(self.differing):
            rest = [key for key in self.differing if key not in named]
            named.append(max(rest, key=lambda key: distinct([*named, key])))
        return named

    def _lines(self, runs: Sequence[Run]) -> list[Line]:
        by_group: dict[Group, list[Run]] = {}
        for run in runs:
            settings = tuple((key, self.values[run][key]) for key in self.naming)
            by_group.setdefault(Group(settings), []).append(run)
        lines = []
        for number, group in enumerate(sorted(by_group, key=lambda group: -len(by_group[group]))):
            cells: dict[str, dict[int, list[Run]]] = {}
            for run in sorted(by_group[group], key=lambda run: (run.dynamic, run.images, run.repetition)):
                cells.setdefault(run.dynamic, {}).setdefault(run.images, []).append(run)
            for dynamic, of in cells.items():
                lines.append(Line(dynamic, group, number, {n: Cell(group, tuple(own)) for n, own in of.items()}))
        return sorted(lines, key=lambda line: (sort_key(line.dynamic), line.number))


def shared_size(sizes: Sequence[Collection[int]]) -> int | None:
    """Of the numbers of images that each line has: that of most lines, the largest of those; None where no two share one."""
    counts = Counter(size for each in sizes for size in each)
    best = max(counts, key=lambda size: (counts[size], size), default=None)
    return best if best is not None and counts[best] > min(1, len(sizes) - 1) else None


def check_keys(by: Sequence[str]) -> None:
    """Refuse what groups cannot be named by; InvalidConfig."""
    known = [key for key, _ in all_settings()]
    for key in by:
        if key not in known:
            raise InvalidConfig(f"--by {key}: must be a setting, such as recipe or schedule.learning_rate (see --help)")
        if key in WITHIN:
            raise InvalidConfig(f"--by {key}: must be another setting; tables and figures show each {key} anyway")


def counted(number: int, thing: str) -> str:
    """``1 run``, ``3 runs``, ``2 copies``."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def listed(values: Iterable[object]) -> str:
    """``0, 1, 2``; a long run of whole numbers as ``0 to 29``."""
    found = list(dict.fromkeys(values))
    numbers = sorted(value for value in found if isinstance(value, int))
    if len(numbers) == len(found) > 4 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]:,} to {numbers[-1]:,}"
    return ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in found)


def _shown(run: Run, key: str) -> str:
    if key == FOLD:
        return "no folds" if run.config.data.fold is None else "official folds"
    return shown(value_of(run.config, key)) or "no variation"


def shown(value: Any) -> str:
    """A setting's value as a command takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
