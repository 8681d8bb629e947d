"""Units refined in time: the same equation, convergence of first order, statistics renewed."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import made_dataset, subject_of

from pdenet_repro.analysis import weight_variants
from pdenet_repro.analysis.refinement import measure as refinement
from pdenet_repro.analysis.weight_variants import (
    averaged_in_time,
    predictions,
    refined,
    refined_centred,
    refined_steps,
    renew_statistics,
)
from pdenet_repro.networks.dynamics import DYNAMICS, Dynamic, SecondOrder


def given(images=10, refine="1,2,4"):
    return Namespace(images=images, refine=refine, seed=0)


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(weight_variants, "STATISTICS_IMAGES", 8)


FROM_ZERO = ("second_order", "network.leapfrog_start=zero")  # that is, with the velocity Y_0 / h


@pytest.mark.parametrize("words", [*((dynamic,) for dynamic in DYNAMICS), FROM_ZERO])
def test_refined_units_converge_with_order_1(words):
    """Smooth sigma, no norm: against twice as many steps the difference halves (docs/spec.md, section 12)."""
    subject = subject_of(*words, "network.norm=none", "network.activation=tanh", "network.step_size=0.5")
    network = subject.network.double()
    Y = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = [refined(network, m).units[0](Y) for m in (8, 16, 32)]
        assert torch.equal(refined(network, 1).units[0](Y), network.units[0](Y))
    coarse, fine = ((a - b).norm() for a, b in zip(found, found[1:], strict=False))
    assert coarse / fine == pytest.approx(2, abs=0.25)


def test_refined_steps_that_are_centred_act_as_long_as_those_they_replace():
    """To first order in the force F a step at time j h moves the end, at time T, by ``h (T - j h) F``, centred or not refined.

    With kernels of size e the force is of order e^2, and what depends on how the features move of order e^4.
    """
    subject = subject_of("second_order", "network.norm=none", "network.steps=3")
    network = subject.network.double()
    Y = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changes = {}
    with torch.no_grad():
        kernels = network.units[0].theta[0].kernel
        kernels.copy_(torch.randn(kernels.shape, generator=torch.Generator().manual_seed(0)))
        for size in (1e-2, 1e-3):
            kernels.mul_(size / kernels.std())
            original = network.units[0](Y)
            assert torch.equal(refined_centred(network, 1).units[0](Y), original)
            for change in (refined, refined_centred):
                changes[change, size] = (change(network, 4).units[0](Y) - original).norm()
    assert changes[refined, 1e-2] / changes[refined, 1e-3] == pytest.approx(1e2, rel=0.1)
    assert changes[refined_centred, 1e-2] / changes[refined_centred, 1e-3] == pytest.approx(1e4, rel=0.1)


@pytest.mark.parametrize("words", [("parabolic",), ("second_order", "network.leapfrog_start=zero")])
def test_only_leapfrog_from_rest_is_centred(words):
    with pytest.raises(TypeError, match="must be SecondOrder, which starts from rest"):
        refined_centred(subject_of(*words).network, 2)


def test_a_refined_unit_keeps_time_weights_and_the_original():
    subject = subject_of("hamiltonian")
    unit = subject.network.units[0]
    unit.theta[0].kernel.data[1] += 1
    before = unit.theta[0].kernel.clone()
    finer = refined(subject.network, 3).units[0]
    assert (finer.steps, finer.dynamic.h) == (6, pytest.approx(unit.dynamic.h / 3))
    assert torch.equal(finer.theta[0].kernel, before.repeat_interleave(3, 0))
    assert torch.equal(unit.theta[0].kernel, before)
    assert (unit.steps, unit.dynamic.h) == (2, 1)


def test_one_unit_is_refined_alone():
    subject = subject_of("hamiltonian")
    finer, all_finer = refined(subject.network, 3, only=1), refined(subject.network, 3)
    assert [unit.steps for unit in finer.units] == [2, 6]
    Y = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(finer.units[0](Y), subject.network.units[0](Y))
        Y = subject.network.connectors[0](Y)
        assert torch.equal(finer.units[1](Y), all_finer.units[1](Y))
        assert not torch.equal(finer.units[1](Y), subject.network.units[1](Y))


@pytest.mark.parametrize("words", [*((dynamic,) for dynamic in DYNAMICS), FROM_ZERO])
def test_some_steps_are_refined(words):
    network = subject_of(*words, "network.steps=3", "network.step_size=0.5").network.double()
    generator = torch.Generator().manual_seed(0)
    Y = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=generator)

    def refined_in(which):
        return refined_steps(network, 2, which).units[0](Y)

    with torch.no_grad():
        for weights in network.units[0].theta.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) / 4)
        assert torch.allclose(refined_in(slice(None)), refined(network, 2).units[0](Y), rtol=1e-10)
        assert torch.equal(refined_in(slice(0)), network.units[0](Y))
        unit = network.units[0]
        dynamic, finer = unit.dynamic, refined(network, 2).units[0].dynamic
        first, *others = unit.thetas()
        if dynamic.facts.name == "second_order":  # in velocities: a kick and free motion, each as long as the step
            expected, V = Y, Y / 0.5 if words == FROM_ZERO else torch.zeros_like(Y)
            for h, (theta,) in ((0.25, first), (0.25, first), *((0.5, each) for each in others)):
                V = V + h * dynamic.F(expected, theta)
                expected = expected + h * V
        else:
            state = unit.start(Y)
            for each, theta in ((finer, first), (finer, first), *((dynamic, each) for each in others)):
                state = each.step(state, theta)
            expected = dynamic.output(state)
        assert torch.allclose(refined_in(slice(1)), expected, rtol=1e-10)


def test_steps_are_not_refined_alone_where_the_state_depends_on_their_size_in_an_unknown_way(monkeypatch):
    monkeypatch.setattr(SecondOrder, "resized", Dynamic.resized)  # as in a user's class that does not define it
    result = refinement.measure([subject_of("second_order")], given())
    assert [row["part"] for row in result.tables["refinement_parts"]] == ["unit 1", "unit 2"]
    said = (
        "second-order, initial weights: its first and its other steps are not refined alone, because the class of its"
    )
    assert any(sentence.startswith(said) for sentence in result.sentences)


def test_kernels_averaged_in_time_are_their_mean_at_all_steps():
    subject = subject_of("parabolic")
    layer = subject.network.units[0].theta[0]
    layer.kernel.data[1] += 1
    layer.scale.data[1] += 1
    other = averaged_in_time(subject.network).units[0].theta[0]
    assert torch.allclose(other.kernel[0], layer.kernel.mean(0))
    assert torch.equal(other.kernel[0], other.kernel[1])
    assert torch.equal(other.scale, layer.scale)


def test_renewed_statistics_are_those_of_the_changed_network():
    subject = subject_of("parabolic")
    network = refined(subject.network, 2)
    before = [norm.running_variance.clone() for norm in (network.opening.norm, network.connectors[0].norm)]
    renew_statistics(subject, network, 8, 0)
    assert not torch.allclose(before[1], network.connectors[0].norm.running_variance, rtol=0.1)
    assert not network.training
    other = subject.network.connectors[0].norm.running_variance
    assert torch.equal(other, torch.ones_like(other))  # the original keeps its own


def test_the_kind():
    subject = subject_of("second_order")
    result = refinement.measure([subject], given())
    rows = result.tables["refinement"]
    assert [(row["steps_for_one"], row["statistics"]) for row in rows] == [
        (m, kind) for m in (1, 2, 4) for kind in ("as trained", "renewed")
    ]
    images, labels = subject.test_images(10, 0)
    expected = (predictions(subject, subject.network, images, 25) == labels.numpy()).mean()
    assert rows[0]["test_accuracy"] == expected
    assert rows[0]["right_only_as_trained"] == rows[0]["right_only_changed"] == 0
    distances = {(row["unit"], row["steps_for_one"]): row["relative_distance_median"]
                 for row in result.tables["refinement_distances"]}  # fmt: skip
    assert set(distances) == {(unit, m) for unit in (1, 2) for m in (1, 2)}
    assert all(distances[unit, 2] < distances[unit, 1] for unit in (1, 2))
    assert "with 1, 2, 4 steps in place of one, the accuracy on 10 test images" in result.sentences[0]
    centred = result.tables["refinement_centred"]
    assert [(row["steps_for_one"], row["statistics"]) for row in centred] == [(2, "renewed"), (4, "renewed")]
    assert "with 2, 4 steps in place of one, centred at its time" in result.sentences[1]
    parts = [(row["part"], row["steps_for_one"], row["statistics"]) for row in result.tables["refinement_parts"]]
    assert parts == [(part, 2, "renewed") for part in ("unit 1", "unit 2", "first steps", "other steps")]
    assert "With 2 steps in place of one in one part only, and renewed statistics, it is" in result.sentences[0]


def test_initial_weights_beside_a_trained_network_have_distances_alone():
    trained = replace(subject_of("parabolic"), folder=Path("run"))
    trained.__dict__["dataset"] = made_dataset()
    initial = subject_of("parabolic")
    result = refinement.measure([trained, initial], given(refine="2"))
    assert {row["network"] for row in result.tables["refinement"]} == {"parabolic"}
    distances = result.tables["refinement_distances"]
    assert [row["network"] for row in distances] == ["parabolic"] * 2 + ["parabolic, initial weights"] * 2
    assert result.sentences[1].startswith(
        "parabolic, initial weights: The outputs of its units are at relative distances of "
    )
    assert "at relative distances of" in result.sentences[0]


def test_each_accuracy_is_of_the_refinement_that_its_row_names(monkeypatch):
    """A network that is not trained predicts one class for all images, so that accuracies do not show which one was measured."""
    measured = []

    def recorded(subject, column, variants, images, seed):
        variants = list(variants)
        measured.extend((change.func, change.keywords, statistics) for _, change, statistics in variants)
        return [{**subject.columns, column: m, "place": place} for place, (m, *_) in enumerate(variants)]

    monkeypatch.setattr(refinement, "variant_accuracies", recorded)
    monkeypatch.setattr(refinement, "picture", lambda *tables: None)
    for sentence in ("_sentence", "_parts_sentence", "_centred_sentence"):
        monkeypatch.setattr(refinement, sentence, lambda *tables: "")
    tables = refinement.measure([subject_of("second_order")], given(refine="2,4")).tables
    expected = {
        "refinement": [(refined, {"times": m}, kind) for m in (1, 2, 4) for kind in ("as trained", "renewed")],
        "refinement_parts": [
            *((refined, {"times": 2, "only": index}, "renewed") for index in (0, 1)),
            *((refined_steps, {"times": 2, "which": which}, "renewed") for which in (slice(1), slice(1, None))),
        ],
        "refinement_centred": [(refined_centred, {"times": m}, "renewed") for m in (2, 4)],
    }
    for name, variants in expected.items():
        assert [measured[row["place"]] for row in tables[name]] == variants
        assert [row["steps_for_one"] for row in tables[name]] == [change["times"] for _, change, _ in variants]
    names = ["unit 1", "unit 2", "first steps", "other steps"]
    assert [row["part"] for row in tables["refinement_parts"]] == names


def test_centred_steps_are_measured_for_refined_leapfrog_alone():
    for dynamic, refine, further in (("parabolic", "2", {"refinement_parts"}), ("second_order", "1", set())):
        result = refinement.measure([subject_of(dynamic)], given(refine=refine))
        assert set(result.tables) == {"refinement", "refinement_distances", *further}
        assert len(result.sentences) == 1
