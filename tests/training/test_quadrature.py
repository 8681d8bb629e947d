"""The objective and the rate of weights that are functions of time (docs/spec.md, section 12), and the columns on weights."""

import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.training.objective import Objective
from pdenet_repro.training.optimizer import projected_sgd
from pdenet_repro.training.trainer import Trainer


def network_and_objective(*words):
    config = compose("data=shapes", "network=tiny", *words)
    network = build_network(config)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.units.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network, Objective(network, config.objective, config.network.step_size), config


@pytest.mark.parametrize("smoothness", ["tv", "h1"])
def test_integral_and_sum_are_equal_at_h_1(smoothness):
    found = [
        network_and_objective(f"objective.quadrature={kind}", f"objective.smoothness={smoothness}")[1]
        for kind in ("sum", "integral")
    ]
    (a, b), (c, d) = ((each.smoothness().item(), each.decay().item()) for each in found)
    assert a == pytest.approx(c, rel=1e-6)
    assert b == pytest.approx(d, rel=1e-6)


def test_the_integral_is_the_formula():
    """``alpha1 sum_j h phi((th_{j+1} - th_j) / h) + alpha2/2 sum_j h |th_j|^2``; other weights decay as before."""
    h = 0.25
    network, objective, config = network_and_objective("objective.quadrature=integral", f"network.step_size={h}")
    alpha1, alpha2, eps = config.objective.alpha1, config.objective.alpha2, config.objective.eps
    units = [p.detach().double() for p in network.units.parameters()]
    others = [p.detach().double() for name, p in network.named_parameters() if not name.startswith("units.")]
    smoothness = alpha1 * sum(h * ((p.diff(dim=0) / h) ** 2 + eps).sqrt().sum() for p in units)
    decay = alpha2 / 2 * (h * sum((p**2).sum() for p in units) + sum((p**2).sum() for p in others))
    assert objective.smoothness().item() == pytest.approx(float(smoothness), rel=1e-5)
    assert objective.decay().item() == pytest.approx(float(decay), rel=1e-5)


def test_integrals_do_not_depend_on_the_number_of_steps():
    """A linear function of time, sampled at 8 and 64 cells of the same length: sums grow eightfold, integrals not."""
    values = {}
    for quadrature in ("sum", "integral"):
        for steps in (8, 64):
            network, objective, _ = network_and_objective(
                f"objective.quadrature={quadrature}", f"network.steps={steps}", f"network.step_size={2 / steps}"
            )
            times = (torch.arange(steps) + 0.5) * 2 / steps
            for p in network.units.parameters():
                p.data = times.reshape(-1, *[1] * (p.ndim - 1)).expand_as(p).clone()
            values[quadrature, steps] = objective.smoothness().item()
    assert values["integral", 64] / values["integral", 8] == pytest.approx(63 / 56, rel=1e-3)
    assert values["sum", 64] / values["sum", 8] == pytest.approx(63 / 7, rel=1e-3)


def test_the_rate_in_units_is_divided_by_h():
    moved = {}
    for scaled in ("false", "true"):
        network, _, config = network_and_objective(f"optimizer.scale_rate_in_units={scaled}", "network.step_size=0.25")
        optimizer = projected_sgd(network, config)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        for p in network.parameters():
            p.grad = torch.full_like(p, 1e-2)
        optimizer.step()
        moved[scaled] = {name: (before[name] - p).abs().max().item() for name, p in network.named_parameters()}
    for name, distance in moved["false"].items():
        factor = 4 if name.startswith("units.") else 1
        assert moved["true"][name] == pytest.approx(factor * distance, rel=1e-3)


def test_deep_networks_take_both_and_others_neither():
    deep, paper = compose("network=deep"), compose("network=paper")
    assert (deep.objective.quadrature, deep.optimizer.scale_rate_in_units) == ("integral", True)
    assert (paper.objective.quadrature, paper.optimizer.scale_rate_in_units) == ("sum", False)
    assert deep.network.steps == 64
    assert compose("network=deep", "objective.quadrature=sum").objective.quadrature == "sum"


@pytest.mark.parametrize(
    ("quadrature", "scaled", "steps", "stable"),
    [
        ("sum", "false", 64, True), ("sum", "false", 128, False), ("integral", "true", 64, True),
        ("integral", "true", 128, False), ("integral", "false", 128, True), ("sum", "true", 64, False),
    ],
)  # fmt: skip
def test_with_how_many_steps_sgd_is_stable_for_the_smoothness_term(quadrature, scaled, steps, stable):
    """Small differences in time, which alternate: ``rate * 4 alpha1 / (sqrt(eps) h^2) < 2 (1 + momentum)``, times h or 1 / h."""
    words = (f"objective.quadrature={quadrature}", f"optimizer.scale_rate_in_units={scaled}")
    network, objective, config = network_and_objective(
        *words, f"network.steps={steps}", f"network.step_size={3 / steps}"
    )
    for p in network.units.parameters():
        signs = (-1.0) ** torch.arange(steps)
        p.data = 1e-4 * signs.reshape(-1, *[1] * (p.ndim - 1)).expand_as(p).clone()
    optimizer = projected_sgd(network, config)
    for _ in range(60):
        for p in network.parameters():
            p.grad = torch.zeros_like(p)
        objective.smoothness().backward()
        optimizer.step()
    largest = max(p.diff(dim=0).abs().max().item() for p in network.units.parameters())
    assert (largest < 1e-4) == stable  # 2e-4 at the start


@pytest.mark.parametrize("quadrature", ["sum", "integral"])
def test_above_its_floor_the_smoothness_term_is_0_of_constant_weights(quadrature):
    words = (f"objective.quadrature={quadrature}", "network.step_size=0.5", "network.steps=4")
    network, objective, config = network_and_objective(*words)
    differences = sum(p[1:].numel() for p in network.units.parameters())
    floor = (0.5 if quadrature == "integral" else 1) * config.objective.alpha1 * differences * config.objective.eps**0.5
    above = objective.smoothness_above_floor()
    assert above > 0.05 * floor
    assert above == pytest.approx(objective.smoothness().item() - floor, rel=1e-3)
    for p in network.units.parameters():
        p.data = p.data[:1].expand_as(p).clone()
    assert objective.smoothness_above_floor() == 0
    assert objective.smoothness().item() == pytest.approx(floor, rel=1e-5)


def test_columns_on_weights():
    network, objective, config = network_and_objective()
    network.units[1].theta[0].kernel.data[0, 0, 0] = 1.5
    optimizer = projected_sgd(network, config)  # projects
    trainer = Trainer(network, objective, optimizer, None, config.schedule, None)
    found = trainer.weight_columns()
    kernels = [p for p in network.parameters() if p.ndim == 5]
    assert list(found) == ["smoothness_above_floor", "kernel_entry_max", "kernel_share_on_box", "kernel_norm_unit_1",
                           "kernel_norm_unit_2"]  # fmt: skip
    assert found["kernel_entry_max"] == 1
    assert found["kernel_share_on_box"] == 9 / sum(p.numel() for p in kernels)
    assert found["kernel_norm_unit_2"] == pytest.approx(kernels[1].norm().item())
