"""Changes and sizes of kernels in time; the entries that guarantee a step size."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import subject_of

from pdenet_repro.analysis.kernels import measure as kernels
from pdenet_repro.analysis.operator_norm import entries_for_step_size, euler_bound, operator_norm
from pdenet_repro.training.objective import Objective


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("h", [1.0, 0.25])
def test_entries_that_guarantee_a_step_size(channels, h):
    """Whatever the signs; and no much larger box would do: constant kernels on a large image come close."""
    b = entries_for_step_size(channels, h)
    for seed in range(3):
        K = b * normal(channels, channels, 3, 3, seed=seed).sign()
        assert h <= euler_bound(operator_norm(K, 8)[0])
    constant = torch.full((channels, channels, 3, 3), b, dtype=torch.float64)
    norm = operator_norm(constant, 24)[0]
    assert h <= euler_bound(norm)
    assert h > 0.9 * euler_bound(norm)


def test_what_the_box_of_the_paper_allows():
    assert (9 * 16) ** 2 == 20_736
    assert entries_for_step_size(16, 2 / 20_736) == pytest.approx(1)
    assert entries_for_step_size(16, 1.0) == pytest.approx(0.0098, rel=0.01)


def subject_with(change):
    subject = subject_of("hamiltonian")
    for layer in (layer for unit in subject.network.units for layer in unit.theta):
        change(layer.kernel.data)
    return subject


def test_changes_and_sizes_by_hand():
    def change(kernel):
        kernel.fill_(0.1)
        kernel[1] = 0.13
        kernel[1, 0, 0, 0, 0] = 1.0

    subject = subject_with(change)
    row = kernels.kernel_rows(subject)[1]
    count = 4 * 4 * 9
    expected = ((0.03**2 * (count - 1) + 0.9**2) / (0.1**2 * count)) ** 0.5
    assert row["relative_change_max"] == pytest.approx(expected, rel=1e-5)
    assert row["entry_max"] == 1
    assert row["share_on_box"] == pytest.approx(1 / (2 * count))
    assert row["channels"] == 4
    assert (row["differences"], row["differences_above_sqrt_eps"]) == (2 * count, 2)  # one step, two layers of a step
    assert row["difference_max"] == pytest.approx(0.9)
    assert (row["scale_min"], row["scale_max"], row["negative_scales"], row["scales"]) == (1, 1, 0, 2 * 2 * 4)
    assert row["operator_norm_max"] == pytest.approx(
        operator_norm(subject.network.units[1].theta[0].kernel[1], 48)[0], rel=1e-3
    )


def test_the_histogram_counts_every_difference_once():
    def change(kernel):
        kernel.zero_()
        kernel[1] = 0.01
        kernel[1, 0] = 0.5
        kernel[1, 0, 0, 0, 0] = 3.0

    subject = subject_with(change)
    rows = kernels._histogram(subject)
    assert sum(row["entries"] for row in rows) == 2 * (2 * 2 * 9 + 4 * 4 * 9)
    assert rows[-1]["share_up_to"] == 1
    below = max(row["share_up_to"] for row in rows if row["difference_to"] <= 0.0316)
    assert below == pytest.approx(((2 - 1) * 2 * 9 + 3 * 4 * 9) / (2 * 2 * 9 + 4 * 4 * 9))
    assert rows[0]["sqrt_eps"] == pytest.approx(1e-3**0.5)


def test_far_below_sqrt_eps_the_total_variation_is_a_quadratic():
    d, eps = np.array([1e-3, 3e-3]), 1e-3
    assert np.sqrt(d**2 + eps) - np.sqrt(eps) == pytest.approx(d**2 / (2 * np.sqrt(eps)), rel=1e-2)
    assert 3e-4 / np.sqrt(eps) / 5e-4 == pytest.approx(19, abs=0.1)  # alpha1 of it over alpha2 of the decay


def test_the_kind():
    subject = subject_with(lambda kernel: kernel[1].mul_(1.1))
    trained = replace(subject, folder=Path())
    trained.__dict__["dataset"] = subject.dataset
    result = kernels.measure([trained], Namespace(images=10, seed=0))
    averaged = result.tables["kernels_averaged"]
    assert [(row["kernels"], row["statistics"]) for row in averaged] == [
        ("each step's", "as trained"), ("averaged", "as trained"), ("averaged", "renewed")
    ]  # fmt: skip
    assert averaged[0]["right_only_changed"] == 0
    assert "change by at most 0.1, 0.1 of their norm" in result.sentences[0]
    objective = Objective(subject.network, subject.config.objective, subject.config.network.step_size)
    assert f"The smoothness term is {objective.smoothness().item():.4f}" in result.sentences[0]
    assert "kernels" in result.pictures
    initial = kernels.measure([subject_of("resnet")], Namespace(images=10, seed=0))
    assert "kernels_averaged" not in initial.tables
