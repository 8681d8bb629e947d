"""Numbers in the prose of docs/analysis.md are those of the published analyses; its table is in test_trained_networks.py."""

import re

import pytest
from published_analyses import (
    INITIAL,
    NETWORKS,
    by_step,
    column,
    ends,
    initial,
    listed,
    numbers,
    rows,
    says,
    sentence,
    trained,
)


def test_theorem_1_before_and_after_training():
    before, after = (rows("parabolic/stability_theorem", network=which) for which in (initial, trained))
    of_pairs = column(before, "growth_of_pairs_median")
    says(
        f"may multiply a distance by {ends(column(before, 'factor_bound_max'))} for any two solutions, and by "
        f"{ends(column(before, 'factor_at_image_max'))} close to the images",
        f"would need h <= {ends(column(before, 'step_size_bound_min'))}, and "
        f"{ends(column(before, 'step_size_at_image_min'))} close to the images; random pairs move apart by "
        f"{min(of_pairs):.2f} to {max(of_pairs):.2f} a step (medians)",
        f"only for h up to {ends(column(after, 'step_size_bound_min'), '.2f')} "
        f"({ends(column(before, 'step_size_bound_min'), '.2f')} at initial weights), close to the images up to "
        f"{ends(column(after, 'step_size_at_image_min'), '.2f')}.",
    )
    assert sum(int(row["negative_scales"]) for row in before + after) == 0
    bounds, at_start = (by_step(each, "step_size_bound_min", min) for each in (after, before))
    lowered = {place: 100 * (1 - bounds[place] / at_start[place]) for place in bounds}
    assert (len(bounds), sum(value > 0 for value in lowered.values())) == (12, 9)
    first = [value for (_, step), value in lowered.items() if step == "1"]
    says(f"in nine of the twelve steps, by {ends(first, '.0f')} % in the first step of each unit")
    assert sum(bound < 1 / 4 for bound in bounds.values()) == 5
    assert 1 / 16 < min(bounds.values()) < 1 / 8
    says("`--refine 1,2,4,8,16` reaches the step size of Theorem 1 in every step")
    assert [round(1 / bound) for bound in (max(bounds.values()), min(bounds.values()))] == [2, 11]
    says("a step of h / 4 is still larger than Theorem 1 allows (below) in five of the twelve steps",
         "steps that are two to eleven times as large as those for which Theorem 1 holds")  # fmt: skip


def test_refinement_in_time():
    parts = {}
    for network in NETWORKS:
        for row in rows(f"{network}/refinement"):
            accuracy, low, high = (100 * float(row[key]) for key in ("test_accuracy", "low_95", "high_95"))
            parts.setdefault(row["steps_for_one"], {})[network, row["statistics"]] = (
                f"{accuracy:.1f} % ({low:.1f} to {high:.1f})"
            )
    order = [(network, kind) for network in reversed(NETWORKS) for kind in ("as trained", "renewed")]
    says(*(f"| {m} | {' | '.join(cells[place] for place in order)} |" for m, cells in parts.items()))
    (twice,) = rows("hamiltonian/refinement", steps_for_one="2", statistics="renewed")
    says(
        f"{twice['right_only_as_trained']} are right only before and {twice['right_only_changed']} only after at m = 2, "
        f"McNemar p = {float(twice['mcnemar_p']):.5f}"
    )


@pytest.mark.parametrize(("order", "expected"), [(1, 3), (2, 5)])
def test_distances_to_the_finest_refinement(order, expected):
    """With an error ``h^p`` the distances of h and h / 2 to the result for h / 4 have the ratio ``2^p + 1``."""
    assert (1 - 4**-order) / (2**-order - 4**-order) == expected
    coarse, fine = (
        column(rows("hamiltonian/refinement_distances", steps_for_one=m), "relative_distance_median") for m in "12"
    )
    ratios = [a / b for a, b in zip(coarse, fine, strict=True)]
    says(
        f"are {listed(coarse, '.2f')} from those at m = 4, relative, and at m = 2 {listed(fine, '.2f')} (medians",
        f"they fall by factors of {ends(ratios)}, where a scheme of first order has 3 and one of second order 5",
        f"within {ends([100 * 4 / 3 * value for value in coarse], '.0f')} % of the limit",
    )
    parabolic = column(rows("parabolic/refinement_distances", steps_for_one="1"), "relative_distance_median")
    says(f"Its units at h = 1 are {listed(parabolic, '.2f')} from m = 4")


def at_the_end(network, which):
    table = rows(f"{network}/stability_long", network=which, setting=lambda name: name.startswith("without norm"))
    return [row for row in table if row["time_in_steps"] == "48"]


def test_distances_over_a_long_time():
    hamiltonian, parabolic = (at_the_end(network, trained) for network in reversed(NETWORKS))
    before = at_the_end("parabolic", initial)
    distances, of_energy, controlled = (
        column(hamiltonian, f"{part}distance_over_start_median") for part in ("", "energy_", "controlled_")
    )
    powers, rates = column(hamiltonian, "fit_power"), column(hamiltonian, "fit_rate")
    assert {row["better_fit"] for row in hamiltonian} == {"exponential"}
    says(
        f"multiply it by {listed(distances, '.1f')}; in the energy norm of the linear equation by "
        f"{listed(of_energy, '.1f')}, and the part that H bounds by {listed(controlled, '.1f')}.",
        f"have p = {listed(powers, '.2f')}; but an exponential with rates of {ends(rates, '.2f')} a step fits better in all four",
        f"the parabolic units contract: by {listed(column(parabolic, 'distance_over_start_median'), '.2f')}.",
        f"are {ends(column(before, 'distance_over_start_median'))} of those at the start",
    )


def test_energies_and_forces():
    forces, growth = [], {}
    for network in NETWORKS:
        table = rows(f"{network}/energy_force", network=trained)
        forces += [100 * float(row["force_max"]) / float(row["force_bound"]) for row in table]
        own = rows(f"{network}/energy", network=trained, setting=lambda name: name.startswith("with norm"))
        last = [row for row in own if float(row["time_in_steps"]) == 3]
        growth[network] = listed(column(last, "norm_over_unit_start_median"), ".1f")
    says(f"features grow: by {growth['hamiltonian']} (Hamiltonian) and {growth['parabolic']} (parabolic), with forces at "
         f"{ends(forces, '.0f')} % of the bound")  # fmt: skip


def test_energies_without_norm():
    phi = numbers(sentence("parabolic/energy", "parabolic, no norm"), "phi(Y) falls to ", " of its start")
    H = sentence("hamiltonian/energy", "Hamiltonian, no norm")
    states, centred = (
        float(number) for number in re.search(r"by at most (\S+) at the .*? states, (\S+) with", H).groups()
    )
    orders = re.search(r"observed orders in h \(medians\) (\S+ and \S+)\.", H)[1]
    says(
        f"to {100 * max(phi):.1f} % of its start or less",
        f"within {100 * states:.0f} % of its start at the scheme's states, within {100 * centred:.1f} % with all parts at one "
        f"time, with observed orders of {orders} (",
    )
    scales = rows("hamiltonian/kernels", network=trained)
    says(f"(the trained scales are {min(column(scales, 'scale_min')):.2f} to {max(column(scales, 'scale_max')):.2f})")


def test_robustness():
    pairs = {(row["perturbation"], row["strength"]): row for row in rows("together/robustness_pairs")}
    assert len(pairs) == 60
    for place, count, p in ((("linf iterated", "1"), "10", 0.002), (("l2 iterated", "100"), "12", 0.0005)):
        row = pairs[place]
        assert (row["right_only_in_first"], row["right_only_in_second"]) == ("0", count)
        assert float(row["mcnemar_p"]) == pytest.approx(2 * 0.5 ** int(count))
        assert float(row["mcnemar_p"]) == pytest.approx(p, rel=0.05)
    assert pairs["linf iterated", "1"]["images_right_clean_in_both"] == "25"
    attacked = {
        row["dynamic"]: row
        for row in rows("together/robustness", perturbation="linf iterated", strength="1", trained="True")
    }
    percent = {
        dynamic: [round(100 * float(row[f"share_{end}"])) for end in ("still_right", "low_95", "high_95")]
        for dynamic, row in attacked.items()
    }
    assert {(row["images"], row["right_clean"]) for row in attacked.values()} == {("40", "30")}
    share, low, high = percent["hamiltonian"]
    assert percent["parabolic"] == [0, 0, 12]
    assert [row["right"] for row in rows("together/robustness", perturbation="linf random", strength="1")] == [
        "30",
        "30",
    ]
    stronger = rows("together/robustness", perturbation="linf iterated", strength=lambda value: int(value) >= 4)
    assert {row["still_right"] for row in stronger} == {"0"}
    damaged = [float(row["mcnemar_p"]) for (kind, _), row in pairs.items() if " " not in kind]
    one_step = [pairs["l2 one-step", strength] for strength in ("400", "800", "1600")]
    fewer, more = ([int(row[f"right_only_in_{which}"]) for row in one_step] for which in ("second", "first"))
    says(
        "Of the 25 images that are right in both, 10 stay right in the Hamiltonian network alone and none in the parabolic one",
        "on the same 40 test images, of which each has 30 right",
        f"turns all 30 (0 % stay right, 95 % interval 0 to 12 %); {share} % ({low} to {high} %) stay right in the Hamiltonian",
        "McNemar p = 0.002, not corrected for the 60 rows of",
        "with an L2 change of length 100 it is 12 and none (p = 0.0005)",
        f"leave more images right in the parabolic network ({listed(more, 'd')} in it alone, "
        f"{listed(fewer, 'd')} in the Hamiltonian one alone)",
        f"no difference is significant (p at least {min(damaged):.1g})",
    )


def test_products_of_theorem_1():
    found = sentence("parabolic/stability", "parabolic, Theorem 1")
    products = numbers(found, "growth of distances by ", ";")
    pairs = numbers(found, "random pairs are multiplied by ", " (largest")
    says(f"bound the growth of distances by {ends(products, '.0f')}; random pairs grow by {pairs[0]:.0f}, "
         f"{listed(pairs[1:], '.2f')} at most")  # fmt: skip


def test_distances_with_the_norm():
    growth = {
        (network, more): listed(numbers(found, "two solutions by ", " (medians"), ".2f")
        for network, name in zip(NETWORKS, ("parabolic", "Hamiltonian"), strict=True)
        for more in ("", INITIAL)
        for found in (sentence(f"{network}/stability", f"{name}{more}: the units multiply"),)
    }
    says(
        f"multiply the distance of two solutions by {growth['hamiltonian', '']}, at initial weights by "
        f"{growth['hamiltonian', INITIAL]}; those of the parabolic one by {growth['parabolic', '']}, at initial weights by "
        f"{growth['parabolic', INITIAL]} (medians over 16 test images"
    )


def test_running_backwards():
    errors = [
        max(column(rows("hamiltonian/reversibility", precision=precision), "relative_error_max"))
        for precision in ("float64", "float32", "bfloat16 layers, float32 state", "bfloat16")
    ]
    table = rows("hamiltonian/reversibility_gradients")
    reverse, stored = (max(column(table, f"relative_difference_{kind}")) for kind in ("reverse_store", "store_float64"))
    double, single, layers, half, gradient = (f"{error:.0e}".replace("e-0", "e-") for error in (*errors, reverse))
    says(
        f"at most {double} (float64), {single} (float32), {layers} (bfloat16 layers) and {half} (all in bfloat16)",
        f"differ from stored ones by {gradient} in float32, where the stored ones differ from float64 by "
        f"{1e6 * stored:.1f}e-6 (",
    )
