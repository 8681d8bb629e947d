"""Restrictions and time steps in docs/restrictions.md: tables are those of the script, sentences those of the published runs."""

import csv
import re
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import numpy as np
import torch
from project_scripts import load
from published_analyses import RESTRICTIONS, decimals, prose
from scipy.stats import t

from pdenet_repro.networks.dynamics import Parabolic, SecondOrder
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm
from pdenet_repro.report.statistics import mcnemar, paired_interval, t_interval

ROOT = Path(__file__).parents[2]
PART = RESTRICTIONS.split("\n## What networks with and without the restrictions do\n")[0]
COSTLY = ("parabolic", "second_order")  # whose restrictions cost accuracy
FREE = ("Expansive", "resnet", "StartsParabolic")
COSTS = [((free, 3), (costly, 3)) for free in FREE for costly in COSTLY]
NO_COSTS = [((free, 3), ("hamiltonian", 3)) for free in ("resnet", "EqualSigns")]
FEWER_STEPS = [((dynamic, 1), (dynamic, 3)) for dynamic in COSTLY]
HAMILTONIAN_STEPS = [(("hamiltonian", 1), ("hamiltonian", 3))]
ALL = [*COSTS, *NO_COSTS, *FEWER_STEPS, *HAMILTONIAN_STEPS]


def published(study, name):
    with (ROOT / "docs" / "results" / study / name).open(newline="") as file:
        return list(csv.DictReader(file))


script, repeats = load("restrictions"), load("repeats")
RUNS = script.published()
PROSE = " ".join(prose(PART).split())
NETWORKS = {(run.dynamic, run.config.network.steps): {} for run in RUNS}
for each in RUNS:
    NETWORKS[each.dynamic, each.config.network.steps][each.config.seed] = each


def differences(pair):
    """Of two networks, in points, for seeds 0 and 1."""
    network, reference = (NETWORKS[name] for name in pair)
    return [100 * (network[seed].accuracy - reference[seed].accuracy) for seed in (0, 1)]


def intervals(pair):
    """Paired intervals over the test images, for seeds 0 and 1."""
    network, reference = (NETWORKS[name] for name in pair)
    for seed in (0, 1):
        only_first, only_second, _ = mcnemar(reference[seed].correct, network[seed].correct)
        yield paired_interval(only_first, only_second, len(network[seed].correct))


def trainings(dynamic, seed):
    """Accuracies of all published trainings of the configuration with three steps, in per cent; the first is of this study."""
    rows = published("", "repeats.csv")
    found = [row for row in rows if (row["dynamic"], row["seed"], row["variation"]) == (dynamic, str(seed), "")]
    assert {row["images"] for row in found} <= {"500"}
    assert sum(row["folder"].startswith("controls/") for row in found[:1]) == bool(found)
    return [100 * float(row["test_accuracy"]) for row in found]


def scatter():
    """Standard deviation of repeated trainings and its degrees of freedom."""
    sets = {}
    for row in published("", "repeats.csv"):
        sets.setdefault(row["set"], []).append(100 * float(row["test_accuracy"]))
    return list(sets.values()), *repeats.pooled(list(sets.values()))


def span(values):
    return f"{min(values):.2f} to {max(values):.2f}"


def test_tables_are_of_the_published_runs():
    page = script.PAGE.read_text()
    assert script.with_tables(page, RUNS, script.by_configuration()) == page, (
        "renew them with: python scripts/restrictions.py"
    )


def test_every_decimal_number_is_published():
    """Beside those in the tables: numbers that the other tests check, and versions of programs."""
    tables = "\n".join(line for line in PART.split("\n") if line.startswith("|"))
    derived = (
        "0.1 0.105 0.2 0.36 0.4 0.6 0.9 0.92 1.44 1.89 1.9 2.1 2.11 2.12 2.5 2.7 3.0 3.79 3.8 3.85 4.4 4.5 4.6 4.7 "
        "1.6 3.3 4.90 4.93 5.5 8.7 10.1 6.11 6.94 7.3 8.8 9.3 0.23 45.02 45.64 46.29 46.61 50.40 72.90 "
        "5.81 7.01 8.22 47.59 54.60 0.002 0.012 0.35"
    )
    assert decimals(PROSE) <= decimals(tables) | set(derived.split())


def made(dynamic, steps, seed, right, step_size=1.0):
    """A run with the given answers on five test images."""
    network = SimpleNamespace(steps=steps, step_size=step_size, widths=[2, 4], last_width=None)
    return SimpleNamespace(
        dynamic=dynamic, config=SimpleNamespace(network=network, seed=seed), summary={"weights": 1000 * steps},
        correct=np.array(right, bool), accuracy=mean(right),
    )  # fmt: skip


def test_the_table_of_steps_has_every_number_of_steps_that_is_published():
    runs = [made(dynamic, 3, seed, [1, 1, 0, 0, 0]) for dynamic in script.RESTRICTED for seed in (0, 1)]
    assert [row[:3] for row in script.steps(runs)[1:]] == [
        [label, "3", "1"] for label in ("parabolic", "second-order", "Hamiltonian")
    ]
    runs += [made("parabolic", steps, 0, [1, 1, 1, 0, 0], 3 / steps) for steps in (6, 2)]
    _, two, three, six, *_ = script.steps(runs)
    assert [row[:4] for row in (two, three, six)] == [
        ["parabolic", "2", "1.5", "2,000"], ["parabolic", "3", "1", "3,000"], ["parabolic", "6", "0.5", "6,000"]
    ]  # fmt: skip
    assert two[5:8] == ["60.00", "", "3 steps"]
    # Agresti and Min: 5 + 2 images, of which 1.5 and 0.5 are right in one network alone: 1/7 -+ 1.96 sqrt(2 - 1/7) / 7
    assert two[8:] == ["+20.00 (-23.87 to +52.44)", "", "+20.00"]
    assert three[5:] == ["40.00", "40.00", "", "", "", ""]


def test_the_table_of_controls_compares_within_a_seed():
    right = {("parabolic", 0): 1, ("parabolic", 1): 2, ("Expansive", 0): 2, ("Expansive", 1): 4}
    runs = [made(dynamic, 3, seed, [1] * n + [0] * (5 - n)) for (dynamic, seed), n in right.items()]
    runs += [made("second_order", 3, seed, [1, 0, 0, 0, 0]) for seed in (0, 1)]
    _, _, _, first, second = script.controls(runs)
    assert [cell.partition(" ")[0] for cell in first[6:]] == ["parabolic", "+20.00", "+40.00", "+30.00"]
    # mean 0.3, standard deviation 0.1414, t(0.975; 1) = 12.706: 0.3 -+ 12.706 * 0.1
    assert first[9] == "+30.00 (-97.06 to +157.06)"
    assert second[:7] == [""] * 6 + ["second-order"]


def test_what_the_runs_are():
    assert len(RUNS) == 20
    assert {
        (run.images, run.config.recipe, run.config.schedule.epochs, run.summary["test_images"]) for run in RUNS
    } == {(500, "paper", 120, 8000)}
    assert {run.config.precision for run in RUNS} == {"bfloat16"}
    assert {run.summary["hardware"]["gpu"] for run in RUNS} == {"NVIDIA H200"}
    assert {run.summary["versions"]["torch"].partition("+")[0] for run in RUNS} == {"2.11.0"}
    assert {run.summary["train_accuracy"] for run in RUNS} == {1.0}
    assert {(run.config.network.steps, run.summary["attempts"][0]["compiled"]) for run in RUNS} == {
        (3, True),
        (1, False),
    }
    assert {frozenset(of_seed) for of_seed in NETWORKS.values()} == {frozenset((0, 1))}
    for seed in (0, 1):
        assert len({of_seed[seed].summary["subset_sha256"] for of_seed in NETWORKS.values()}) == 1
    assert NETWORKS["parabolic", 3][0].summary["subset_sha256"] != NETWORKS["parabolic", 3][1].summary["subset_sha256"]
    changes = [100 * abs(of_seed[0].accuracy - of_seed[1].accuracy) for of_seed in NETWORKS.values()]
    assert f"by up to {max(changes):.2f} points" in PROSE
    assert {steps for _, steps in NETWORKS} == {1, 3}, "a page says that others are from CPUs alone"


def test_the_restrictions_of_two_networks_cost_accuracy_in_both_seeds():
    found = [value for pair in COSTS for value in differences(pair)]
    assert (len(found), min(found) > 0) == (12, True)
    assert f"in both seeds, by {span(found)} points" in PROSE
    assert 4.5 < mean(found) < 5.5
    assert all(low > 0 for pair in COSTS for low, _ in intervals(pair))
    weights = {name: of_seed[0].summary["weights"] for name, of_seed in NETWORKS.items()}
    assert weights["Expansive", 3] == weights["parabolic", 3] == weights["second_order", 3]
    assert {f"{weights['resnet', 3] / weights[name, 3]:.2f}" for name in ("hamiltonian", "EqualSigns")} == {"1.89"}


def test_no_cost_of_the_hamiltonian_network_is_seen():
    for pair in NO_COSTS:
        ahead_with_seed_0, behind_with_seed_1 = differences(pair)
        assert ahead_with_seed_0 < 0 < behind_with_seed_1


def test_differences_and_the_scatter_of_new_trainings():
    sets, deviation, freedom = scatter()
    assert (sum(map(len, sets)), len(sets), min(map(len, sets)), max(map(len, sets))) == (28, 9, 2, 6)
    assert f"standard deviation of {deviation:.2f} points" in PROSE
    assert f"more than {repeats.limit(deviation, freedom):.1f} points in 5 % of cases" in PROSE
    of_a_mean = t.ppf(0.975, freedom) * deviation  # of two differences, each of two trainings
    corrected = t.ppf(1 - 0.025 / len(ALL), freedom) * deviation
    assert len(ALL) == 11
    assert f"such differences exceeds {of_a_mean:.1f};" in PROSE
    assert f"the eleven means on this page that limit is {corrected:.1f} (Bonferroni)" in PROSE
    costs = [mean(differences(pair)) for pair in COSTS]
    assert f"{span(costs)} points, are above it" in PROSE
    assert min(costs) > corrected
    assert max(abs(mean(differences(pair))) for pair in [*NO_COSTS, *HAMILTONIAN_STEPS]) < of_a_mean
    assert min(mean(differences(pair)) for pair in FEWER_STEPS) > corrected
    assert f"above the limit of {corrected:.1f} points" in PROSE


def test_differences_from_all_trainings_with_seed_0():
    of = {dynamic: trainings(dynamic, 0) for dynamic in (*COSTLY, "hamiltonian")}
    assert {dynamic: len(each) for dynamic, each in of.items()} == {"parabolic": 4, "second_order": 5, "hamiltonian": 6}
    assert [sorted(of[dynamic]).index(of[dynamic][0]) for dynamic in COSTLY] == [0, 1]  # the worst, the second worst
    assert of["hamiltonian"][0] == max(of["hamiltonian"])
    assert f"whose mean is {mean(of['hamiltonian']):.2f} %" in PROSE
    other_seed = trainings("hamiltonian", 1)
    assert (len(other_seed), other_seed[0]) == (3, min(other_seed))
    assert not any(trainings(dynamic, 1) for dynamic in COSTLY)
    assert " and ".join(f"{mean(of[dynamic]):.2f}" for dynamic in COSTLY) + " %" in PROSE
    shift = {dynamic: mean(of[dynamic]) - of[dynamic][0] for dynamic in COSTLY}
    as_measured = [differences(pair)[0] for pair in COSTS]
    corrected = [value - shift[pair[1][0]] for value, pair in zip(as_measured, COSTS, strict=True)]
    assert f"at seed 0 are {span(corrected)} points instead of {span(as_measured)}," in PROSE
    means = [mean((value, differences(pair)[1])) for value, pair in zip(corrected, COSTS, strict=True)]
    assert f"the six means {span(means)};" in PROSE
    least = min(100 * NETWORKS[pair[0]][0].accuracy - max(of[pair[1][0]]) for pair in COSTS)
    assert f"at least {least:.2f}." in PROSE


def test_what_two_seeds_say_of_other_images():
    excluded = [pair for pair in ALL if not (ends := t_interval(differences(pair)))[0] < 0 < ends[1]]
    assert excluded == [
        (("Expansive", 3), ("parabolic", 3)), (("resnet", 3), ("parabolic", 3)), (("second_order", 1), ("second_order", 3))
    ]  # fmt: skip
    rows = published("controls", "comparisons.csv")
    assert len(rows) == 27
    least, second = sorted(float(row["p_holm"]) for row in rows)[:2]
    assert (f"{least:.3f}", second > least) == ("0.105", True)
    (row,) = (row for row in rows if float(row["p_holm"]) == least)
    assert [row[name].partition(", network")[0] for name in ("first", "second")] == [
        "second-order", "second-order, steps-1"
    ]  # fmt: skip


def test_accuracies_on_all_images():
    for row in published("stl10-authors", "results.csv"):
        assert (row["images"], row["n"]) == ("5000", "3")
        assert round(100 * abs(float(row["difference"])), 1) <= 0.6
    below = {
        row["dynamic"]: float(row["difference"]) for row in published("stl10-paper", "results.csv") if row["difference"]
    }
    assert {dynamic for dynamic, difference in below.items() if difference < 0} == set(COSTLY)


def test_fewer_steps():
    found = [value for pair in FEWER_STEPS for value in differences(pair)]
    assert f"in both seeds, by {span(found)} points" in PROSE
    assert all(low > 0 for pair in FEWER_STEPS for low, _ in intervals(pair))
    assert all(low < 0 < high for low, high in intervals(HAMILTONIAN_STEPS[0]))
    at_first, then = differences(HAMILTONIAN_STEPS[0])
    assert at_first < 0 < then
    share = {
        name: NETWORKS[name, 1][0].summary["weights"] / NETWORKS[name, 3][0].summary["weights"]
        for name in script.RESTRICTED
    }
    assert [f"{value:.2f}" for value in share.values()] == ["0.36", "0.36", "0.39"]
    for (_, steps), network in NETWORKS.items():
        config = network[0].config
        assert config.network.steps * config.network.step_size == 3
        assert (config.objective.quadrature == "integral") == config.optimizer.scale_rate_in_units == (steps == 1)


def test_hints_at_the_mechanism():
    alike = {
        re.sub(r", network[^;]*", "", f"{row['first']}; {row['second']}"): 100 * float(row["same_prediction"])
        for row in published("controls", "comparisons.csv")
    }
    one, three = "parabolic, steps-1; second-order, steps-1", "parabolic; second-order"
    names = {key for key in alike if key.startswith("parabolic") and "; second-order" in key}
    assert (len(names), len(alike)) == (2, 27), names
    assert f"{alike[one]:.2f} % of the test images (of three steps, for {alike[three]:.2f} %)" in PROSE
    means = {name: 100 * mean(run.accuracy for run in network.values()) for name, network in NETWORKS.items()}
    assert " and ".join(f"{means[name, 1]:.2f}" for name in COSTLY) + " %, those of " in PROSE
    assert f"{span([means[name, 3] for name in FREE])} %. Whether restrictions cost" in PROSE


def test_with_one_step_the_parabolic_and_the_second_order_network_differ_by_a_factor():
    generator = torch.Generator().manual_seed(0)
    Y, kernel, bias = (torch.randn(shape, generator=generator).double() for shape in ((2, 3, 5, 5), (3, 3, 3, 3), (3,)))
    theta = (SymmetricWeights(kernel, torch.ones(3).double(), bias),)
    changes = []
    for kind in (Parabolic, SecondOrder):
        dynamic = kind(3.0, Norm("instance"), "relu")
        changes.append(dynamic.output(dynamic.step(dynamic.start(Y), theta)) - Y)
    assert torch.allclose(3 * changes[0], changes[1])


def test_the_parabolic_and_the_expansive_network_on_1000_images():
    accuracy = {row["dynamic"]: 100 * float(row["test_accuracy"]) for row in published("controls-0.2", "results.csv")}
    (row,) = published("controls-0.2", "comparisons.csv")
    assert (row["first"], row["second"], row["images"]) == ("parabolic", "expansive", "1000")
    low, high = paired_interval(int(row["only_first_right"]), int(row["only_second_right"]), 8000)
    lost = accuracy["Expansive"] - accuracy["parabolic"]
    page = " ".join(PART.split())
    assert f"{accuracy['parabolic']:.2f} % and `Expansive` {accuracy['Expansive']:.2f} %" in page
    on_500 = differences((("Expansive", 3), ("parabolic", 3)))[0]
    words = f"a difference of {lost:.2f} points ({100 * low:.2f} to {100 * high:.2f}), where it was {on_500:.2f} on 500"
    assert words in PROSE
    metrics = published("controls-0.2", "parabolic/fraction-0.20/seed-0/metrics.csv")
    loss = {int(row["epoch"]): float(row["data_loss"]) for row in metrics}
    assert f"from {loss[37]:.3f} in epoch 37 to {loss[42]:.2f} in epoch 42 and fell below 0.002 by epoch 56" in PROSE
    assert max(loss[epoch] for epoch in range(37, 121)) == loss[42]
    assert loss[55] > 0.002 > loss[56]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{lost:.1f} points less accurate than the one with its sign flipped" in readme
    assert f"({accuracy['parabolic']:.2f} and {accuracy['Expansive']:.2f} %, one training each)" in readme
