"""Changes and sizes of kernels in time; the entries that guarantee a step size."""

import re
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import subject_of

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.kernels import measure as kernels
from pdenet_repro.analysis.operator_norm import entries_for_step_size, euler_bound, operator_norm
from pdenet_repro.training.objective import Objective

ROOT = Path(__file__).parents[3]
PAGE = " ".join((ROOT / "docs" / "analysis.md").read_text().split())


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
    hamiltonian, parabolic = (f"{entries_for_step_size(channels, 1.0):.2g}" for channels in (8, 16))
    assert (hamiltonian, parabolic) == ("0.02", "0.0098")
    assert f"0.020 or less (Hamiltonian) and {parabolic} or less (the others), in the first unit" in PAGE


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


def objective_of_small_changes(*words):
    """All weights are 0 in float64, but those of the units at their second and last step, which are about 1e-6."""
    subject = subject_of("parabolic", *words)
    network = subject.network.double()
    for i, (name, parameter) in enumerate(network.named_parameters()):
        parameter.data.zero_()
        if name.startswith("units."):
            parameter.data[1] = 1e-6 * normal(*parameter.shape[1:], seed=i)
    return Objective(network, subject.config.objective, subject.config.network.step_size), network.units


def smoothness_and_gradient(*words):
    """Of small changes; the smoothness term is less its floor."""
    objective, units = objective_of_small_changes(*words)
    objective.smoothness().backward()
    return objective.smoothness_above_floor(), torch.cat([p.grad.flatten() for p in units.parameters()])


@pytest.mark.parametrize("h", [1.0, 0.5])
def test_the_h1_seminorm_is_as_strong_as_the_total_variation_with_alpha1_over_sqrt_eps(h):
    """The page's alpha1 is rounded to 0.14 %. With the same alpha1 the seminorm is weaker by ``1 / sqrt(eps)``."""
    alpha1, weaker = re.search(
        r"`objective.smoothness=h1` takes `objective.alpha1=(.*?)`, .* with the same alpha1 it is (\d+) times weaker",
        PAGE,
    ).groups()
    h1 = f"network.step_size={h}", "objective.smoothness=h1"
    (tv, gradient), (fair, fair_gradient), (same, same_gradient) = (
        smoothness_and_gradient(*words) for words in (h1[:1], (*h1, f"objective.alpha1={alpha1}"), h1)
    )
    assert fair == pytest.approx(tv, rel=2e-3)
    assert torch.allclose(fair_gradient, gradient, rtol=2e-3, atol=0)
    assert tv / same == pytest.approx(1e-3**-0.5, rel=1e-6)
    assert torch.allclose(gradient, 1e-3**-0.5 * same_gradient, rtol=1e-6, atol=0)
    assert round(tv / same) == int(weaker)


@pytest.mark.parametrize("page", ["README.md", "docs/sweeps.md", "docs/readings.md", "docs/analysis.md"])
def test_every_page_gives_the_h1_seminorm_this_alpha1(page):
    given = re.findall(r"smoothness=h1`? (?:takes `)?objective\.alpha1=([\de.-]+)", (ROOT / page).read_text())
    default = compose().objective
    assert given
    assert [float(each) for each in given] == pytest.approx([default.alpha1 / default.eps**0.5] * len(given), rel=2e-3)


def test_far_below_sqrt_eps_the_total_variation_is_a_quadratic_and_19_times_as_strong_as_the_decay():
    objective, units = objective_of_small_changes()
    d, config = torch.cat([p.detach()[1].flatten() for p in units.parameters()]), objective.config
    above, decay = objective.smoothness_above_floor(), objective.decay().item()
    assert above == pytest.approx(config.alpha1 * (d.square() / (2 * config.eps**0.5)).sum().item(), rel=1e-6)
    assert above / decay == pytest.approx(18.97, abs=0.005)
    assert f"{above / decay:.0f} times as strong as the decay" in PAGE


def test_differences_scales_and_floors_of_the_papers_networks():
    """The floor is the term of the initial weights, which are the same at every step."""
    found = {}
    for dynamic in ("parabolic", "hamiltonian"):
        config = compose(f"dynamic={dynamic}")
        network = build_network(config).double()
        kernels_, scales = (
            [p for name, p in network.units.named_parameters() if name.rpartition(".")[2] == kind]
            for kind in ("kernel", "scale")
        )
        floor = Objective(network, config.objective, config.network.step_size).smoothness().item()
        found[dynamic] = (sum(K[1:].numel() for K in kernels_), f"{floor:.4f}", sum(map(torch.numel, scales)))
    assert found == {"parabolic": (1_552_896, "14.7497", 1392), "hamiltonian": (776_448, "7.3836", 1392)}
    (entries, floor, scales), (entries_2, *_) = found["parabolic"], found["hamiltonian"]
    assert f"Of {entries_2:,} differences of entries in the Hamiltonian network" in PAGE
    assert f"of {entries:,} in the parabolic network" in PAGE
    assert f"the rest is {14.8285 - float(floor):.4f} of 14.8285 (parabolic)" in PAGE
    assert f"None of the {scales:,} scales is negative" in PAGE


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
