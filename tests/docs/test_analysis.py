"""What docs/analysis.md says of trained networks holds in the published analyses, and its numbers are theirs."""

import csv
import re
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from published_analyses import (
    DOCS,
    NETWORKS,
    PAGE,
    by_step,
    column,
    decimals,
    everything,
    prose,
    rows,
    section,
    sentences,
)

HYPERBOLIC = ("hamiltonian", "second_order")


def accuracies(network, statistics):
    table = rows(network, "refinement", statistics=statistics)
    return {int(row["steps_for_one"]): 100 * float(row["test_accuracy"]) for row in table}


def growth(network, initial=False):
    """Of the distance of two solutions in each unit, over all kinds of perturbations, as the sentences have it."""
    name = NETWORKS[network] + ", initial weights" * initial
    (found,) = [each for each in sentences(network) if each.startswith(f"{name}: the units multiply the distance")]
    return [float(value) for value in found.split("two solutions by ")[1].split(" (medians")[0].split(", ")]


def at_the_end(network, initial=False):
    return rows(network, "stability_long", initial=initial, setting="without norm", time_in_steps="48")


def test_every_decimal_number_is_published():
    """Beside those in the tables and sentences: differences and settings that the other tests check."""
    tables = "\n".join(line for line in PAGE.split("\n") if line.startswith("|"))
    known = decimals("\n".join([*sentences(), tables]))
    derived = (
        "3.3 3.4 3.8 7.6 0.12 2.6 3.7 2.3 4.2 0.13 0.19 2.75 1.75 0.75 2.5 1.5 0.5 0.032 0.020 0.0098 0.0005 0.002 0.02 0.04 "
        "0.24 0.25 0.60 1.0 10.6 19.5 0.0001 0.067 53.1 15.3 54.6 0.001 "
        "1.80"  # of test_box_and_smoothness_term_on_500_images
    )
    assert decimals(section("What trained networks do")) <= known | set(derived.split())


def test_refinement():
    renewed = accuracies("hamiltonian", "renewed")
    lost = {m: f"{renewed[1] - value:.1f}" for m, value in renewed.items()}
    assert (lost[2], lost[8]) == ("3.3", "7.6")
    (twice,) = rows("hamiltonian", "refinement", steps_for_one="2", statistics="renewed")
    assert (twice["right_only_as_trained"], twice["right_only_changed"]) == ("66", "28")
    assert float(twice["mcnemar_p"]) == pytest.approx(1e-4, rel=0.2)
    lost_as_trained = (
        accuracies("hamiltonian", "as trained")[1] - renewed[2]
    )  # McNemar's pairs are of these two networks
    assert f"with 77.9 %, it is {lost_as_trained:.1f} points at m = 2" in " ".join(PAGE.split())
    assert lost_as_trained == pytest.approx((66 - 28) / 10)
    assert all(accuracies("hamiltonian", "as trained")[m] < renewed[m] for m in (2, 4, 8))
    same = [rows(network, "refinement", steps_for_one="1", statistics="renewed") for network in NETWORKS]
    assert min(float(row["mcnemar_p"]) for (row,) in same) > 0.12
    for network in ("parabolic", "second_order"):
        for statistics in ("renewed", "as trained"):
            found = accuracies(network, statistics)
            assert found[1] > 70
            assert found[2] < 25
        assert max(value for m, value in accuracies(network, "as trained").items() if m > 1) < 9


@pytest.mark.parametrize(("order", "ratios"), [(1, (2.3, 3)), (2, (4.2, 5))])
def test_distances_to_the_finest_refinement(order, ratios):
    """With an error ``h^p`` the distances to the result for h / 8 have these ratios at h, h / 2 and h / 4."""
    of = [m**-order - 8**-order for m in (1, 2, 4)]
    assert [a / b for a, b in pairwise(of)] == pytest.approx(ratios, abs=0.05)
    table = [rows("hamiltonian", "refinement_distances", steps_for_one=m) for m in "124"]
    coarse, middle, fine = (column(each, "relative_distance_median") for each in table)
    found = [a / b for pair in ((coarse, middle), (middle, fine)) for a, b in zip(*pair, strict=True)]
    assert [f"{min(found):.1f}", f"{max(found):.1f}"] == ["2.6", "3.7"]
    assert [f"{value:.2f}" for value in (min(coarse), max(coarse))] == ["0.16", "0.37"]


def test_what_training_did_to_the_distances():
    def at_h_1(network, initial):
        table = rows(network, "refinement_distances", initial=initial, steps_for_one="1")
        return column(table, "relative_distance_median")

    text = " ".join(PAGE.split())
    for network, first in (("hamiltonian", 1), ("parabolic", 1), ("second_order", 0)):
        before, after = (at_h_1(network, initial) for initial in (True, False))
        nearer = [a < b for a, b in zip(after, before, strict=True)]
        assert nearer == [False, *[network != "second_order"] * 3]
        last = f"{max(after[first:]):.2f}" if network != "second_order" else f"{max(after):.1f}"
        words = (
            f"({min(before[first:]):.2f} to {max(before[first:]):.2f} before, {min(after[first:]):.2f} to {last} after)"
        )
        assert words in text


def test_widths_of_intervals_of_accuracies():
    for table, points in (("refinement", 3), ("kernels_averaged", 4)):
        for network in NETWORKS:
            trained = rows(network, table)[0]
            reach = 50 * (float(trained["high_95"]) - float(trained["low_95"]))
            assert round(reach) == points


def test_distances_of_the_second_order_units_to_the_finest_refinement():
    coarse, middle = (
        column(rows("second_order", "refinement_distances", steps_for_one=m), "relative_distance_median") for m in "12"
    )
    assert [f"{value:.2f}" for value in (min(middle), max(middle))] == ["0.13", "0.19"]
    assert [f"{value:.2g}" for value in (min(coarse), max(coarse))] == ["0.56", "1.5"]


@pytest.mark.parametrize(("m", "weights"), [(1, [3, 2, 1]), (2, [2.75, 1.75, 0.75]), (10_000, [2.5, 1.5, 0.5])])
def test_weights_of_the_three_forces_in_leapfrog_from_rest(m, weights):
    """``Y_{j+1} = 2 Y_j - Y_{j-1} + F_j / m^2`` for three times m steps from ``Y_{-1} = Y_0 = 0``, one force in turn is 1."""
    for step, weight in enumerate(weights):
        features, before = 0.0, 0.0
        for i in range(3 * m):
            features, before = 2 * features - before + (i // m == step) / m**2, features
        assert features == pytest.approx(weight, abs=1e-3)
        centred = features + (m - 1) / 2 * (features - before)  # the free motion that `refined_centred` appends
        assert centred == pytest.approx([3, 2, 1][step])


def test_resolutions():
    text = " ".join(PAGE.split())
    found = {}
    for network in NETWORKS:
        table = rows(network, "stencils_resolution")
        found[network] = {(row["side_pixels"], row["stencils"]): 100 * float(row["test_accuracy"]) for row in table}
        assert {row["test_images"] for row in table} == {"1000"}
        p_values = [float(row["mcnemar_p"]) for row in table if row["stencils"] == "rescaled"]
        assert len(p_values) == 3
        assert max(p_values) < 1e-4
        for side in ("48", "72", "144"):
            assert found[network][side, "rescaled"] < found[network][side, "unchanged"] < found[network]["96", "native"]
    kept = found["hamiltonian"]
    shares = {
        network: [of[side, "rescaled"] / of["96", "native"] for side in ("48", "72", "144")]
        for network, of in found.items()
    }
    assert shares["hamiltonian"] == [max(each) for each in zip(*shares.values(), strict=True)]
    words = f"of {kept['96', 'native']:.1f} % at 96 pixels it keeps {kept['72', 'rescaled']:.1f} % at 72"
    assert f"{words} and {kept['144', 'rescaled']:.1f} % at 144 pixels" in text
    assert f"with unchanged kernels {kept['72', 'unchanged']:.1f} and {kept['144', 'unchanged']:.1f} %" in text
    low = {f"{found[network]['144', 'rescaled']:.1f}" for network in ("parabolic", "second_order")}
    assert " ".join(f"fall to {value} % each" for value in low) in text
    steps = [
        rows(network, "stencils_resolution", side_pixels="144", stencils="rescaled")[0]["steps_for_one"]
        for network in NETWORKS
    ]
    assert "There {}, {} and {} steps replace one (parabolic, Hamiltonian, second-order)".format(*steps) in text
    alone = [
        accuracies(network, "renewed")[m]
        for network, ms in zip(NETWORKS, ((4, 8), (4, 8), (2, 4)), strict=True)
        for m in ms
    ]
    words = "{:.1f} and {:.1f} % (parabolic, m = 4 and 8), {:.1f} and {:.1f} % (Hamiltonian) and {:.1f} and {:.1f} % ("
    assert words.format(*alone) in text
    renewed = accuracies("hamiltonian", "renewed")
    lost = [renewed[1] - renewed[4], renewed[1] - renewed[8], kept["144", "unchanged"] - kept["144", "rescaled"]]
    assert "loses {:.1f} and {:.1f} points by it, and {:.1f} at 144 pixels".format(*lost) in text
    others = [
        (network, row["side_pixels"], row["steps_for_one"]) for network in NETWORKS
        for row in rows(network, "stencils_resolution", stencils="rescaled") if row["side_pixels"] != "144"
    ]  # fmt: skip
    assert [each for each in others if each[2] != "1"] == [("hamiltonian", "48", "2")]


def test_symbols_of_the_kernels():
    text, said = " ".join(PAGE.split()), [each for each in sentences() if "squared symbols are" in each]
    assert len(said) == 3
    low, high = ([float(re.search(rf"(\d\.\d\d) \({band}\)", each)[1]) for each in said] for band in ("low", "high"))
    odd = [int(re.search(r"(\d+)% of the kernels is odd", each)[1]) for each in said]
    assert (
        f"are {min(low)} to {max(low)} times their mean at low and {min(high):.2f} to {max(high):.2f} times at high"
        in text
    )
    assert f"and {min(odd)} to {max(odd)} % of the kernels is odd" in text


def test_the_second_order_network_fails_with_centred_steps_too():
    table = rows("second_order", "refinement_centred")
    assert [(row["steps_for_one"], row["statistics"]) for row in table] == [(m, "renewed") for m in "248"]
    found = column(table, "test_accuracy")
    of_100 = (f"{100 * value:.1f}" for value in found)
    assert "The accuracy is then {}, {} and {} % at m = 2, 4 and 8".format(*of_100) in " ".join(PAGE.split())
    without = column(rows("second_order", "refinement", statistics="renewed"), "test_accuracy")[1:]
    assert all(centred < other < 0.25 for centred, other in zip(found, without, strict=True))


def test_the_loss_comes_above_all_from_the_first_step():
    text, found, p = " ".join(PAGE.split()), {}, {}
    for network in NETWORKS:
        for row in rows(network, "refinement_parts", steps_for_one="2", statistics="renewed"):
            found[network, row["part"]] = 100 * float(row["test_accuracy"])
            p[network, row["part"]] = float(row["mcnemar_p"])
    for network in ("parabolic", "second_order"):
        assert found[network, "first steps"] < 22
        of_units = [found[network, f"unit {unit}"] for unit in (1, 2, 3, 4)]
        assert "{:.1f}, {:.1f}, {:.1f} and {:.1f} %".format(*of_units) in text
    assert max(p[network, f"unit {unit}"] for network in ("parabolic", "second_order") for unit in (1, 2, 3, 4)) < 1e-3
    second_order, hamiltonian = "second_order", "hamiltonian"
    assert (
        f"falls to {found[second_order, 'first steps']:.1f} % and the parabolic one to {found['parabolic', 'first steps']:.1f} %"
        in text
    )
    assert (
        f"has {found[second_order, 'other steps']:.1f} % ({accuracies(second_order, 'as trained')[1]:.1f} % as trained, "
        f"p = {p[second_order, 'other steps']:.2f}), and the parabolic one falls to {found['parabolic', 'other steps']:.1f} %"
        in text
    )
    readme = " ".join((DOCS.parent / "README.md").read_text().split())
    pair = {
        part: [found[network, part] for network in ("parabolic", second_order)]
        for part in ("first steps", "other steps")
    }
    words = "with it alone divided they have {:.1f} and {:.1f} %, with only the other steps divided {:.1f} and {:.1f} %"
    assert words.format(*pair["first steps"], *pair["other steps"]) in readme
    undivided = accuracies("parabolic", "renewed")[1]
    losses = (
        undivided - value
        for value in (*(found["parabolic", part] for part in pair), accuracies("parabolic", "renewed")[2])
    )
    words = "network loses {:.1f} points by its first steps, {:.1f} by the others and {:.1f} by all"
    assert words.format(*losses) in text
    both = (accuracies(network, "renewed")[2] for network in (second_order, "parabolic"))
    assert "(with all steps divided to {:.1f} and {:.1f} %)".format(*both) in text
    assert p[hamiltonian, "first steps"] < 1e-4
    assert (
        f"has {found[hamiltonian, 'first steps']:.1f} % with the first steps divided "
        f"({accuracies(hamiltonian, 'as trained')[1]:.1f} % as trained, p < 0.0001) and "
        f"{found[hamiltonian, 'other steps']:.1f} % with the others (p = {p[hamiltonian, 'other steps']:.2f})" in text
    )
    of_units = [found[hamiltonian, f"unit {unit}"] for unit in (1, 2, 3, 4)]
    least = min(p[hamiltonian, f"unit {unit}"] for unit in (1, 2, 3, 4))
    assert f"({min(of_units):.1f} to {max(of_units):.1f} %, p at least {least:.3f})" in text


def test_distances():
    assert all(value > 1 for network in HYPERBOLIC for value in growth(network))
    assert [value > 1.1 for value in growth("parabolic")] == [True, True, False, False]
    for network, grown in (("hamiltonian", [True, False, False, False]), ("second_order", [True] * 4)):
        assert [a > b for a, b in zip(growth(network), growth(network, initial=True), strict=True)] == grown
    for network in HYPERBOLIC:
        for name in ("distance_over_start_median", "energy_distance_over_start_median"):
            assert min(column(at_the_end(network), name)) > 1
    found = [
        f"{f(column(at_the_end(network), 'energy_distance_over_start_median')):.3g}"
        for network in HYPERBOLIC for f in (min, max)
    ]  # fmt: skip
    words = "{} to {} times in the Hamiltonian units and {} to {} times in the second-order ones".format(*found)
    assert words in " ".join(PAGE.split())
    assert {row["better_fit"] for row in at_the_end("second_order")} == {"algebraic"}
    assert {row["better_fit"] for row in at_the_end("hamiltonian")} == {"exponential"}
    rates = column(at_the_end("hamiltonian"), "fit_rate")
    assert [f"{value:.3g}" for value in (min(rates), max(rates))] == ["0.0207", "0.0379"]
    for initial in (False, True):
        assert max(column(at_the_end("parabolic", initial), "distance_over_start_median")) < 1


def test_theorem_1():
    after, before = (rows("parabolic", "stability_theorem", initial=initial) for initial in (False, True))
    assert sum(int(row["negative_scales"]) for row in after + before) == 0
    bounds, at_start = (by_step(each, "step_size_bound_min", min) for each in (after, before))
    assert (len(bounds), sum(a < b for a, b in zip(bounds, at_start, strict=True))) == (12, 9)
    close, close_at_start = (by_step(each, "step_size_at_image_min", min) for each in (after, before))
    lowered = [a < b for a, b in zip(close, close_at_start, strict=True)]
    assert sum(lowered) == 5
    assert all(lowered[::3])
    assert all(a < b for a, b in zip(bounds[::3], at_start[::3], strict=True))
    factors = column(before, "factor_bound_max"), column(before, "factor_at_image_max")
    limits = column(before, "step_size_bound_min"), column(before, "step_size_at_image_min")
    of_pairs = column(before, "growth_of_pairs_median")
    text = " ".join(PAGE.split())
    for numbers, form in (
        (factors[0], ".2g"),
        (factors[1], ".2g"),
        (limits[0], ".2f"),
        (limits[1], ".2f"),
        (of_pairs, ".2f"),
    ):
        assert f"{min(numbers):{form}} to {max(numbers):{form}}" in text


def test_spectrum():
    for network, (steps, before) in {"parabolic": (0, 0), "hamiltonian": (4, 0), "second_order": (6, 3)}.items():
        for initial, number in ((False, steps), (True, before)):
            full = rows(network, "spectrum_layers", initial=initial, size="full", norm="frozen")
            assert {row["image"] for row in full} == set(map(str, range(16)))
            allowed = by_step(full, "step_size_allowed", min)
            assert (len(allowed), sum(h >= 1 for h in allowed)) == (12, number)
            crops = rows(network, "spectrum_layers", initial=initial, size="crop", norm="frozen")
            assert 0.4 < median(column(crops, "zero_modes")) < 0.6
            assert max(column(crops, "largest_real")) < 3e-7


def test_first_steps_have_the_smallest_stable_step_size():
    """Eigenvalues at 16 images, norm frozen; steps are in the order of the network, three in a unit."""

    def full(network, initial=False):
        return rows(network, "spectrum_layers", initial=initial, size="full", norm="frozen")

    raised = []
    for network in ("parabolic", "second_order"):
        after, before = (by_step(full(network, initial), "step_size_allowed", min) for initial in (False, True))
        for allowed in (after, before):
            assert all(allowed[i] == min(allowed[i : i + 3]) for i in (0, 3, 6, 9))
        assert all(a < b for a, b in zip(after[::3], before[::3], strict=True))
        raised += [a > b for a, b in zip(after, before, strict=True)]
    assert sum(raised) == 14
    assert min(by_step(full("second_order"), "step_size_allowed", min)) > 1 / 4
    stable = by_step(full("hamiltonian"), "step_size_allowed", lambda of_images: sum(h >= 1 for h in of_images))
    assert min(stable[3:9]) == 13
    moved = column(rows("hamiltonian", "refinement_distances", steps_for_one="1"), "relative_distance_median")
    assert max(moved[1:3]) < min(moved[0], moved[3])


def test_largest_gains_and_robustness_have_the_same_order():
    gains = [
        float(rows(network, "sensitivity")[-1]["largest_gain_median"])
        for network in ("hamiltonian", "second_order", "parabolic")
    ]
    assert [f"{gain:.3g}" for gain in gains] == ["3.25", "5.08", "8.96"]
    for kind, strength in (("linf iterated", "1"), ("l2 iterated", "100")):
        right = [
            int(row["still_right"])
            for name in ("Hamiltonian", "second-order", "parabolic")
            for row in everything("together", "robustness", network=name, perturbation=kind)
            if row["strength"] == strength
        ]
        assert right[0] > right[1] > right[2]


def test_how_far_h_of_the_hyperbolic_units_changes():
    text = " ".join(PAGE.split())
    said = {
        network: next(each for each in sentences(network) if each.startswith(f"{NETWORKS[network]}, no norm"))
        for network in HYPERBOLIC
    }
    found = [re.findall(r"by (?:at most )?(\S+e-\d+) ", said[network]) for network in HYPERBOLIC]
    (first, centred), (first_8, centred_8) = ([100 * float(value) for value in each] for each in found)
    assert f"at most {first:.1f} % (Hamiltonian) and {first_8:.1f} % (second-order) at the scheme's states" in text
    assert f"by {centred:.2f} and {centred_8:.2f} % with all parts at one time" in text


def test_energies_and_gains():
    for network in NETWORKS:
        last = rows(network, "energy", setting="with norm", time_in_steps="3")
        assert min(column(last, "norm_over_unit_start_median")) > 1
        *units, whole = rows(network, "sensitivity")
        assert 80 < float(whole["largest_gain_median"]) / float(whole["mean_gain_median"]) < 90
        assert all(float(row["largest_gain_median"]) > 3 * float(row["mean_gain_median"]) for row in units)
    for network, larger in {
        "parabolic": [True, False, False, False],
        "hamiltonian": [False] * 4,
        "second_order": [True, True, True, False],
    }.items():
        after, before = (
            column(rows(network, "sensitivity", initial=which), "largest_gain_median") for which in (False, True)
        )
        assert [a > b for a, b in zip(after[:4], before[:4], strict=True)] == larger
        assert after[4] > before[4]
        layers, at_start = (
            column(rows(network, "sensitivity_layers", initial=which), "one_sided_lipschitz_median")
            for which in (False, True)
        )
        assert max(layers) < 0.2526
        assert sum(a < b for a, b in zip(layers, at_start, strict=True)) > len(layers) / 2


def test_kernels():
    kernels = {network: rows(network, "kernels") for network in NETWORKS}
    above = {network: sum(column(table, "differences_above_sqrt_eps")) for network, table in kernels.items()}
    assert above == {"parabolic": 363, "hamiltonian": 23, "second_order": 145}
    changes = {network: column(table, "relative_change_max") for network, table in kernels.items()}
    assert [value < 0.03 for value in changes["hamiltonian"]] == [False, True, True, True]
    assert min(changes["parabolic"] + changes["second_order"]) > 0.08
    assert {value for table in kernels.values() for value in column(table, "share_on_box")} == {0}
    largest = [
        f"{max(column(kernels[network], 'entry_max')):.2f}" for network in ("hamiltonian", "parabolic", "second_order")
    ]
    assert f"{largest[0]}, {largest[1]} and {largest[2]}" in " ".join(PAGE.split())
    for network in NETWORKS:
        spread = column(rows(network, "kernels", initial=True), "entry_rms")
        assert spread[3] < 1e-3**0.5
        before = column(rows(network, "kernels", initial=True), "operator_norm_max")
        assert max(column(kernels[network], "operator_norm_max")) > max(before)
    p = column(rows("hamiltonian", "kernels_averaged"), "mcnemar_p")
    assert [f"{value:.2g}" for value in p[1:]] == ["0.038", "0.24"]
    assert all(
        max(column(rows(network, "kernels_averaged")[1:], "mcnemar_p")) < 0.002
        for network in kernels
        if network != "hamiltonian"
    )


def test_how_often_the_projection_acted():
    """``largest_weight`` is 1 at first, as scales start there, and again only if a weight has reached the box."""
    returns = {}
    for network in NETWORKS:
        path = Path(__file__).parents[2] / "src" / "pdenet_repro" / "pretrained" / network / "metrics.csv"
        with path.open(newline="") as file:
            largest = column(csv.DictReader(file), "largest_weight")
        assert largest[0] == 1
        returns[network] = sum(before < 1 <= after for before, after in pairwise(largest))
        assert largest[-1] < 1
    assert returns == {"parabolic": 8, "hamiltonian": 2, "second_order": 7}


def test_smoothing():
    at_start = {
        network: [
            column(rows(network, "smoothing", initial=True, unit=unit), "share_0.5_to_1_nyquist_median")
            for unit in "1234"
        ]
        for network in NETWORKS
    }
    falling = at_start["parabolic"][1:] + at_start["second_order"]
    assert all(shares[-1] < shares[0] for shares in falling)
    assert max(abs(shares[-1] - shares[0]) for shares in at_start["hamiltonian"]) < 0.02
    for network, falls in {
        "parabolic": [False, True, True, True],
        "hamiltonian": [False, False, True, True],
        "second_order": [False, True, True, True],
    }.items():
        of_units = [column(rows(network, "smoothing", unit=unit), "share_0.5_to_1_nyquist_median") for unit in "1234"]
        assert [each[-1] < each[0] for each in of_units] == falls


def test_energies_of_high_frequencies():
    factors = {
        network: [
            column(rows(network, "smoothing", unit=unit), "energy_0.5_to_1_nyquist_over_unit_start_median")[-1]
            for unit in "1234"
        ]
        for network in NETWORKS
    }
    falling = [
        (network, i) for network, of_units in factors.items() for i, factor in enumerate(of_units, 1) if factor < 1
    ]
    assert falling == [("parabolic", 3), ("parabolic", 4)]
    text = " ".join(PAGE.split())
    third, fourth = factors["parabolic"][2:]
    assert f"unit 4 of the parabolic network to {fourth:.2f} times, stays in unit 3 ({third:.2f} times)" in text
    second_order = factors["second_order"]
    assert f"network {min(second_order):.2g} to {max(second_order):.2g} times" in text
    of_authors_units = [
        of_authors("smoothing", "energy_0.5_to_1_nyquist_over_unit_start_median", unit=unit)["parabolic"]
        for unit in "1234"
    ]
    last = [values[-1] for values in of_authors_units]
    assert [factor < 1 for factor in last] == [False, True, True, False]
    assert f"their energy is {last[1]:.2f} and {last[2]:.2f} times that at the start" in text


def test_box_and_smoothness_term_on_500_images():
    with (DOCS / "results" / "readings" / "effects.csv").open(newline="") as file:
        found = {row["variation"]: 100 * float(row["difference"]) for row in csv.DictReader(file) if row["difference"]}
    words = "the accuracy is {:.2f} points higher, without the smoothness term {:.2f} and with {:.2f} points higher ("
    text = " ".join(prose(PAGE).split())
    assert words.format(*(found[name] for name in ("box-none", "smoothness-none", "smoothness-h1"))) in text


def test_robustness():
    pairs = {
        (row["first"], row["second"], row["perturbation"], row["strength"]): row
        for row in everything("together", "robustness_pairs")
    }
    assert len(pairs) == 180
    for place, fewer, more, p in (
        (("parabolic", "Hamiltonian", "linf iterated", "1"), "0", "10", 0.002),
        (("parabolic", "Hamiltonian", "l2 iterated", "100"), "0", "12", 0.0005),
        (("Hamiltonian", "second-order", "linf iterated", "1"), "9", "1", 0.0215),
        (("Hamiltonian", "second-order", "l2 iterated", "100"), "10", "0", 0.002),
    ):
        row = pairs[place]
        assert (row["right_only_in_first"], row["right_only_in_second"]) == (fewer, more)
        assert float(row["mcnemar_p"]) == pytest.approx(p, rel=0.05)
    assert min(float(row["mcnemar_p"]) for place, row in pairs.items() if " " not in place[2]) > 0.1
    smallest = [("linf iterated", "1"), ("linf one-step", "1"), ("l2 iterated", "100"), ("l2 one-step", "100")]
    assert min(float(pairs["parabolic", "second-order", *each]["mcnemar_p"]) for each in smallest) >= 0.25
    table = everything("together", "robustness", trained="True")
    assert [
        row["right_clean"] for row in table if row["strength"] == "1" and row["perturbation"] == "linf iterated"
    ] == ["30", "30", "28"]
    for name, share in (
        ("parabolic", ["0", "0", "12"]),
        ("second-order", ["11", "2", "28"]),
        ("Hamiltonian", ["37", "20", "56"]),
    ):
        (row,) = (
            row
            for row in table
            if row["network"] == name and (row["perturbation"], row["strength"]) == ("linf iterated", "1")
        )
        ends = ("share_still_right", "share_low_95", "share_high_95")
        assert [f"{100 * float(row[end]):.0f}" for end in ends] == share
    strong = [
        row
        for row in table
        for kind, least in (("linf", 4), ("l2", 400))
        if row["perturbation"] == f"{kind} iterated" and int(row["strength"]) >= least
    ]
    assert {row["still_right"] for row in strong} == {"0"}
    random = [
        row for row in table if (row["perturbation"], row["strength"]) in (("linf random", "1"), ("l2 random", "100"))
    ]
    assert len(random) == 6
    assert all(row["still_right"] == row["right_clean"] for row in random)


def of_authors(table, name, **chosen):
    """A column of a table of the trained networks of ``recipe=authors``, by network."""
    found = everything("authors", table, **chosen)
    return {label: column([row for row in found if row["network"] == label], name) for label in NETWORKS.values()}


def test_networks_of_the_authors_recipe():
    """Their connectors use the statistics of the batch, so that renewing statistics changes nothing."""
    found = of_authors("refinement", "test_accuracy", statistics="as trained")
    assert found == of_authors("refinement", "test_accuracy", statistics="renewed")
    hamiltonian = found["Hamiltonian"]
    assert [f"{100 * (hamiltonian[0] - value):.1f}" for value in hamiltonian[1:]] == ["10.6", "19.5"]
    text = " ".join(PAGE.split())
    for part, words in (
        ("first", "divided they have {}, {} and {} %"),
        ("other", "the others divided {}, {} and {} %"),
    ):
        parts = of_authors("refinement_parts", "test_accuracy", part=f"{part} steps").values()
        assert words.format(*(f"{100 * value:.1f}" for (value,) in parts)) in text
    assert min(each[0] for each in found.values()) > 0.7
    assert max(found["parabolic"][1], found["second-order"][1]) < 0.3
    averaged = of_authors("kernels_averaged", "test_accuracy")
    assert f"{100 * max(each[0] - each[1] for each in averaged.values()):.1f}" == "3.4"
    changes = of_authors("kernels", "relative_change_max")
    for folder in ("parabolic", "second_order"):
        of_paper = column(rows(folder, "kernels"), "relative_change_max")
        assert all(a < b for a, b in zip(changes[NETWORKS[folder]][1:], of_paper[1:], strict=True))
    shares = [of_authors("smoothing", "share_0.5_to_1_nyquist_median", unit=unit)["parabolic"] for unit in "1234"]
    assert [each[-1] < each[0] for each in shares] == [False, True, True, False]
    table = everything("authors", "stability", perturbation="0.1", place="unit", step="3")
    of_hyperbolic = [row for row in table if row["network"] in ("Hamiltonian", "second-order")]
    assert min(column(of_hyperbolic, "distance_over_unit_start_median")) > 1


def test_gradients_with_reversed_steps():
    for network in HYPERBOLIC:
        for row in rows(network, "reversibility_gradients"):
            reverse, stored = row["relative_difference_reverse_store"], row["relative_difference_store_float64"]
            assert float(reverse) < float(stored)


def test_no_cell_of_a_table_is_undefined():
    assert not [line for line in PAGE.split("\n") if line.startswith("|") and "nan" in line]
