"""Summarise the published analyses of trained networks.

    python -m pdenet_repro.analysis KIND pretrained:NAME --output docs/results/analysis/NAME    # each kind, each network
    python -m pdenet_repro.analysis robustness pretrained:A pretrained:B --output docs/results/analysis/together
    python scripts/trained_networks.py                                                          # after those commands

The script writes docs/results/analysis/README.md, which lists every result with its command, and the tables of numbers in
docs/analysis.md and docs/restrictions.md, each between two comments.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

from pdenet_repro.analysis.result import plain

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "analysis.md", ROOT / "docs" / "restrictions.md"
FOLDER = ROOT / "docs" / "results" / "analysis"
# Networks by label (the dynamic, then what else distinguishes it), each with the folder of its analyses: those of the package, of
# recipe=authors, on 500 images, by number of time steps
PRETRAINED = {"parabolic": "parabolic", "Hamiltonian": "hamiltonian", "second-order": "second_order"}
AUTHORS = dict.fromkeys(PRETRAINED, "authors")
CONTROLS = dict.fromkeys([*PRETRAINED, "ResNet", "expansive"], "controls")
STEPS = dict.fromkeys(
    [name + steps for name in PRETRAINED for steps in (", steps-1", ", steps-2", "", ", steps-6")],
    "steps",
)
KINDS = (
    "stability", "sensitivity", "spectrum", "energy", "smoothing",
    "refinement", "kernels", "stencils", "reversibility", "robustness",
)  # fmt: skip

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Network:
    """A network in a folder of published analyses: as trained, or with its initial weights."""

    folder: str
    label: str
    initial: bool = False

    def rows(self, table: str, **chosen: str) -> Rows:
        """Return the network's rows of a CSV table whose columns begin with these values; none if there is no such table."""
        path = FOLDER / self.folder / f"{table}.csv"
        dynamic, *distinction = self.label.split(", ")
        name = ", ".join([dynamic, *["initial weights"] * self.initial, *distinction])  # as `Subject.name`
        if not path.is_file():
            return []
        with path.open(newline="") as file:
            return [
                row
                for row in csv.DictReader(file)
                if row["network"] == name and all(row[key].startswith(value) for key, value in chosen.items())
            ]


def numbers(rows: Rows, column: str) -> list[float]:
    """Return a column of a table."""
    return [float(row[column]) for row in rows]


def by_unit(rows: Rows, column: str, digits: int = 3, factor: float = 1) -> str:
    """Return the largest value of a column in each unit, times ``factor``, with so many significant digits."""
    units = groupby(sorted(rows, key=lambda row: row["unit"]), lambda row: row["unit"])
    return ", ".join(f"{factor * max(numbers(list(of_unit), column)):.{digits}g}" for _, of_unit in units)


def span(values: Sequence[float], form: str = ".2g") -> str:
    """Return the least and the largest value."""
    return f"{min(values):{form}} to {max(values):{form}}" if values else ""


def by_step(rows: Rows, column: str, of: Callable[[list[float]], float]) -> list[float]:
    """Return a value for each time step of a unit: ``of`` the values of its images."""
    place = lambda row: (row["unit"], row["step"])  # noqa: E731
    return [of(numbers(list(each), column)) for _, each in groupby(sorted(rows, key=place), place)]


def allowed(of: Network, step: str = "") -> list[float]:
    """Return the step size that the eigenvalues allow in each step, at full image size with the norm frozen.

    ``step``: the number of the step in each unit; all steps if it is empty.
    """
    return by_step(of.rows("spectrum_layers", size="full", norm="frozen", step=step), "step_size_allowed", min)


def largest_factor(of: Network) -> str:
    """Return the largest factor by which one step of h = 1 multiplies a mode, in the same setting."""
    factors = numbers(of.rows("spectrum_layers", size="full", norm="frozen"), "growth")
    return f"{max(factors):.3g}" if factors else ""


def zero_modes(of: Network) -> str:
    """Return the share of eigenvalues that are zero, on a crop of the images with the norm frozen, per cent."""
    shares = numbers(of.rows("spectrum_layers", size="crop", norm="frozen"), "zero_modes")
    return f"{100 * median(shares):.0f}" if shares else ""


def growth(of: Network) -> str:
    """Return the factor by which each unit multiplies the distance of two solutions whose images differ by 0.1 of their norm."""
    rows = of.rows("stability", perturbation="0.1", place="unit")
    last = max((row["step"] for row in rows), default="")
    return by_unit([row for row in rows if row["step"] == last], "distance_over_unit_start_median")


def long_growth(of: Network, part: str = "") -> str:
    """Return the growth of distances to time 48 without norm; ``part``: ``controlled_`` for the part that H bounds."""
    rows, column = (
        of.rows("stability_long", setting="without norm", time_in_steps="48"),
        f"{part}distance_over_start_median",
    )
    values = ", ".join(f"{value:.3g}" for value in numbers(sorted(rows, key=lambda row: row["unit"]), column))
    return "" if part and "nan" in values else values.replace("nan", "overflow")


def fits(of: Network) -> str:
    """Return the exponents of the fits to a power of time in that setting, and in how many units they fit better."""
    rows = of.rows("stability_long", setting="without norm", time_in_steps="48")
    better = sum(row["better_fit"] == "algebraic" for row in rows)
    fitted = [row for row in rows if not math.isnan(float(row["fit_power"]))]  # others overflow before time 48
    of_fitted = f" of {len(fitted)}" if len(fitted) < len(rows) else ""
    return (
        f"{by_unit(fitted, 'fit_power', 2)}; better in {better}{of_fitted}" if rows and of.label != "parabolic" else ""
    )


def gain(of: Network, which: str) -> str:
    """Return the gain of each unit, then of the whole network; ``which`` is ``largest`` or ``mean``."""
    values = numbers(of.rows("sensitivity"), f"{which}_gain_median")
    return f"{', '.join(f'{value:.3g}' for value in values[:4])}; {values[4]:.2g}" if values else ""


def smoothing(of: Network, column: str) -> list[list[float]]:
    """Return a column of the table ``smoothing`` along the time steps of each unit, from its start to its end."""
    units = groupby(of.rows("smoothing"), lambda row: row["unit"])
    return [numbers(list(rows), column) for unit, rows in units if unit != "0"]


def high_frequencies(of: Network) -> str:
    """Return the share of energy above half the Nyquist frequency at the start and the end of each unit, per cent."""
    shares = smoothing(of, "share_0.5_to_1_nyquist_median")
    return ", ".join(f"{100 * each[0]:.0f} to {100 * each[-1]:.0f}" for each in shares)


def high_energy(of: Network) -> str:
    """Return the factor of the energy above half the Nyquist frequency in each unit."""
    return ", ".join(plain(each[-1]) for each in smoothing(of, "energy_0.5_to_1_nyquist_over_unit_start_median"))


def refined(of: Network, statistics: str, table: str = "refinement", **chosen: str) -> str:
    """Return the test accuracies, per cent, with each time step refined into 1, 2, 4, ... steps (if centred, 2, 4, ...)."""
    values = numbers(of.rows(table, statistics=statistics, **chosen), "test_accuracy")
    return ", ".join(f"{100 * value:.1f}" for value in values)


def refined_in(of: Network, *parts: str) -> str:
    """Return the test accuracies, per cent, with a part of the network refined alone; a part is named by its first word."""
    found = [refined(of, "renewed", "refinement_parts", part=part) for part in parts]
    return ", ".join(filter(None, found))


def distances(of: Network) -> str:
    """Return the relative distances of the units' results to those of the finest refinement."""
    return by_unit(of.rows("refinement_distances", steps_for_one="1"), "relative_distance_median", 2)


def averaged(of: Network) -> str:
    """Return the test accuracies, per cent, with each step's kernels, and with averaged ones and both kinds of statistics."""
    return ", ".join(f"{100 * value:.1f}" for value in numbers(of.rows("kernels_averaged"), "test_accuracy"))


def negative_scales(of: Network) -> str:
    """Return how many scales of norms are negative, so that Theorem 1 does not hold."""
    rows = of.rows("kernels")
    negative, scales = (sum(map(int, numbers(rows, name))) for name in ("negative_scales", "scales"))
    return f"{negative} of {scales:,}" if rows else ""


def forces(of: Network) -> str:
    """Return the largest forces over their bounds in all steps, per cent."""
    rows = of.rows("energy_force")
    return span([100 * float(row["force_max"]) / float(row["force_bound"]) for row in rows], ".0f")


def at_resolutions(of: Network, stencils: str) -> str:
    """Return the test accuracies, per cent, on images of other sizes with ``unchanged`` or ``rescaled`` stencils."""
    values = numbers(of.rows("stencils_resolution", stencils=stencils), "test_accuracy")
    return ", ".join(f"{100 * value:.1f}" for value in values)


def reversal(of: Network) -> str:
    """Return the largest relative error of the first states in each precision."""
    rows = of.rows("reversibility")
    found = groupby(rows, lambda row: row["precision"])
    errors: dict[str, float] = {}
    for precision, each in found:
        errors[precision] = max([errors.get(precision, 0), *numbers(list(each), "relative_error_max")])
    return ", ".join(f"{error:.0e}".replace("e-0", "e-") for error in errors.values())


Line = tuple[str, str, Callable[[Network], str]]
# Rows of the tables: heading, kind of analysis, and the function that reads the entry of a network.
REFINEMENT: tuple[Line, ...] = (
    ("test accuracy with 1, 2, 4, ... steps in place of each time step, batch statistics renewed, %", "refinement",
     lambda of: refined(of, "renewed")),
    ("the same, batch statistics of training, %", "refinement", lambda of: refined(of, "as trained")),
    ("test accuracy with 2, 4, ... steps that act at the same time on average, batch statistics renewed, %", "refinement",
     lambda of: refined(of, "renewed", "refinement_centred")),
    ("test accuracy with 2 steps in place of each time step of unit 1, 2, 3, 4 alone, batch statistics renewed, %", "refinement",
     lambda of: refined_in(of, "unit")),
    ("the same of the first step of every unit alone, of the other steps alone, %", "refinement",
     lambda of: refined_in(of, "first", "other")),
    ("relative distance of the units' outputs to those with the finest steps", "refinement", distances),
    ("test accuracy with each step's kernels, with their average, with the average and renewed batch statistics, %", "kernels",
     averaged),
    ("largest relative change of the kernels from one step to the next", "kernels",
     lambda of: by_unit(of.rows("kernels"), "relative_change_max", 2)),
    ("energy above half the Nyquist frequency, %, start to end", "smoothing", high_frequencies),
    ("this energy at the end over that at the start", "smoothing", high_energy),
    ("factor of a unit on the distance of two solutions, whose images differ by a tenth of their norm", "stability", growth),
    ("negative scales, which void Theorem 1", "kernels", negative_scales),
    ("step size up to which no distance grows by Theorem 1, least of the images, range of the steps", "stability",
     lambda of: span(by_step(of.rows("stability_theorem"), "step_size_bound_min", min))),
)  # fmt: skip
LINES: tuple[Line, ...] = (
    *REFINEMENT,
    ("factor of Theorem 1 at h = 1 for any two solutions, largest of the images, range of the steps", "stability",
     lambda of: span(by_step(of.rows("stability_theorem"), "factor_bound_max", max))),
    ("step size that the eigenvalues allow, least of the images, range of the steps", "spectrum",
     lambda of: span(allowed(of))),
    ("the same, first step of each unit", "spectrum", lambda of: ", ".join(f"{h:.2g}" for h in allowed(of, "1"))),
    ("the same, range of the other steps", "spectrum", lambda of: span([*allowed(of, "2"), *allowed(of, "3")])),
    ("number of the twelve steps in which the eigenvalues allow h = 1 at all images", "spectrum",
     lambda of: str(sum(h >= 1 for h in allowed(of))) if allowed(of) else ""),
    ("largest factor of a mode in a step of h = 1, of all images and steps", "spectrum", largest_factor),
    ("eigenvalues that are zero, on crops, %, median of images and steps", "spectrum", zero_modes),
    ("distance of two solutions at time 48 over that at the start, without norm, first step's kernels", "stability",
     long_growth),
    ("the same of the velocity and σ(K Y), which H bounds", "stability", lambda of: long_growth(of, "controlled_")),
    ("exponents p of fits of t^p to these distances; number of units in which they fit better than an exponential",
     "stability", fits),
    ("largest gain of each unit; of the whole network", "sensitivity", lambda of: gain(of, "largest")),
    ("mean gain of each unit; of the whole network", "sensitivity", lambda of: gain(of, "mean")),
    ("one-sided Lipschitz constants of the layers, norm free, range of the layers", "sensitivity",
     lambda of: span(numbers(of.rows("sensitivity_layers"), "one_sided_lipschitz_median"))),
    ("norm of the features after a unit over that before", "energy",
     lambda of: by_unit(of.rows("energy", setting="with norm", time_in_steps="3"), "norm_over_unit_start_median", 2)),
    ("largest force over the bound that the norm gives, %, range of the layers", "energy", forces),
    ("largest entry of a kernel", "kernels", lambda of: by_unit(of.rows("kernels"), "entry_max", 2)),
    ("largest operator norm", "kernels", lambda of: by_unit(of.rows("kernels"), "operator_norm_max")),
    ("test accuracy at 48, 72 and 144 pixels, kernels unchanged, batch statistics renewed, %", "stencils",
     lambda of: at_resolutions(of, "unchanged")),
    ("the same, kernels rescaled as differential operators, time steps refined with the mesh, %", "stencils",
     lambda of: at_resolutions(of, "rescaled")),
    ("largest relative error of the first states after running backwards, in float64, float32, with bfloat16 layers, all in "
     "bfloat16", "reversibility", reversal),
)  # fmt: skip
OF_STEPS: tuple[Line, ...] = tuple(line for line in REFINEMENT if line[1] in ("refinement", "smoothing"))
TABLES = {
    "trained_networks": (PRETRAINED, LINES),
    "networks of recipe=authors": (AUTHORS, REFINEMENT),
    "networks on 500 images": (CONTROLS, LINES),
    "networks by number of steps": (STEPS, OF_STEPS),
}  # of the page, by their mark


def side_by_side(networks: Mapping[str, str], lines: Sequence[Line]) -> str:
    """Return a table of some trained networks; the value at initial weights follows each value in brackets.

    ``networks``: for each label in the published tables their folder.
    """
    table = [
        f"| | kind | {' | '.join(heading(*each) for each in networks.items())} |",
        "|---" * (len(networks) + 2) + "|",
    ]
    for words, kind, read in lines:
        cells = []
        for label, folder in networks.items():
            trained, initial = (read(Network(folder, label, which)) for which in (False, True))
            cells.append(trained + (f" ({initial})" if initial else ""))
        if any(cells):
            table.append(f"| {words} | [`{kind}`](results/analysis/README.md) | {' | '.join(cells)} |")
    return "\n".join(table)


def heading(label: str, folder: str) -> str:
    """Return the heading of a network's column; in the folder ``steps`` it has the number of time steps."""
    name, _, steps = label.partition(", steps-")
    return f"{name}, {steps or 3} step{'s' * (steps != '1')}" if folder == "steps" else label


def folders() -> Iterator[str]:
    """Yield the names of the folders of published analyses: networks in the order of the paper, then the others."""
    found = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
    yield from (name for name in PRETRAINED.values() if name in found)
    yield from (name for name in found if name not in PRETRAINED.values())


def index() -> str:
    """Return the page of docs/results/analysis: command, sentences and files of each network and kind of analysis."""
    lines = [
        "# Analyses of the trained networks\n",
        "Each folder here is what `python -m pdenet_repro.analysis KIND NETWORKS --output FOLDER` wrote of trained networks:",
        "`pretrained:NAME` comes with the package, `outputs/figures-stl10-authors` is the study of recipe=authors on all images,",
        "`outputs/theory-stl10-paper` networks on 500 images, seed 0: parabolic, Hamiltonian and",
        "second-order of stl10-paper, ResNet and expansive of controls; in `steps` also networks with 1, 2 and 6 time steps.",
        "What the numbers mean is in [analysis.md](../../analysis.md) and [restrictions.md](../../restrictions.md).",
        "This page is written by",
        "[scripts/trained_networks.py](../../../scripts/trained_networks.py).",
    ]
    for name in folders():
        lines += ["", f"## {name}"]
        for kind in KINDS:
            if not (path := FOLDER / name / f"{kind}.json").is_file():
                continue
            result = json.loads(path.read_text())
            files = [*(f"{each}.png" for each in result["pictures"]), *(f"{each}.csv" for each in result["tables"])]
            links = ", ".join(f"[{file}]({name}/{file})" for file in files if (FOLDER / name / file).is_file())
            lines += [
                "",
                f"### {kind}: {result['meaning']}",
                "",
                f"`{result['command']}`, commit {(result['git_commit'] or 'unknown')[:7]}",
                "",
            ]
            lines += [f"- {sentence}" for sentence in result["sentences"]]
            lines += ["", links]
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """Return the page with each table between its two comments, if it has these."""
    for mark, (networks, lines) in TABLES.items():
        start, end = f"<!-- {mark}: written by scripts/trained_networks.py -->", f"<!-- {mark}: end -->"
        if start in page:
            before, rest = page.split(start)
            page = f"{before}{start}\n\n{side_by_side(networks, lines)}\n\n{end}{rest.split(end)[1]}"
    return page


def main() -> None:
    """Write the index page and the tables."""
    (FOLDER / "README.md").write_text(index())
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))


if __name__ == "__main__":
    main()
