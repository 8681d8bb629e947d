"""Summarise the published analyses of the networks that come with the package.

    python -m pdenet_repro.analysis KIND pretrained:NAME --output docs/results/analysis/NAME    # each kind, each network
    python -m pdenet_repro.analysis robustness pretrained:A pretrained:B --output docs/results/analysis/together
    python scripts/trained_networks.py                                                          # after those commands

The script writes docs/results/analysis/README.md, which lists every result with its command, and the table of numbers in
docs/analysis.md between the two comments of ``MARKS``.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "analysis.md"
FOLDER = ROOT / "docs" / "results" / "analysis"
TOGETHER = "together"  # the folder of analyses that compare networks image by image
MARKS = "<!-- written by scripts/trained_networks.py -->", "<!-- end of what it writes -->"
KINDS = (
    "stability", "sensitivity", "spectrum", "energy", "smoothing",
    "refinement", "kernels", "stencils", "reversibility", "robustness",
)  # fmt: skip

Rows = list[dict[str, str]]


def table(folder: Path, name: str, initial: bool = False) -> Rows:
    """Return the rows of a CSV table about the trained network, or about its initial weights; none if there is no such table."""
    if not (folder / f"{name}.csv").is_file():
        return []
    with (folder / f"{name}.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["network"].endswith(", initial weights") == initial]


def by_unit(rows: Rows, column: str, digits: int = 2, of: Callable[[list[float]], float] = max) -> str:
    """Return ``of`` (by default the maximum) of a column's values in each unit, with so many significant digits."""
    units = sorted({row["unit"] for row in rows if row["unit"] not in ("", "0")})
    values = [of([float(row[column]) for row in rows if row["unit"] == unit]) for unit in units]
    return ", ".join(f"{value:.{digits}g}" for value in values)


def last_steps(rows: Rows) -> Rows:
    """Return the rows of the last time step of each unit."""
    last = max((int(row["step"]) for row in rows if row["step"]), default=0)
    return [row for row in rows if row["step"] == str(last)]


def growth(folder: Path, initial: bool) -> str:
    """Return the factor by which each unit multiplies the distance of two solutions whose images differ by 0.1 of their norm."""
    rows = [
        row for row in last_steps(table(folder, "stability", initial)) if row["unit"] and row["perturbation"] == "0.1"
    ]
    return by_unit(rows, "distance_over_unit_start_median", 3)


def gain(folder: Path, initial: bool, which: str) -> str:
    """Return the gain of each unit; ``which`` is ``largest`` or ``mean``."""
    rows = [row for row in table(folder, "sensitivity", initial) if row["part"].startswith("unit")]
    return ", ".join(f"{float(row[f'{which}_gain_median']):.3g}" for row in rows)


def one_sided(folder: Path, initial: bool) -> str:
    """Return the range of the layers' one-sided Lipschitz constants."""
    values = [float(row["one_sided_lipschitz_median"]) for row in table(folder, "sensitivity_layers", initial)]
    return f"{min(values):.2g} to {max(values):.2g}" if values else ""


def span(rows: Rows, column: str, of: Callable[[list[float]], float]) -> str:
    """Return the smallest and largest value over the time steps, where the value of a step is ``of`` those of its images."""
    steps: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        steps.setdefault((row["unit"], row["step"]), []).append(float(row[column]))
    values = [of(each) for each in steps.values()]
    return f"{min(values):.2g} to {max(values):.2g}" if values else ""


def allowed(folder: Path, initial: bool) -> str:
    """Return the range of step sizes that the eigenvalues allow, at full image size with the norm frozen."""
    rows = table(folder, "spectrum_layers", initial)
    return span([row for row in rows if row["size"] == "full" and row["norm"] == "frozen"], "step_size_allowed", min)


def zero_modes(folder: Path, initial: bool) -> str:
    """Return the share of eigenvalues that are zero, on a crop of the images with the norm frozen."""
    rows = [
        row for row in table(folder, "spectrum_layers", initial) if row["size"] == "crop" and row["norm"] == "frozen"
    ]
    return f"{100 * median(float(row['zero_modes']) for row in rows):.0f} %" if rows else ""


def high_frequencies(folder: Path, initial: bool) -> str:
    """Return the share of energy above half the Nyquist frequency at the start and the end of each unit."""
    rows = [row for row in table(folder, "smoothing", initial) if row["unit"] != "0"]
    parts = []
    for unit in sorted({row["unit"] for row in rows}):
        shares = [100 * float(row["share_0.5_to_1_nyquist_median"]) for row in rows if row["unit"] == unit]
        parts.append(f"{shares[0]:.0f} to {shares[-1]:.0f}")
    return ", ".join(parts)


def refined(folder: Path, initial: bool, statistics: str) -> str:
    """Return the test accuracies with each time step refined into 1, 2, 4, ... steps."""
    rows = [row for row in table(folder, "refinement", initial) if row["statistics"].startswith(statistics)]
    return ", ".join(f"{100 * float(row['test_accuracy']):.1f}" for row in rows)


def negative_scales(folder: Path, initial: bool) -> str:
    """Return how many scales of norms are negative, so that Theorem 1 does not hold."""
    rows = table(folder, "stability_theorem", initial)
    return (
        f"{sum(int(row['negative_scales']) for row in rows)} of {sum(int(row['scales']) for row in rows)}"
        if rows
        else ""
    )


# Rows of the table: heading, kind of analysis, and the function that reads the entry of a network from its folder.
LINES: tuple[tuple[str, str, Callable[[Path, bool], str]], ...] = (
    ("distance of two solutions, the images a tenth of their norm apart, is multiplied by (units 1 to 4)", "stability", growth),
    ("largest gain (units)", "sensitivity", lambda folder, initial: gain(folder, initial, "largest")),
    ("mean gain (units)", "sensitivity", lambda folder, initial: gain(folder, initial, "mean")),
    ("one-sided Lipschitz constants of the layers", "sensitivity", one_sided),
    ("negative scales, which void Theorem 1", "stability", negative_scales),
    ("factor of Theorem 1 in a step, for any two solutions, largest of the images", "stability",
     lambda folder, initial: span(table(folder, "stability_theorem", initial), "factor_bound_max", max)),
    ("step size up to which no distance grows by Theorem 1, least of the images", "stability",
     lambda folder, initial: span(table(folder, "stability_theorem", initial), "step_size_bound_min", min)),
    ("step sizes that the eigenvalues allow, least of the images", "spectrum", allowed),
    ("eigenvalues that are zero", "spectrum", zero_modes),
    ("energy above half the Nyquist frequency, %, start to end (units)", "smoothing", high_frequencies),
    ("largest change of kernels in a step, relative (units)", "kernels",
     lambda folder, initial: by_unit(table(folder, "kernels", initial), "relative_change_max")),
    ("largest entry of a kernel (units)", "kernels",
     lambda folder, initial: by_unit(table(folder, "kernels", initial), "entry_max")),
    ("largest operator norm (units)", "kernels",
     lambda folder, initial: by_unit(table(folder, "kernels", initial), "operator_norm_max", 3)),
    ("accuracy with each time step divided into 1, 2, 4, ..., %, batch statistics renewed", "refinement",
     lambda folder, initial: refined(folder, initial, "renewed")),
    ("the same, batch statistics of training", "refinement",
     lambda folder, initial: refined(folder, initial, "as trained")),
)  # fmt: skip


def folders() -> list[str]:
    """Return the names of the folders of published analyses: networks in the order of the paper, then the others."""
    order = ("parabolic", "hamiltonian", "second_order")
    found = [folder.name for folder in FOLDER.iterdir() if folder.is_dir()]
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))


def side_by_side() -> str:
    """Return the table of the trained networks; the value at initial weights follows each value in brackets."""
    names = [name for name in folders() if name != TOGETHER]
    lines = [f"| | kind | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for words, kind, read in LINES:
        cells = []
        for name in names:
            trained, initial = read(FOLDER / name, False), read(FOLDER / name, True)
            cells.append(trained + (f" ({initial})" if initial else ""))
        if any(cells):
            lines.append(f"| {words} | [`{kind}`](results/analysis/README.md) | {' | '.join(cells)} |")
    return "\n".join(lines)


def index() -> str:
    """Return the page of docs/results/analysis: command, sentences and files of each network and kind of analysis."""
    lines = [
        "# Analyses of the trained networks\n",
        "Each folder here is what `python -m pdenet_repro.analysis KIND pretrained:NAME --output FOLDER` wrote of a network that",
        "comes with the package; what the numbers mean is in [analysis.md](../../analysis.md). This page is written by",
        "[scripts/trained_networks.py](../../../scripts/trained_networks.py). The sentences are those that the named commit",
        "wrote; where analysis.md puts a result more carefully (which double roots are defective, what has scale 1), it holds.",
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


def with_table(page: str) -> str:
    """Return the page with the table between the two ``MARKS``."""
    before, _, rest = page.partition(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{side_by_side()}\n\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


def main() -> None:
    """Write the index page and the table."""
    (FOLDER / "README.md").write_text(index())
    PAGE.write_text(with_table(PAGE.read_text()))


if __name__ == "__main__":
    main()
