"""What docs/analysis.md says of networks with and without the restrictions holds in their published analyses."""

import csv
import json
from math import isnan

from published_analyses import FOLDER, PAGE, decimals, everything, sentences

HEADING = "## What networks with and without the restrictions do"
PART = PAGE.split(f"\n{HEADING}\n")[1].split("\n## ")[0]
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
    assert decimals(PROSE) <= known | {f"{100 * value:.2f}" for value in LABELS.values()} | {
        "0.17",
        "0.76",
        "3.36",
        "3.91",
    }


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


def test_stability_and_accuracy_do_not_go_together():
    assert min(at_the_end("ResNet").values()) > 1e6
    assert all(isnan(value) or value > 1e28 for value in at_the_end("expansive").values())
    assert any(isnan(value) for value in at_the_end("expansive").values())
    hyperbolic = [*at_the_end("Hamiltonian").values(), *at_the_end("second-order").values()]
    assert f"grow to {min(hyperbolic):.3g} to {max(hyperbolic):.3g} times" in WORDS
    assert max(at_the_end("parabolic").values()) < 1
    for label in ("ResNet", "expansive"):
        fits = {row["better_fit"] for row in rows(label, "stability_long", setting="without norm", time_in_steps="48")}
        assert "algebraic" not in fits
    factors = {label: growth(label) for label in LABELS}
    for label, words in (("expansive", " times"), ("ResNet", ""), ("parabolic", "")):
        assert f"({min(factors[label]):.3g} to {max(factors[label]):.3g}{words})" in WORDS
    for hyperbolic_one in ("Hamiltonian", "second-order"):
        assert max(factors["parabolic"]) < min(factors[hyperbolic_one])
        assert (
            max(factors[hyperbolic_one]) < min(factors["ResNet"]) < max(factors["ResNet"]) < min(factors["expansive"])
        )
    ahead = (100 * (LABELS[label] - LABELS["parabolic"]) for label in ("ResNet", "expansive"))
    assert "by {:.2f} and {:.2f} points".format(*ahead) in WORDS


def test_the_two_less_accurate_networks_smooth_most():
    ends = {label: [end for _, end in shares(label)] for label in LABELS}
    for label in ("parabolic", "second-order"):
        assert all(end < start for start, end in shares(label))
        assert f"to {min(ends[label]):.0f} to {max(ends[label]):.0f} %" in WORDS
    for label in ("ResNet", "expansive"):
        assert [end > start for start, end in shares(label)][:2] == [True, True]
    least = min(ends["ResNet"] + ends["expansive"])
    assert f"ends at {least:.0f} % or more" in WORDS
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


def test_the_unrestricted_networks_are_discretised_equations():
    found = {}
    for label in LABELS:
        for statistics in ("renewed", "as trained"):
            table = rows(label, "refinement", statistics=statistics)
            found[label, statistics] = {row["steps_for_one"]: 100 * float(row["test_accuracy"]) for row in table}
            assert {row["test_images"] for row in table} == {"1000"}
    for label in ("ResNet", "expansive"):
        assert abs(found[label, "renewed"]["4"] - found[label, "as trained"]["4"]) < 3
        assert found[label, "as trained"]["4"] > 0.85 * found[label, "as trained"]["1"]
    for label in ("ResNet", "expansive", "second-order", "Hamiltonian"):
        assert "{4:.1f} of {1:.1f} %".format(*(found[label, "renewed"].get(str(m), 0) for m in range(5))) in WORDS
    falls = (found[label, "as trained"]["4"] for label in ("second-order", "Hamiltonian"))
    assert "but {:.1f} and {:.1f} % with the".format(*falls) in WORDS
    falls = (found["parabolic", statistics]["4"] for statistics in ("renewed", "as trained"))
    assert "falls to {:.1f} and {:.1f} %".format(*falls) in WORDS


def test_without_the_restrictions_averaged_kernels_predict_as_well():
    for label in LABELS:
        own, averaged, renewed = accuracies(label)
        _, changed, _ = rows(label, "kernels_averaged")
        p = float(changed["mcnemar_p"])
        if label in ("ResNet", "expansive"):
            assert f"{own} and {averaged} %" in WORDS
            assert f"p = {p:.2f}" in WORDS
        else:
            assert f"{own} to {averaged} % ({renewed} %" in WORDS
            assert p < 1e-10
    with (FOLDER / "controls" / "kernels_averaged.csv").open(newline="") as file:
        assert {row["test_images"] for row in csv.DictReader(file)} == {"500"}
