"""Numbers in the prose of docs/analysis.md on units: eigenvalues, kernels, gains and frequencies, as they are published."""

import csv
from itertools import pairwise
from pathlib import Path
from statistics import median

from published_analyses import NETWORKS, by_step, column, ends, initial, listed, numbers, rows, says, sentence, trained


def test_step_sizes_of_the_eigenvalues():
    found = {}
    for network in NETWORKS:
        for which in (trained, initial):
            table = rows(f"{network}/spectrum_layers", network=which, size="full", norm="frozen")
            allowed = by_step(table, "step_size_allowed", min)
            found[network, which] = allowed, max(by_step(table, "growth", max).values())
    allowed, growth = found["hamiltonian", trained]
    assert [len(allowed), sum(h >= 1 for h in allowed.values()), sum(1 <= h < 1.02 for h in allowed.values())] == [
        12,
        9,
        1,
    ]
    before, _ = found["hamiltonian", initial]
    assert all(
        h < 1
        for part in (before, found["parabolic", trained][0], found["parabolic", initial][0])
        for h in part.values()
    )
    says(f"In one of the nine the limit is {min(h for h in allowed.values() if h >= 1):.2f}, which")
    parabolic, factor = found["parabolic", trained]
    at_start, factor_at_start = found["parabolic", initial]
    says(
        f"allow h up to {ends(allowed.values())} in its twelve steps. h = 1 exceeds that in three, where one step multiplies a "
        f"mode by up to {growth:.1f}; at initial weights it exceeds it in all twelve ({ends(before.values())}).",
        f"they allow h up to {ends(parabolic.values())}, which h = 1 exceeds in all twelve, where one step multiplies a mode by "
        f"up to {factor:.1f}; at initial weights up to {ends(at_start.values())}, and by up to {factor_at_start:.1f}.",
    )


def test_eigenvalues_on_crops():
    zero, off = {}, {}
    for network in NETWORKS:
        for which in (trained, initial):
            crops = rows(f"{network}/spectrum_layers", network=which, size="crop")
            zero[network, which] = f"{100 * median(column(crops, 'zero_modes')):.0f}"
            off[network, which] = f"{max(column(crops, 'largest_real')):.0e}".replace("e-0", "e-")
    says(
        f"the real parts on crops are at most {off['parabolic', initial]} (parabolic) and at most "
        f"{off['hamiltonian', initial]} from 0 (Hamiltonian), and {zero['parabolic', initial]} and "
        f"{zero['hamiltonian', initial]} % of the eigenvalues are zero",
        f"{zero['hamiltonian', trained]} % of the eigenvalues are zero. In the parabolic network",
        f"{zero['parabolic', trained]} % of its eigenvalues are zero.",
    )


def test_one_sided_lipschitz_constants():
    found = {
        (network, which): column(rows(f"{network}/sensitivity_layers", network=which), "one_sided_lipschitz_median")
        for network in NETWORKS
        for which in (trained, initial)
    }
    says(
        f"are {ends(found['hamiltonian', trained])} in the Hamiltonian network ({ends(found['hamiltonian', initial])} at initial "
        f"weights) and up to {max(found['parabolic', trained]):.2g} in the parabolic one ({ends(found['parabolic', initial])})",
        f"the {min(found['parabolic', trained]):.3f} in the table is an error of the iteration",
    )


def test_kernels_in_time():
    above = {
        network: sum(int(row["differences_above_sqrt_eps"]) for row in rows(f"{network}/kernels", network=trained))
        for network in NETWORKS
    }
    says(
        f"differences of entries in the Hamiltonian network {above['hamiltonian']} exceed √eps = 0.032",
        f"in the parabolic network {above['parabolic']}.",
    )
    (each, kept, renewed), (each_2, kept_2, renewed_2) = (
        [f"{100 * value:.1f} %" for value in column(rows(f"{network}/kernels_averaged"), "test_accuracy")]
        for network in reversed(NETWORKS)
    )
    says(
        f"is right on {kept} of 500 test images ({renewed} with renewed batch statistics), with each step's on {each}; the "
        f"parabolic one on {kept_2} ({renewed_2}), with each step's on {each_2}."
    )


def test_gains():
    found = {}
    for network in NETWORKS:
        for which in (trained, initial):
            for kind in ("largest", "mean"):
                table = rows(f"{network}/sensitivity", network=which)
                assert [row["part"] for row in table] == ["unit 1", "unit 2", "unit 3", "unit 4", "network"]
                found[network, which, kind] = column(table, f"{kind}_gain_median")
    for which, kind, smaller in ((trained, "largest", [0, 0, 1, 1]), (trained, "mean", [0, 1, 1, 1])):
        pairs = zip(found["parabolic", which, kind], found["parabolic", initial, kind], strict=True)
        assert [int(after < 0.99 * before) for after, before in list(pairs)[:4]] == smaller
    for kind in ("largest", "mean"):
        pairs = zip(found["hamiltonian", trained, kind], found["hamiltonian", initial, kind], strict=True)
        assert all(after < before for after, before in list(pairs)[:4])
    (unit, *_, whole) = rows("parabolic/sensitivity", network=trained)
    of_units = {place: listed(values[:4], ".2g") for place, values in found.items()}
    of_network = {place: f"{values[4]:.2g}" for place, values in found.items()}
    random = {network: listed(found[network, trained, "mean"][:4], ".2f") for network in NETWORKS}
    large, large_before = (
        [f"{value:{form}}" for value, form in zip(found["parabolic", which, "largest"], forms, strict=False)]
        for which, forms in ((trained, (".0f", ".1f", ".0f", ".1f")), (initial, (".0f", ".1f", ".0f", ".0f")))
    )
    says(
        f"most sensitive direction by {of_units['hamiltonian', trained, 'largest']}, a random one by {random['hamiltonian']}; "
        f"at initial weights by {of_units['hamiltonian', initial, 'largest']}, and by "
        f"{of_units['hamiltonian', initial, 'mean']}.",
        f"by {large[0]} ({float(unit['largest_gain_min']):.0f} and {float(unit['largest_gain_max']):.0f} at the two images), "
        f"{large[1]}, {large[2]} and {large[3]}, a random one by {random['parabolic']}; "
        f"at initial weights by {large_before[0]}, {large_before[1]}, {large_before[2]} and {large_before[3]}, and by "
        f"{of_units['parabolic', initial, 'mean']}.",
        f"direction by {of_network['parabolic', trained, 'largest']} (parabolic; {float(whole['largest_gain_min']):.1f} and "
        f"{float(whole['largest_gain_max']):.1f} at the two images; {of_network['parabolic', initial, 'largest']} at initial "
        f"weights) and by {found['hamiltonian', trained, 'largest'][4]:.1f} (Hamiltonian; "
        f"{of_network['hamiltonian', initial, 'largest']}), a random one by {of_network['parabolic', trained, 'mean']} "
        f"({of_network['parabolic', initial, 'mean']}) and {of_network['hamiltonian', trained, 'mean']} "
        f"({of_network['hamiltonian', initial, 'mean']})",
    )


def test_smoothing():
    shares, gradients = {}, {}
    for network in NETWORKS:
        for which in (trained, initial):
            table = [row for row in rows(f"{network}/smoothing", network=which) if row["unit"] != "0"]
            for unit in "1234":
                of_unit = [row for row in table if row["unit"] == unit]
                share = [100 * value for value in column(of_unit, "share_0.5_to_1_nyquist_median")]
                gradient = column(of_unit, "gradient_over_norm_median")
                shares.setdefault((network, which), []).append(f"{share[0]:.0f} to {share[-1]:.0f}")
                gradients.setdefault((network, which), []).append(f"{gradient[0]:.2f} to {gradient[-1]:.2f}")
    (first, *others), before = shares["parabolic", trained], shares["parabolic", initial]
    rough, *smooth = gradients["parabolic", trained]
    hamiltonian = shares["hamiltonian", trained]

    def together(parts):
        return f"{', '.join(parts[:-1])} and {parts[-1]}"

    says(
        f"goes from {first} % in its first unit and from {together(others)} % in the others; at initial weights from "
        f"{together(before)} %.",
        f"from {rough}, and from {together(smooth)}.",
        f"In the Hamiltonian network the share goes from {together(hamiltonian)} %.",
    )


def test_entries_and_operator_norms():
    found = {
        (network, which, name): listed(column(rows(f"{network}/kernels", network=which), name), form)
        for network in NETWORKS
        for which in (trained, initial)
        for name, form in (("entry_max", ".2f"), ("operator_norm_max", ".1f"))
    }
    on_box = [column(rows(f"{network}/kernels", network=trained), "share_on_box") for network in NETWORKS]
    assert on_box == [[0] * 4, [0] * 4]
    spread = {network: column(rows(f"{network}/kernels", network=initial), "entry_rms") for network in NETWORKS}
    says(
        f"{found['hamiltonian', trained, 'entry_max']} (Hamiltonian) and {found['parabolic', trained, 'entry_max']} (parabolic)",
        f"norms are {found['hamiltonian', trained, 'operator_norm_max']} "
        f"({found['hamiltonian', initial, 'operator_norm_max']} before training)",
        f"{found['parabolic', trained, 'operator_norm_max']} in the parabolic network",
        f"{listed(spread['parabolic'][2:], '.3f')} in the last two units of the parabolic network, "
        f"{spread['hamiltonian'][3]:.3f} in the last of the Hamiltonian one",
    )
    norms = {
        which: column(rows("parabolic/kernels", network=which), "operator_norm_max") for which in (trained, initial)
    }
    says(
        f"have grown from {min(norms[initial]):.1f} or {max(norms[initial]):.1f} to {ends(norms[trained], '.1f')}.",
        f"in the parabolic network ({ends(norms[initial], '.1f')} before)",
    )
    terms = [
        numbers(sentence(f"{network}/kernels", name), "smoothness term is ", " above its least value")
        for network, name in (("hamiltonian", "Hamiltonian: from"), ("parabolic", "parabolic: from"))
    ]
    floors = [f"{term - above:.4f} of {term:.4f}" for term, above in terms]
    says(f"nearly all of the smoothness term: {floors[0]}, and {floors[1]}.")
    for network, form in (("hamiltonian", ".2g"), ("parabolic", ".0f")):
        changes = [100 * value for value in column(rows(f"{network}/kernels", network=trained), "relative_change_max")]
        says(f"{listed(changes, form)} % ")


def test_how_often_the_projection_acted():
    """``largest_weight`` is 1 at first, as scales start there, and again only if a weight has reached the box."""
    returns = {}
    for network in NETWORKS:
        path = Path(__file__).parents[2] / "src" / "pdenet_repro" / "pretrained" / network / "metrics.csv"
        with path.open(newline="") as file:
            largest = column(csv.DictReader(file), "largest_weight")
        assert largest[0] == 1
        returns[network] = sum(before < 1 <= after for before, after in pairwise(largest))
    assert returns == {"parabolic": 8, "hamiltonian": 2}
    says("after having been below, twice in the Hamiltonian run, eight times in the parabolic one")
