"""What docs/restrictions.md says of networks with and without the restrictions holds in their published analyses."""

import csv
import json
from math import isnan

from published_analyses import FOLDER, RESTRICTIONS, decimals, everything, sentences

HEADING = "## What networks with and without the restrictions do"
PART = RESTRICTIONS.split(f"\n{HEADING}\n")[1].split("\n## ")[0].split("\n### ")[0]
PROSE = "\n".join(line for line in PART.split("\n") if not line.startswith(("|", "!", "<!--")))
WORDS = " ".join(PROSE.split())
LABELS = {
    "parabolic": 0.43325,
    "Hamiltonian": 0.4555,
    "second-order": 0.429625,
    "ResNet": 0.466875,
    "expansive": 0.472375,
}
UNITS = "1234"


def rows(label, table, **chosen):
    return [row for row in everything("controls", table, **chosen) if row["network"] == label]


def shares(label):
    """The share of energy above half the Nyquist frequency at the start and the end of each unit, per cent."""
    found = [rows(label, "smoothing", unit=unit) for unit in UNITS]
    return [tuple(100 * float(each[i]["share_0.5_to_1_nyquist_median"]) for i in (0, -1)) for each in found]


def at_the_end(label):
    return {
        row["unit"]: float(row["distance_over_start_median"])
        for row in rows(label, "stability_long", setting="without norm", time_in_steps="48")
    }


def growth(label):
    """Factors of the units on the distance of two solutions whose images differ by a tenth of their norm."""
    found = rows(label, "stability", perturbation="0.1", place="unit", step="3")
    return [float(row["distance_over_unit_start_median"]) for row in found]


def accuracies(label):
    return [f"{100 * float(row['test_accuracy']):.1f}" for row in rows(label, "kernels_averaged")]


def test_every_decimal_number_is_published():
    tables = "\n".join(line for line in PART.split("\n") if line.startswith("|"))
    known = decimals("\n".join([*sentences("controls"), tables]))
    others = (
        "0.17 0.76 0.03 0.02 0.30 0.40 0.0001 0.0004 0.003 3.36 3.91 4.28 2.7 2.15 2.11"  # of other tests, and versions
    )
    accuracies = {f"{100 * value:.2f}" for value in LABELS.values()}
    assert decimals(PROSE) <= known | accuracies | DERIVED | set(others.split())


def test_the_networks_are_those_of_the_published_runs():
    """Accuracies on all test images, and which hardware trained them."""
    places = {
        "parabolic": ("stl10-paper", "parabolic"), "Hamiltonian": ("stl10-paper", "hamiltonian"),
        "second-order": ("stl10-paper", "second_order"), "ResNet": ("controls", "resnet"),
        "expansive": ("controls", "Expansive"),
    }  # fmt: skip
    for label, (study, dynamic) in places.items():
        path = FOLDER.parent / study / dynamic / "fraction-0.10" / "seed-0" / "summary.json"
        summary = json.loads(path.read_text())
        assert summary["test_accuracy"] == LABELS[label]
        assert (summary["hardware"]["gpu"] is None) == (study == "stl10-paper")
    assert "{}, {}, {}, {} and {} %".format(*(f"{100 * value:.2f}" for value in LABELS.values())) in WORDS


def spread(values, digits=3):
    return f"{min(values):.{digits}g} to {max(values):.{digits}g}"


def factors(label, setting, time):
    """By which the distance of two solutions has grown in each unit at a time in steps."""
    found = rows(label, "stability_long", setting=setting, time_in_steps=time)
    return [float(row["distance_over_start_median"]) for row in found if row["time_in_steps"] == time]


def relative_factors(label):
    """By which each unit multiplies the distance of two solutions relative to the norm of the features."""
    for unit in UNITS:
        first, *_, last = rows(label, "stability", perturbation="0.1", place="unit", unit=unit)
        yield float(last["relative_distance_median"]) / float(first["relative_distance_median"])


DERIVED = set()  # numbers that the next two tests find in the page
for name in LABELS:
    DERIVED |= decimals(f"{min(relative_factors(name)):.2f} {max(relative_factors(name)):.2f}")
    DERIVED |= decimals(spread(factors(name, "without norm", "3")))
    DERIVED |= decimals(spread(factors(name, "with the network's norm", "48"), 2))


def test_stability():
    assert min(at_the_end("ResNet").values()) > 1e6
    assert all(isnan(value) or value > 1e28 for value in at_the_end("expansive").values())
    assert sum(isnan(value) for value in at_the_end("expansive").values()) == 2
    hyperbolic = [*at_the_end("Hamiltonian").values(), *at_the_end("second-order").values()]
    assert f"grows to {spread(hyperbolic)} times" in WORDS
    assert max(at_the_end("parabolic").values()) < 1
    for label in ("ResNet", "expansive"):
        of_label = rows(label, "stability_long", time_in_steps="48")
        fits = {(row["setting"], row["better_fit"]) for row in of_label if row["better_fit"]}
        assert fits == {("with the network's norm", "algebraic"), ("without norm (theorems)", "exponential")}
    soon = {label: spread(factors(label, "without norm", "3")) for label in LABELS}
    assert f"({soon['ResNet']} and {soon['Hamiltonian']} times; `Expansive` {soon['expansive']})" in WORDS
    late = {label: spread(factors(label, "with the network's norm", "48"), 2) for label in LABELS}
    assert f"to {late['ResNet']} times in `resnet` and 65 to 104 in `Expansive`" in WORDS
    assert [round(end) for end in sorted(factors("expansive", "with the network's norm", "48"))][::3] == [65, 104]
    others = (late[label] for label in ("Hamiltonian", "second-order", "parabolic"))
    assert "(Hamiltonian {}, second-order {}, parabolic {})".format(*others) in WORDS


def test_distances_in_the_units():
    own = {label: growth(label) for label in LABELS}
    for label, words in (("expansive", " times"), ("ResNet", ""), ("parabolic", "")):
        assert f"({spread(own[label])}{words})" in WORDS
    for hyperbolic_one in ("Hamiltonian", "second-order"):
        assert max(own["parabolic"]) < min(own[hyperbolic_one])
        assert max(own[hyperbolic_one]) < min(own["ResNet"]) < max(own["ResNet"]) < min(own["expansive"])
    names = {"expansive": "`Expansive`", "ResNet": "`resnet`"}
    for label in LABELS:
        ends = (f(relative_factors(label)) for f in (min, max))
        assert "{:.2f} to {:.2f} ({})".format(*ends, names.get(label, label)) in WORDS


def test_accuracies_and_the_scatter_of_trainings():
    ahead = (100 * (LABELS[label] - LABELS["parabolic"]) for label in ("ResNet", "expansive"))
    assert "{:.2f} and {:.2f} points more accurate than the parabolic".format(*ahead) in WORDS
    below, above = (LABELS["second-order"], LABELS["parabolic"]), (LABELS["ResNet"], LABELS["expansive"])
    assert f"{100 * (min(above) - max(below)):.2f} to {100 * (max(above) - min(below)):.2f} points, is more" in WORDS
    assert 100 * (min(above) - max(below)) > 2.7 > 100 * (max(LABELS.values()) - LABELS["Hamiltonian"])
    assert 100 * (LABELS["Hamiltonian"] - min(below)) < 2.7
    with (FOLDER.parent / "repeats.csv").open(newline="") as file:
        of_seed_0 = [
            float(row["test_accuracy"])
            for row in csv.DictReader(file)
            if (row["dynamic"], row["seed"], row["variation"]) == ("hamiltonian", "0", "")
        ]
    assert (len(of_seed_0), min(of_seed_0)) == (6, LABELS["Hamiltonian"])
    assert float(accuracies("Hamiltonian")[0]) > float(accuracies("ResNet")[0])


def test_smoothing():
    ends = {label: [end for _, end in shares(label)] for label in LABELS}
    for label in ("parabolic", "second-order"):
        assert all(end < start for start, end in shares(label))
        assert f"to {min(ends[label]):.0f} to {max(ends[label]):.0f} %" in WORDS
    for label in ("ResNet", "expansive"):
        rises = [end > start for start, end in shares(label)]
        assert rises == [True, True, label == "expansive", False]
    least = min(ends["ResNet"] + ends["expansive"])
    assert f"in both it ends at {least:.0f} % or more" in WORDS
    assert f"ends at {min(ends['Hamiltonian']):.0f} to {max(ends['Hamiltonian']):.0f} %" in WORDS
    initial = {label: [end for _, end in shares(f"{label}, initial weights")] for label in LABELS}
    for unit in range(4):
        assert set(sorted(LABELS, key=lambda label: initial[label][unit])[:2]) == {"parabolic", "second-order"}
    smoother = sum(
        end < before
        for label in ("parabolic", "second-order")
        for end, before in zip(ends[label], initial[label], strict=True)
    )
    assert smoother == 8
    name = "energy_0.5_to_1_nyquist_over_unit_start_median"
    factors = {label: [float(rows(label, "smoothing", unit=unit)[-1][name]) for unit in UNITS] for label in LABELS}
    falling = [(label, i) for label, of_units in factors.items() for i, factor in enumerate(of_units, 1) if factor < 1]
    assert falling == [("parabolic", 3), ("parabolic", 4)]
    assert (
        "alone, to {3:.2f} times, hardly changes in its units 2 and 3 ({1:.1f} and {2:.2f} times)".format(
            *factors["parabolic"]
        )
        in WORDS
    )
    second, expansive = ((min(factors[label]), max(factors[label])) for label in ("second-order", "expansive"))
    assert (
        "in the second-order network {:.1f} to {:.1f} times, in `Expansive` {:.0f} to {:.0f} times".format(
            *second, *expansive
        )
        in WORDS
    )
    assert all(ends[label][unit] < initial[label][unit] for label in LABELS for unit in (2, 3))


def test_refinement():
    found = {}
    for label in LABELS:
        for statistics in ("renewed", "as trained"):
            table = rows(label, "refinement", statistics=statistics)
            found[label, statistics] = {row["steps_for_one"]: row for row in table}
            assert {row["test_images"] for row in table} == {"1000"}
    percent = lambda label, statistics, m: f"{100 * float(found[label, statistics][m]['test_accuracy']):.1f}"  # noqa: E731
    for label in LABELS:
        assert f"from {percent(label, 'renewed', '1')} to {percent(label, 'renewed', '4')} %" in WORDS
    for label, p in (("ResNet", "0.03"), ("expansive", "0.02")):
        assert f"{float(found[label, 'renewed']['4']['mcnemar_p']):.2f}" == p
    unrestricted = [percent(label, "as trained", "4") for label in ("ResNet", "expansive")]
    assert "`resnet` and `Expansive` fall to {} and {} %".format(*unrestricted) in WORDS
    lost = {
        label: float(found[label, "renewed"]["1"]["test_accuracy"])
        - float(found[label, "renewed"]["4"]["test_accuracy"])
        for label in LABELS
    }
    assert max(lost["ResNet"], lost["expansive"]) < min(
        lost[label] for label in ("parabolic", "Hamiltonian", "second-order")
    )
    fallen = [percent(label, "as trained", "4") for label in ("parabolic", "second-order", "Hamiltonian")]
    assert "the others to {0} to {2} %".format(*fallen) in WORDS
    apart = {
        label: [
            float(row["relative_distance_median"]) for row in rows(label, "refinement_distances", steps_for_one="1")
        ]
        for label in LABELS
    }
    of_the_paper = [apart[label] for label in ("parabolic", "Hamiltonian", "second-order")]
    for label in ("ResNet", "expansive"):
        for unit in range(4):
            nearer = apart[label][unit] < min(each[unit] for each in of_the_paper)
            assert nearer == ((label, unit) != ("expansive", 3))


def test_the_loss_is_one_of_the_first_step():
    accuracy, p = {}, {}
    for label in LABELS:
        for row in rows(label, "refinement_parts", steps_for_one="2"):
            accuracy[label, row["part"]] = f"{100 * float(row['test_accuracy']):.1f}"
            p[label, row["part"]] = float(row["mcnemar_p"])
    of_the_paper, others = ("parabolic", "Hamiltonian", "second-order"), ("ResNet", "expansive")
    for part, words in (("first steps", "have {}, {} and {} %"), ("other steps", "others divided {}, {} and {} %")):
        assert words.format(*(accuracy[label, part] for label in of_the_paper)) in WORDS
    assert max(p[label, "first steps"] for label in of_the_paper) < 4.5e-4
    assert p["parabolic", "other steps"] < 1e-4
    later = "{:.2f} and {:.2f}".format(*(p[label, "other steps"] for label in of_the_paper[1:]))
    assert f"(p < 0.0001, {later})" in WORDS
    (undivided,) = rows("Hamiltonian", "refinement", steps_for_one="1", statistics="renewed")
    lost = [
        100 * float(undivided["test_accuracy"]) - float(accuracy["Hamiltonian", f"unit {unit}"]) for unit in (2, 3, 4)
    ]
    assert f"lose {min(lost):.1f} to {max(lost):.1f} points each" in WORDS
    of_units = [p["Hamiltonian", f"unit {unit}"] for unit in (2, 3, 4)]
    assert f"p = {min(of_units):.3f} to {max(of_units):.2f} against the network as trained" in WORDS
    for label in of_the_paper:
        (all_divided,) = rows(label, "refinement", steps_for_one="2", statistics="renewed")
        assert float(accuracy[label, "first steps"]) <= 100 * float(all_divided["test_accuracy"])
    pairs = [f"{accuracy[label, 'first steps']} and {accuracy[label, 'other steps']} %" for label in others]
    least = min(p[label, part] for label in others for part in ("first steps", "other steps"))
    assert f"({', '.join(pairs)}; p at least {least:.2f})" in WORDS


def test_averaged_kernels():
    for label in LABELS:
        own, averaged, renewed = accuracies(label)
        _, changed, _ = rows(label, "kernels_averaged")
        p = float(changed["mcnemar_p"])
        if label in ("ResNet", "expansive"):
            assert f"{own} and {averaged} % " in WORDS
            assert f"p = {p:.2f}" in WORDS
        else:
            assert f"{own} to {averaged} % ({renewed} %" in WORDS
            assert p < 1e-10
    with (FOLDER / "controls" / "kernels_averaged.csv").open(newline="") as file:
        assert {row["test_images"] for row in csv.DictReader(file)} == {"500"}
