"""Write three tables and a picture of docs/restrictions.md on networks without the restrictions and on the number of time steps.

    python scripts/restrictions.py    # after runs were published in docs/results/controls or docs/results/steps

Each table stands between two comments of the page. In the first two a difference is one of two runs with the same seed, which
are trained on the same images in the same order, one after the other on one kind of machine. The third has every published
training of a network with seed 0, from any machine.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure
from repeats import accuracies as percent
from repeats import by_configuration, pooled
from scipy.stats import t
from trained_networks import Network as Analysed
from trained_networks import smoothing

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.networks.cost import forward_flops
from pdenet_repro.report.figures import DASHES, colours, draw_grid, percent_axis
from pdenet_repro.report.run import Run
from pdenet_repro.report.runs import collect
from pdenet_repro.report.statistics import mcnemar, paired_interval, t_interval

ROOT = Path(__file__).parents[1]
PAGE, STUDY = ROOT / "docs" / "restrictions.md", ROOT / "docs" / "results" / "controls"
PICTURE = ROOT / "docs" / "images" / "steps.png"
MORE_STEPS = ROOT / "docs" / "results" / "steps"  # networks of other numbers of steps, from another machine
# The networks of the first table, each with the restricted networks that it is compared with
COMPARED: dict[str, tuple[str, ...]] = {
    "parabolic": (),
    "second_order": (),
    "Expansive": ("parabolic", "second_order"),
    "resnet": ("parabolic", "second_order", "hamiltonian"),
    "StartsParabolic": ("parabolic", "second_order"),
    "hamiltonian": (),
    "EqualSigns": ("hamiltonian",),
}
RESTRICTED = [dynamic for dynamic, references in COMPARED.items() if not references]
STEPS = 3  # time steps of the networks of the first table; those of the second one are compared with them

Network = dict[int, Run]  # the runs of one network by seed


def networks(runs: Iterable[Run]) -> dict[tuple[str, int, tuple[int, ...]], Network]:
    """Return the networks by dynamic, number of time steps and widths, those with fewer steps first."""
    found: dict[tuple[str, int, tuple[int, ...]], Network] = {}
    for run in sorted(runs, key=lambda run: (run.config.network.steps, run.config.seed)):
        network = run.config.network
        found.setdefault((run.dynamic, network.steps, tuple(network.widths)), {})[run.config.seed] = run
    return found


def of(dynamic: str, runs: Sequence[Run]) -> list[Network]:
    """Return the networks of a dynamic with `STEPS` time steps."""
    return [network for (name, steps, _), network in networks(runs).items() if (name, steps) == (dynamic, STEPS)]


def difference(network: Network, reference: Network, seed: int) -> str:
    """Return the accuracy of a network minus that of another with its paired 95 % interval over test images, in points."""
    if seed not in network or seed not in reference:
        return ""
    first, second = reference[seed], network[seed]
    only_first, only_second, _ = mcnemar(first.correct, second.correct)
    return points(second.accuracy - first.accuracy, paired_interval(only_first, only_second, len(first.correct)))


def mean_difference(network: Network, reference: Network) -> str:
    """Return the mean difference over the seeds of both, with Student's 95 % interval if there are several, in points."""
    found = [network[seed].accuracy - reference[seed].accuracy for seed in network if seed in reference]
    return points(mean(found), t_interval(found)) if found else ""


def points(value: float, interval: tuple[float, float] | None) -> str:
    """Return a difference of accuracies and its interval in percentage points."""
    ends = f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})" if interval else ""
    return f"{100 * value:+.2f}{ends}"


def size(network: Network) -> list[str]:
    """Return the number of weights and the operations of the forward pass for one image."""
    run = next(iter(network.values()))
    operations = forward_flops(run.config.network, run.dynamic)
    return [f"{run.summary['weights']:,}", f"{operations / 1e9:.2f} · 10⁹"]


def accuracies(network: Network, seeds: Sequence[int]) -> list[str]:
    """Return the test accuracy for each seed in per cent, empty where no run has the seed."""
    return [f"{100 * network[seed].accuracy:.2f}" if seed in network else "" for seed in seeds]


def compared(network: Network, reference: Network, seeds: Sequence[int]) -> list[str]:
    """Return the differences from a reference: for each seed, and their mean."""
    return [*(difference(network, reference, seed) for seed in seeds), mean_difference(network, reference)]


def controls(runs: Sequence[Run]) -> list[list[str]]:
    """Return heading and rows of the first table: a row for each network and each restricted network it is compared with."""
    seeds = sorted({run.config.seed for run in runs})
    rows = [["network", "widths", *heading(seeds, "minus")]]
    for dynamic, references in COMPARED.items():
        for network in of(dynamic, runs):
            widths = next(iter(network.values())).config.network.widths
            about = [facts_of(dynamic).label, ", ".join(map(str, widths)), *size(network), *accuracies(network, seeds)]
            if not references:
                rows.append([*about, *[""] * (len(seeds) + 2)])
            for reference in references:
                rows.append([*about, facts_of(reference).label, *compared(network, of(reference, runs)[0], seeds)])
                about = [""] * len(about)
    return rows


def steps(runs: Sequence[Run]) -> list[list[str]]:
    """Return heading and rows of the second table: each restricted network by its number of time steps to the same time."""
    seeds = sorted({run.config.seed for run in runs})
    rows = [["network", "steps", "h", *heading(seeds, "minus")]]
    for dynamic in RESTRICTED:
        (reference,) = of(dynamic, runs)
        for (name, number, _), network in networks(runs).items():
            if name == dynamic:
                step_size = next(iter(network.values())).config.network.step_size
                about = [
                    facts_of(dynamic).label,
                    str(number),
                    f"{step_size:g}",
                    *size(network),
                    *accuracies(network, seeds),
                ]
                differences = [f"{STEPS} steps", *compared(network, reference, seeds)]
                rows.append([*about, *(differences if number != STEPS else [""] * len(differences))])
    return rows


def by_steps(sets: Iterable[Sequence[Run]]) -> dict[tuple[str, int], Sequence[Run]]:
    """Return trainings of the restricted networks with seed 0, by dynamic and number of time steps.

    ``sets``: the runs of each configuration, of all studies. Chosen are the configurations that one of the two studies has, with
    all their published trainings. ValueError is raised for two configurations of one dynamic and number of steps.
    """
    found: dict[tuple[str, int], Sequence[Run]] = {}
    for runs in sets:
        config, ours = runs[0].config, any({STUDY, MORE_STEPS} & {*run.folder.parents} for run in runs)
        if ours and config.seed == 0 and config.dynamic in RESTRICTED:
            place = config.dynamic, config.network.steps
            if place in found:
                raise ValueError(
                    f"{runs[0].folder}: differs from {found[place][0].folder} in more than the number of steps"
                )
            found[place] = runs
    return dict(sorted(found.items()))


def trainings(sets: Iterable[Sequence[Run]]) -> list[list[str]]:
    """Return heading and rows of the third table: all trainings with seed 0 of the restricted networks, by number of steps.

    ``sets`` as in `by_steps`. The difference of two means has Student's 95 % interval with the standard deviation that all
    repeated trainings share.
    """
    every = list(sets)
    deviation, freedom = pooled([percent(runs) for runs in every])
    networks_by_steps = by_steps(every)
    rows = [["network", "steps", "h", "test %, each training", "mean", f"minus {STEPS} steps (95 %)"]]
    for (dynamic, number), runs in sorted(networks_by_steps.items(), key=lambda item: RESTRICTED.index(item[0][0])):
        reference = networks_by_steps[dynamic, STEPS]
        half = t.ppf(0.975, freedom) * deviation * sqrt(1 / len(runs) + 1 / len(reference))
        minus = mean(percent(runs)) - mean(percent(reference))
        about = [facts_of(dynamic).label, str(number), f"{runs[0].config.network.step_size:g}"]
        each = ", ".join(f"{value:.2f}" for value in sorted(percent(runs)))
        interval = f"{minus:+.2f} ({minus - half:+.2f} to {minus + half:+.2f})" if number != STEPS else ""
        rows.append([*about, each, f"{mean(percent(runs)):.2f}", interval])
    return rows


def analysed(dynamic: str, steps: int) -> Analysed:
    """Return a network of the published analyses of networks by number of steps."""
    return Analysed("steps", facts_of(dynamic).label + (f", steps-{steps}" if steps != STEPS else ""))


def shares_at_the_end(dynamic: str, steps: int) -> list[float]:
    """Return the share of the energy above half the Nyquist frequency at the end of each unit, of the published analysis.

    No shares are returned if the network was not analysed.
    """
    return [of_unit[-1] for of_unit in smoothing(analysed(dynamic, steps), "share_0.5_to_1_nyquist_median")]


def kept_when_refined(dynamic: str, steps: int) -> float | None:
    """Return the accuracy with each time step divided into two over that undivided, batch statistics renewed, as published.

    None is returned if the network was not refined.
    """
    rows = analysed(dynamic, steps).rows("refinement", statistics="renewed")
    accuracy = {row["steps_for_one"]: float(row["test_accuracy"]) for row in rows}
    return accuracy["2"] / accuracy["1"] if accuracy else None


def picture(sets: Iterable[Sequence[Run]]) -> Figure:
    """Draw, by number of time steps to one final time, what networks reach, what refinement leaves, and high frequencies."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    networks_by_steps = by_steps(sets)
    for dynamic, colour in colours(RESTRICTED).items():
        facts = facts_of(dynamic)
        reached = {
            n: [run.accuracy for run in runs] for (name, n), runs in networks_by_steps.items() if name == dynamic
        }
        left.plot(list(reached), [mean(values) for values in reached.values()], color=colour)
        left.plot([], [], facts.marker, linestyle="-", color=colour, label=facts.label)
        for number, values in reached.items():
            left.plot([number] * len(values), values, facts.marker, color=colour, markersize=5, alpha=0.6)
        kept = {number: share for number in reached if (share := kept_when_refined(dynamic, number))}
        middle.plot(
            list(kept), list(kept.values()), marker=facts.marker, color=colour, label=facts.label if kept else None
        )
        shares = {number: found for number in reached if (found := shares_at_the_end(dynamic, number))}
        for unit, of_unit in enumerate(zip(*shares.values(), strict=True)):
            right.plot(list(shares), of_unit, DASHES[unit % len(DASHES)], marker=facts.marker, markersize=5, color=colour,
                       label=f"{facts.label}, unit {unit + 1}")  # fmt: skip
    ticks = sorted({number for _, number in networks_by_steps})
    for axis in (left, middle, right):
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(number) for number in ticks])
        axis.minorticks_off()
        axis.set_xlabel("time steps to T = 3 in each unit")
        draw_grid(axis)
        percent_axis(axis.yaxis)
        axis.legend(fontsize=8, frameon=False, ncols=2 if axis is right else 1)
    left.set_ylabel("test accuracy, 500 images")
    middle.set_ylim(0, 1.05)
    middle.set_ylabel("share of the accuracy left with\nevery step divided into two")
    right.set_ylim(0, 0.37)  # room for the legend
    right.set_ylabel("energy above half the Nyquist\nfrequency at the end of the unit")
    return figure


def heading(seeds: Sequence[int], minus: str) -> list[str]:
    """Return the headings of the columns that both tables have."""
    return [
        "weights", "operations, forward", *(f"test %, seed {seed}" for seed in seeds), minus,
        *(f"difference, seed {seed}" for seed in seeds), "mean difference (95 % over seeds)",
    ]  # fmt: skip


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first row is its heading."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def with_tables(page: str, runs: Sequence[Run], sets: Iterable[Sequence[Run]]) -> str:
    """Return the page with each table between its two comments; ``runs``: of `STUDY`, ``sets``: of all studies."""
    tables = {"controls": controls(runs), "steps": steps(runs), "trainings": trainings(sets)}
    for mark, table in tables.items():
        start, end = f"<!-- {mark}: written by scripts/restrictions.py -->", f"<!-- {mark}: end -->"
        before, rest = page.split(start)
        page = f"{before}{start}\n\n{as_markdown(table)}\n\n{end}{rest.split(end)[1]}"
    return page


def published() -> list[Run]:
    """Return the published runs, without their weights."""
    return collect(STUDY, weights=False)[STUDY].runs


def main() -> None:
    """Write the tables into the page, and the picture."""
    sets = by_configuration()
    PAGE.write_text(with_tables(PAGE.read_text(), published(), sets))
    picture(sets).savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
