"""Networks by their number of time steps in docs/restrictions.md: each number is that of the published runs and analyses."""

import re
from math import sqrt
from statistics import mean

import pytest
from project_scripts import load
from published_analyses import PAGE, RESTRICTIONS, decimals, everything, sentences
from scipy.stats import t

script, repeats = load("restrictions"), load("repeats")
SETS = repeats.by_configuration()
WORDS = " ".join(RESTRICTIONS.split())
NAMES = {"parabolic": "parabolic", "second_order": "second-order", "hamiltonian": "Hamiltonian"}
STEPS = (1, 2, 3, 6)


def trainings(dynamic, steps):
    """Accuracies of all published trainings on 500 images with seed 0 and the settings of ``study=steps``, per cent."""
    found = script.by_steps(SETS)[dynamic, steps]
    assert {(run.images, run.config.seed) for run in found} == {(500, 0)}
    assert {run.config.network.steps * run.config.network.step_size for run in found} == {3}
    return repeats.accuracies(found)


def difference(*terms):
    """A sum of means of trainings with signs, and its 95 % interval: Student's, with the deviation that all trainings share."""
    deviation, freedom = repeats.pooled([repeats.accuracies(runs) for runs in SETS])
    value = sum(sign * mean(trainings(dynamic, steps)) for sign, dynamic, steps in terms)
    half = (
        t.ppf(0.975, freedom) * deviation * sqrt(sum(1 / len(trainings(dynamic, steps)) for _, dynamic, steps in terms))
    )
    return value, value - half, value + half


def lost(dynamic, first, then):
    return difference((1, dynamic, first), (-1, dynamic, then))


def test_the_parabolic_network_is_less_accurate_with_more_steps():
    means = [mean(trainings("parabolic", steps)) for steps in STEPS]
    assert means == sorted(means, reverse=True)
    assert "{:.2f}, {:.2f}, {:.2f} and {:.2f} % with 1, 2, 3 and 6 steps".format(*means) in WORDS
    assert "From one step to six it loses {:.2f} points ({:.1f} to {:.1f})".format(*lost("parabolic", 1, 6)) in WORDS
    assert "{:.2f} points from one step to two ({:.1f} to {:.1f})".format(*lost("parabolic", 1, 2)) in WORDS
    assert "{:.2f} from two to three ({:.1f} to {:.1f})".format(*lost("parabolic", 2, 3)) in WORDS
    assert "{:.2f} from three to six ({:.1f} to {:.1f})".format(*lost("parabolic", 3, 6)) in WORDS
    weights = {
        runs[0].config.network.steps: runs[0].summary["weights"] for runs in SETS if runs[0].dynamic == "parabolic"
    }
    assert f"increase from {weights[1]:,} to {weights[6]:,}" in WORDS
    readme = " ".join((script.ROOT / "README.md").read_text().split())
    assert "{:.1f}, {:.1f}, {:.1f} and {:.1f} % with 1, 2, 3 and 6 steps".format(*means) in readme


def test_the_second_order_network_is_less_accurate_with_more_than_one_step():
    means = [mean(trainings("second_order", steps)) for steps in STEPS]
    assert "reaches {:.2f}, {:.2f}, {:.2f} and {:.2f} % with 1, 2, 3 and 6 steps. It loses".format(*means) in WORDS
    assert "loses {:.2f} points from one step to two ({:.1f} to {:.1f})".format(*lost("second_order", 1, 2)) in WORDS
    assert "and {:.2f} from two to six ({:.1f} to {:.1f}), where".format(*lost("second_order", 2, 6)) in WORDS
    assert all(lost("second_order", 1, steps)[1] > 0 for steps in (2, 3, 6))
    two, six = (shares("second_order", steps)[:3] for steps in (2, 6))
    words = "fall from {}, {} and {} % with two steps to {}, {} and {} % with six"
    assert words.format(*two, *six) in WORDS


def test_what_the_hamiltonian_network_loses():
    means = [mean(trainings("hamiltonian", steps)) for steps in STEPS]
    assert f"The Hamiltonian network has {min(means):.2f} to {max(means):.2f} %" in WORDS
    for steps in (1, 2, 6):
        _, low, high = lost("hamiltonian", steps, 3)
        assert low < 0 < high
        assert (high - low) / 2 > 1.5
    assert "it loses {:.2f} points ({:.1f} to {:.1f}), which is".format(*lost("hamiltonian", 1, 6)) in WORDS
    both = [(1, "parabolic", 1), (-1, "parabolic", 6), (-1, "hamiltonian", 1), (1, "hamiltonian", 6)]
    assert "which is {:.1f} points less ({:.1f} to {:.1f}) than the parabolic".format(*difference(*both)) in WORDS
    _, low, high = difference((1, "parabolic", 3), (-1, "parabolic", 6), (-1, "hamiltonian", 3), (1, "hamiltonian", 6))
    assert low < 0 < high


def test_rates_and_decay_by_number_of_steps():
    """The units' rate over that of h = 1, a step's decay over that of h = 1, and the time over which steps are compared."""
    found = {}
    for run in (run for runs in SETS for run in runs if run.folder.is_relative_to(script.MORE_STEPS)):
        assert run.config.optimizer.scale_rate_in_units
        assert run.config.objective.quadrature == "integral"
        network = run.config.network
        found[network.steps] = (1 / network.step_size, network.step_size, (network.steps - 1) * network.step_size)
    assert found == {1: (1 / 3, 3, 0), 2: (1 / 1.5, 1.5, 1.5), 6: (2, 0.5, 2.5)}
    assert (
        "a third of the learning rate and each step three times the decay of h = 1, at h = 0.5 twice the rate and half"
        in WORDS
    )
    assert "compares steps over 0, 1.5, 2 and 2.5 of the time with 1, 2, 3 and 6 steps" in WORDS


def shares(dynamic, steps, initial=False):
    """Share of the energy above half the Nyquist frequency at the end of each unit, per cent, in the analysis' sentences."""
    name = NAMES[dynamic] + ", initial weights" * initial + (f", steps-{steps}" if steps != 3 else "")
    (sentence,) = (each for each in sentences("steps") if each.startswith(f"{name}: share"))
    found = [float(value) for value in re.findall(r" to (\d+\.\d)%", sentence)]
    assert len(found) == 4
    return found


def test_high_frequencies_by_number_of_steps():
    first, second, third, fourth = zip(*(shares("parabolic", steps) for steps in STEPS), strict=True)
    assert "({:.0f}, {:.0f}, {:.0f} and {:.0f} %, and ".format(*first) in WORDS
    assert " {:.0f}, {:.0f}, {:.0f} and {:.0f} %), and the network is less".format(*second) in WORDS
    at_first = list(zip(*(shares("parabolic", steps, initial=True) for steps in STEPS), strict=True))
    for unit in (first, second, *at_first[:2]):
        assert list(unit) == sorted(unit, reverse=True)
    words = f"fall to {third[2]:.0f} and {fourth[2]:.0f} % with three steps and rise to {third[3]:.0f} and {fourth[3]:.0f} %"
    assert words in WORDS
    assert third[3] > third[2]
    assert fourth[3] > fourth[2]
    twice = [shares(dynamic, 2) for dynamic in ("parabolic", "hamiltonian")]
    assert all(2 * low < high for low, high in zip(*twice, strict=True))
    assert abs(mean(trainings("parabolic", 2)) - mean(trainings("hamiltonian", 2))) < 0.1
    sums = [sum(shares("hamiltonian", steps)) for steps in STEPS]
    assert max(sums) == sums[0]
    assert mean(trainings("hamiltonian", 1)) < mean(trainings("hamiltonian", 3))


def divided(dynamic, steps, statistics="renewed"):
    """Accuracy, per cent, with time steps as trained and divided into two, and McNemar's p-value of the difference."""
    name = NAMES[dynamic] + (f", steps-{steps}" if steps != 3 else "")
    rows = [row for row in everything("steps", "refinement", statistics=statistics) if row["network"] == name]
    assert [row["steps_for_one"] for row in rows] == ["1", "2"]
    before, after = (100 * float(row["test_accuracy"]) for row in rows)
    return before, after, float(rows[1]["mcnemar_p"])


def moved(name):
    table = everything("steps", "refinement_distances")
    found = [float(row["relative_distance_median"]) for row in table if row["network"] == name]
    assert len(found) == 4
    return min(found), max(found)


def test_refinement_with_six_steps():
    before = divided("hamiltonian", 6, "as trained")[0]
    _, renewed, p = divided("hamiltonian", 6)
    _, same, p_same = divided("hamiltonian", 6, "as trained")
    assert f"right on {before:.1f} % as trained, and with divided steps on {renewed:.1f} %" in WORDS
    assert f"(McNemar p = {p:.2f}) and on {same:.1f} % with those of training (p = {p_same:.2f})" in WORDS
    before_8 = divided("second_order", 6, "as trained")[0]
    _, renewed_8, p = divided("second_order", 6)
    _, same_8, p_same = divided("second_order", 6, "as trained")
    assert (
        f"right on {before_8:.1f} %, then on {renewed_8:.1f} % (p = {p:.2f}) and {same_8:.1f} % (p < 0.0001)" in WORDS
    )
    assert p_same < 1e-4
    words = (
        f"again: {before_8:.1f} and {renewed_8:.1f} % (second-order; with those of training {same_8:.1f} %), "
        f"{before:.1f} and {renewed:.1f} % (Hamiltonian). "
    )
    before_7, after_7 = divided("parabolic", 6, "as trained")[0], divided("parabolic", 6)[1]
    readme = " ".join((script.ROOT / "README.md").read_text().split())
    assert f"{words}The parabolic one falls from {before_7:.1f} to {after_7:.1f} %" in readme


def test_mcnemar_compares_the_numbers_that_are_quoted():
    """A difference of two quoted accuracies is that of the images that only one of the two networks classifies correctly."""
    before = {
        row["network"]: 1000 * float(row["test_accuracy"])
        for row in everything("steps", "refinement", steps_for_one="1", statistics="as trained")
    }
    for row in everything("steps", "refinement", steps_for_one="2"):
        lost_images = int(row["right_only_as_trained"]) - int(row["right_only_changed"])
        assert before[row["network"]] - 1000 * float(row["test_accuracy"]) == pytest.approx(lost_images)


def test_refinement_by_number_of_steps():
    def fall(dynamic):
        return [each for steps in (3, 2, 1) for each in divided(dynamic, steps)[:2]]

    words = "falls from {:.1f} to {:.1f} %, from {:.1f} to {:.1f} % and from {:.1f} to {:.1f} %"
    assert f"the Hamiltonian network {words.format(*fall('hamiltonian'))}" in WORDS
    assert f"the second-order one {words.removeprefix('falls ').format(*fall('second_order'))}" in WORDS
    centred = {row["network"]: 100 * float(row["test_accuracy"]) for row in everything("steps", "refinement_centred")}
    found = [centred[f"second-order{steps}"] for steps in ("", ", steps-2", ", steps-1", ", steps-6")]
    assert "to {:.1f}, {:.1f} and {:.1f} %; with six to {:.1f} %)".format(*found) in WORDS
    page = " ".join(PAGE.split())
    assert "falls from {:.1f} to {:.1f} % at m = 2".format(*divided("second_order", 3)) in page
    assert f"and to {centred['second-order']:.1f} % with steps that act" in page
    found = [f"{divided('parabolic', steps)[1]:.1f}" for steps in STEPS]
    assert "falls to {}, {}, {} and {} % with 1, 2, 3 and 6 steps".format(*found) in WORDS
    for steps in STEPS:
        assert divided("parabolic", steps)[2] < 0.001


def test_distances_by_number_of_steps():
    first = [value for name in ("Hamiltonian", "second-order") for value in moved(f"{name}, steps-1")]
    assert "{:.2f} to {:.2f} (Hamiltonian) and {:.2f} to {:.2f} (second-order) with one step".format(*first) in WORDS
    six = [value for name in ("Hamiltonian", "second-order") for value in moved(f"{name}, steps-6")]
    assert "by {:.2f} to {:.2f} and {:.2f} to {:.2f} with six".format(*six) in WORDS
    initial = [moved(f"{name}, initial weights, steps-6") for name in ("Hamiltonian", "second-order", "parabolic")]
    assert "weights they move by {:.2f} to {:.2f} and {:.2f} with six steps".format(*initial[0], initial[1][0]) in WORDS
    assert f"{initial[1][0]:.2f}" == f"{initial[1][1]:.2f}"
    words = "move by {:.2f} to {:.2f}, at the initial weights by {:.2f} to {:.2f}"
    assert words.format(*moved("parabolic, steps-6"), *initial[2]) in WORDS
    assert abs(mean(trainings("second_order", 2)) - mean(trainings("second_order", 6))) < 0.5


def test_every_decimal_number_is_published():
    part = RESTRICTIONS.split("\n### Networks with 1, 2, 3 and 6 steps, refined\n")[1].split("\n## ")[0]
    known = decimals("\n".join([*sentences("steps"), *(line for line in part.split("\n") if line.startswith("|"))]))
    prose = "\n".join(line for line in part.split("\n") if not line.startswith("|"))
    rounded = decimals(
        "0.0001 0.1 0.06 0.07 0.08 0.09 0.10 0.22 0.24 0.25 0.31 0.50 0.95 1.10 1.12 1.5 1.56"
    )  # in other tests
    assert decimals(prose) <= known | rounded
    means = [mean(trainings("hamiltonian", steps)) for steps in STEPS]
    assert max(means) - min(means) < 1.5


def test_the_picture_has_every_training_and_every_share():
    left, middle, right = script.picture(SETS).axes
    marks = sorted(100 * float(y) for line in left.lines if line.get_linestyle() == "None" for y in line.get_ydata())
    expected = sorted(value for runs in script.by_steps(SETS).values() for value in repeats.accuracies(runs))
    assert marks == expected
    assert len(expected) > 15
    for line in middle.lines:
        if line.get_label() in NAMES.values():
            dynamic = next(dynamic for dynamic, name in NAMES.items() if name == line.get_label())
            found = [divided(dynamic, steps) for steps in line.get_xdata()]
            assert list(line.get_ydata()) == pytest.approx([after / before for before, after, _ in found])
    drawn = {line.get_label(): [100 * float(y) for y in line.get_ydata()] for line in right.lines}
    for dynamic, name in NAMES.items():
        for unit in range(4):
            expected = [shares(dynamic, steps)[unit] for steps in STEPS]
            assert drawn[f"{name}, unit {unit + 1}"] == pytest.approx(expected, abs=0.051)


def test_two_configurations_of_one_number_of_steps_are_refused():
    (one,) = (
        runs
        for runs in SETS
        if runs[0].folder.is_relative_to(script.MORE_STEPS / "parabolic" / "fraction-0.10-steps-2")
    )
    with pytest.raises(ValueError, match=r"differs from .* in more than the number of steps"):
        script.by_steps([one, one])
