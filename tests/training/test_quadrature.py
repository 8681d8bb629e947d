"""The objective and the rate of weights that are functions of time (docs/spec.md, section 12), and the columns on weights."""

import re
from pathlib import Path

import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.training.objective import Objective
from pdenet_repro.training.optimizer import ProjectedSGD, projected_sgd
from pdenet_repro.training.trainer import Trainer

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "analysis.md").read_text().split())


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


def test_the_gradient_of_a_unit_over_h_tends_to_a_function_of_time():
    """That of L^2(0, T): twice as many steps have half of the gradient each, with a difference that falls like h."""
    normal = torch.randn(2, 2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    K = torch.randn(3, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 12
    found = []
    for steps in (16, 32, 64):
        unit = Unit(Parabolic(3 / steps, Norm("none"), "tanh"), 3, steps).double()
        unit.theta[0].kernel.data = K.expand(steps, *K.shape).clone()
        (unit(normal[0]) * normal[1]).sum().backward()
        found.append(unit.theta[0].kernel.grad * steps / 3)
    coarse, fine = (
        (b.reshape(len(a), 2, *K.shape).mean(1) - a).square().mean().sqrt()
        for a, b in zip(found, found[1:], strict=False)
    )
    assert coarse / fine == pytest.approx(2, rel=0.1)
    assert fine < 0.1 * found[2].square().mean().sqrt()
    assert f"{1 / compose('network=deep').network.step_size:.0f} times more slowly at one learning rate" in PAGE


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


@pytest.mark.parametrize(("share", "stable"), [(0.999, True), (1.001, False)])
def test_sgd_is_stable_up_to_a_rate_times_curvature_of_twice_1_plus_momentum(share, stable):
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = ProjectedSGD([x], lr=share * 2 * (1 + 0.9), momentum=0.9, bound=None)
    for _ in range(2000):
        x.grad = x.detach().clone()  # of x^2 / 2
        optimizer.step()
    assert (x.abs() < 1e-4) == stable
    assert stable or x.abs() > 1e4


@pytest.mark.parametrize(
    ("quadrature", "scaled", "sentence", "power"),
    [
        ("sum", "false", r"up to (\S+) steps to T = 3", 2), ("integral", "true", r"up to (\S+) steps to T = 3", 2),
        ("integral", "false", r"With the quadrature alone .*? allows (\S+) steps", 1),
        ("sum", "true", r"with the scaled rate alone .*? allows (\S+) steps", 3),
    ],
    ids=["neither", "both", "quadrature", "rate"],
)  # fmt: skip
def test_the_most_steps_with_which_sgd_is_stable_are_those_of_the_page(quadrature, scaled, sentence, power):
    """Rate times largest curvature, of the network's own objective and optimizer, with that many steps and with one more.

    The curvature is a tridiagonal matrix with negative entries beside the diagonal. So its eigenvector with alternating signs
    is that of its largest eigenvalue, ``(4 alpha1 / (sqrt(eps) h^2)) cos(pi / (2 steps))^2`` without the quadrature.
    """
    most = int(re.search(sentence, PAGE)[1].replace(",", ""))
    for steps, stable in ((most, True), (most + 1, False)):
        h = 3 / steps
        network, _, config = network_and_objective(
            f"objective.quadrature={quadrature}", f"optimizer.scale_rate_in_units={scaled}", f"network.steps={steps}",
            f"network.step_size={h}", "network.widths=[2,2]",
        )  # fmt: skip
        objective, optimizer = Objective(network.double(), config.objective, h), projected_sgd(network, config)
        v = 1e-9 * torch.cos(torch.pi * (steps - 1) / steps * (torch.arange(steps, dtype=torch.float64) + 0.5))
        assert (v[1:] * v[:-1] < 0).all()
        for p in network.units.parameters():
            p.data = v.reshape(-1, *[1] * (p.ndim - 1)).expand_as(p).clone()
        objective.smoothness().backward()
        formula = 4 * 0.1 * 3e-4 / (1e-3**0.5 * h**power)
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for p in network.units.parameters():
            gradient, group = p.grad.reshape(steps, -1)[:, 0], groups[id(p)]
            curvature = (gradient @ v / (v @ v)).item()
            assert torch.allclose(gradient, curvature * v, rtol=1e-6, atol=1e-9 * gradient.abs().max().item())
            found = group["lr"] * group["rate_factor"] * curvature
            assert (found < 2 * (1 + group["momentum"])) == stable
            assert found == pytest.approx(
                formula * torch.cos(torch.tensor(torch.pi / (2 * steps))).item() ** 2, rel=1e-6
            )
    if (quadrature, scaled) == ("sum", "false"):
        least = (4 * 0.1 * 3e-4 / (1e-3**0.5 * 2 * (1 + 0.9))) ** 0.5
        assert f"that is for h > {least:.4f} or" in PAGE
        assert 3 / (most + 1) < least < 3 / most


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
