"""Group runs that belong together; all tables, figures and CSV files of a report follow this grouping.

A *cell* is the set of runs that agree in every setting that can change the result, except the seed; runs on the official
folds form cells of their own, in which the fold differs too. Cells that differ only in the dynamic and the number of
training images form a *group*, named by the settings that distinguish it from other groups. A setting that the recipe itself
gives another value for each dynamic distinguishes no groups, in runs that have this value. A *line* is the set of cells of one
dynamic in one group; Figure 2 draws it as a line over the number of training images.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from pdenet_repro.config.dynamics import facts_of, sort_key
from pdenet_repro.config.schema import all_settings, value_of
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.run import RESULT_KEYS, Run
from pdenet_repro.report.settings import format_value, rules_by_dynamic
from pdenet_repro.system.errors import InvalidConfig

WITHIN = ("dynamic", "data.fraction", "seed")  # settings in which runs of one group may differ
FOLD = "data.fold"
VARIATION = "variation"
BY_DYNAMIC = "by dynamic"  # stands for a value that the recipe gives the dynamic and not all dynamics


@dataclass(frozen=True)
class Group:
    """The settings by which a group is named, most important first; none if there is only one group."""

    settings: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Name of the group in tables and legends, such as ``schedule.learning_rate=0.1``."""
        named = [(key, value) for key, value in self.settings if (key, value) != (VARIATION, "")]
        return ", ".join(value if key in (FOLD, VARIATION) else f"{key}={value}" for key, value in named)

    def named(self, dynamic: str) -> str:
        """Return the name of a dynamic of the group in tables and legends: its label, then the group's name."""
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
        """Name of dynamic and group in tables and legends."""
        return self.group.named(self.dynamic)

    @cached_property
    def repetitions(self) -> dict[int, list[Run]]:
        """Runs by seed; on the official folds by fold, with one run for each seed of the fold."""
        found: dict[int, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.repetition[1 if self.on_folds else 0], []).append(run)
        return dict(sorted(found.items()))

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of each repetition, a fraction; on the official folds the mean over the fold's seeds."""
        return [mean(run.accuracy for run in runs) for runs in self.repetitions.values()]


@dataclass(frozen=True, eq=False)
class Line:
    """The cells of one dynamic in one group, by number of training images."""

    dynamic: str
    group: Group
    number: int  # of the group, from 0; selects markers and dashes
    cells: Mapping[int, Cell]

    @property
    def name(self) -> str:
        """Name of dynamic and group in tables and legends."""
        return self.group.named(self.dynamic)

    @property
    def largest(self) -> Cell:
        """The cell on the most images."""
        return self.cells[max(self.cells)]


class Grouping:
    """The cells of some runs, arranged in groups and lines.

    ``by`` are settings that come first in the names of groups; they distinguish runs even if they change no result.
    ``missing`` are planned runs without a result. InvalidConfig is raised for a setting that cannot name groups.
    """

    def __init__(self, runs: Sequence[Run], by: Sequence[str] = (), missing: Sequence[Missing] = ()) -> None:
        check_keys(by)
        if any(run.config.variation for run in runs):
            by = [*dict.fromkeys([*by, VARIATION])]
        self.by, self.missing = tuple(by), tuple(missing)
        keys = [*by, *(key for key in RESULT_KEYS if key not in (*WITHIN, *by))]
        self.values = {run: {key: _format_setting(run, key) for key in keys} for run in runs}
        self.differing = [key for key in keys if len({values[key] for values in self.values.values()}) > 1]
        self.rules = rules_by_dynamic(runs, set(self.differing) - set(by))
        for run, key in ((run, key) for run in runs for key in self.differing):
            rule = self.rules.get((run.config.recipe, key), {})
            if self.values[run][key] == rule.get(run.dynamic):
                self.values[run][key] = BY_DYNAMIC
        self.naming = distinguishing([*self.values.values()], self.differing, by)
        self.lines = self._lines(runs)
        self.cells = [cell for line in self.lines for cell in line.cells.values()]

    @property
    def groups(self) -> list[Group]:
        """The groups in the order of the tables: the one with the most runs first."""
        return list(dict.fromkeys(line.group for line in sorted(self.lines, key=lambda line: line.number)))

    @property
    def sizes(self) -> list[int]:
        """All numbers of training images of the runs, ascending."""
        return sorted({cell.images for cell in self.cells})

    @property
    def full_size(self) -> int | None:
        """Number of training images in the whole data set; None if all runs are on official folds."""
        of_fraction = {cell.runs[0].config.data.fraction: cell.images for cell in self.cells if not cell.on_folds}
        return round(of_fraction[max(of_fraction)] / max(of_fraction)) if of_fraction else None

    @property
    def planned_sizes(self) -> list[int]:
        """All numbers of training images of the runs and of missing planned runs, ascending."""
        whole = self.full_size
        fractions = {each.fraction for each in self.missing if each.fraction is not None}
        return sorted({*self.sizes, *(round(fraction * whole) for fraction in fractions if whole)})

    @property
    def common_size(self) -> int | None:
        """Number of training images that most lines have, of several the largest; None if no two lines share one."""
        return shared_size([line.cells for line in self.lines])

    @property
    def comparable(self) -> dict[Line, Cell]:
        """One cell for each line, to be compared with each other: on the number of images that most lines have.

        Lines without it are left out. If no two lines share a number of images, each line has its cell on the most images.
        """
        size = self.common_size
        if size is None:
            return {line: line.largest for line in self.lines}
        return {line: line.cells[size] for line in self.lines if size in line.cells}

    def without(self, runs: Sequence[Run]) -> str:
        """Return the names of the lines that contain none of ``runs``, separated by semicolons."""
        own = {line.name: {run for cell in line.cells.values() for run in cell.runs} for line in self.lines}
        return "; ".join(name for name, of_line in own.items() if of_line.isdisjoint(runs))

    def common_repetition(self, cells: Iterable[Cell]) -> int | None:
        """Return the seed (or fold) that most of the cells have, of several the lowest; None without cells."""
        counts = Counter(repetition for cell in cells for repetition in cell.repetitions)
        return min(counts, key=lambda each: (-counts[each], each), default=None)

    def full_differences(self) -> list[str]:
        """Return a sentence for each setting in which the runs differ."""
        sentences = []
        for key in self.differing:
            counts = Counter(self._in_full(run, key) for run in self.values)
            sentences.append(f"{key}: " + ", ".join(f"{value} in {counted(n, 'run')}" for value, n in counts.items()))
        return sentences

    def _in_full(self, run: Run, key: str) -> str:
        """Return the value of a setting; for one that goes with the dynamic its value for each dynamic."""
        value, recipe = self.values[run][key], run.config.recipe
        if value != BY_DYNAMIC:
            return value or "none"
        each = (f"{own} for {facts_of(dynamic).label}" for dynamic, own in self.rules[recipe, key].items())
        return f"{value} (recipe {recipe}: {', '.join(each)})"

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


def distinguishing(
    settings: Sequence[Mapping[str, str]], keys: Sequence[str], first: Collection[str] = ()
) -> list[str]:
    """Choose few of ``keys`` that distinguish all ``settings`` that all ``keys`` together distinguish.

    Keys of ``first`` that distinguish anything are chosen in any case.
    """

    def distinct(chosen: Sequence[str]) -> int:
        return len({tuple(values[key] for key in chosen) for values in settings})

    chosen = [key for key in first if distinct([key]) > 1]
    while distinct(chosen) < distinct(keys):
        rest = [key for key in keys if key not in chosen]
        chosen.append(max(rest, key=lambda key: distinct([*chosen, key])))
    return chosen


def shared_size(sizes: Sequence[Collection[int]]) -> int | None:
    """Return the number of images that most lines have, of several the largest; None if no two of several lines share one.

    ``sizes`` holds the numbers of images of each line.
    """
    counts = Counter(size for each in sizes for size in each)
    best = max(counts, key=lambda size: (counts[size], size), default=None)
    return best if best is not None and counts[best] > min(1, len(sizes) - 1) else None


def check_keys(by: Sequence[str]) -> None:
    """Raise InvalidConfig if a key of ``by`` is no setting, or one that all tables and figures show anyway."""
    known = [key for key, _ in all_settings()]
    for key in by:
        if key not in known:
            raise InvalidConfig(f"--by {key}: must be a setting, such as recipe or schedule.learning_rate (see --help)")
        if key in WITHIN:
            raise InvalidConfig(f"--by {key}: must be another setting; tables and figures show each {key} anyway")


def counted(number: int, thing: str) -> str:
    """Return the number with its noun: ``1 run``, ``3 runs``, ``2 copies``."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def listed(values: Iterable[object]) -> str:
    """Return the distinct values as ``0, 1, 2``, and more than four consecutive whole numbers as ``0 to 29``."""
    found = list(dict.fromkeys(values))
    numbers = sorted(value for value in found if isinstance(value, int))
    if len(numbers) == len(found) > 4 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]:,} to {numbers[-1]:,}"
    return ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in found)


def _format_setting(run: Run, key: str) -> str:
    if key == FOLD:
        return "no folds" if run.config.data.fold is None else "official folds"
    return format_value(value_of(run.config, key))
