"""Units refined in time: the same equation, convergence of first order, statistics renewed."""

from argparse import Namespace

import pytest
import torch
from small_runs import subject_of

from pdenet_repro.analysis.refinement import measure as refinement
from pdenet_repro.analysis.weight_variants import averaged_in_time, predictions, refined, renew_statistics
from pdenet_repro.networks.dynamics import DYNAMICS


def given(images=10, refine="1,2,4"):
    return Namespace(images=images, refine=refine, seed=0)


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(refinement, "STATISTICS_IMAGES", 8)


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_refined_units_converge_with_order_1(dynamic):
    """Smooth sigma, no norm: against twice as many steps the difference halves (docs/spec.md, section 12)."""
    subject = subject_of(dynamic, "network.norm=none", "network.activation=tanh", "network.step_size=0.5")
    network = subject.network.double()
    Y = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = [refined(network, m).units[0](Y) for m in (8, 16, 32)]
        assert torch.equal(refined(network, 1).units[0](Y), network.units[0](Y))
    coarse, fine = ((a - b).norm() for a, b in zip(found, found[1:], strict=False))
    assert coarse / fine == pytest.approx(2, abs=0.25)


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
