"""Energy (10) and the linear wave's, against closed forms; feature norms in the theorems' setting."""

import csv
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import finished_run, made_dataset, subject_of

from pdenet_repro.analysis.energy.courses import course
from pdenet_repro.analysis.energy.measure import measure
from pdenet_repro.analysis.energy.wave import energy, linear_energies, linear_wave, path
from pdenet_repro.analysis.operator_norm import operator_norm
from pdenet_repro.analysis.theorem_setting import Flow, in_theory
from pdenet_repro.analysis.trajectory import entering_features
from pdenet_repro.cli.analysis import main
from pdenet_repro.data import source
from pdenet_repro.networks.dynamics import SecondOrder
from pdenet_repro.networks.layers import SymmetricWeights, conv, conv_transpose
from pdenet_repro.networks.norms import Norm
from pdenet_repro.system.errors import OutOfMemory


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def multiple_of_identity(k):
    K = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    K[0, 0, 1, 1] = k
    return K


def weights(K, steps, bias=None):
    bias = torch.zeros(len(K), dtype=K.dtype) if bias is None else bias
    return [(SymmetricWeights(K, torch.ones_like(bias), bias),)] * steps


def energies(dynamic, Y, thetas):
    return [energy(dynamic, state, theta) for state, theta in path(dynamic, Y, thetas)]


def totals(found):
    return torch.stack([each.total for each in found])


@pytest.mark.parametrize(("h", "k"), [(1.0, 0.3), (1.0, 1.7), (0.25, 2.0)])
def test_an_oscillator(h, k):
    """``Y'' = -k^2 Y`` from rest: ``Y_j = Y_0 cos((j + 1/2) w) / cos(w / 2)`` with ``sin(w / 2) = h k / 2``."""
    Y, steps = normal(3, 1, 4, 4), 20
    dynamic, thetas = linear_wave(h), weights(multiple_of_identity(k), steps)
    state = dynamic.start(Y)
    w = 2 * np.arcsin(h * k / 2)
    for j, theta in enumerate(thetas, start=1):
        state = dynamic.step(state, theta)
        assert torch.allclose(state[0], Y * np.cos((j + 0.5) * w) / np.cos(w / 2), rtol=1e-10, atol=1e-10)
    found = totals(linear_energies(h, Y, thetas))
    expected = 0.5 * k**2 * Y.square().flatten(1).sum(1)
    assert ((found - expected) / expected).abs().max() < 1e-12
    kinetic = torch.stack([each.kinetic for each in linear_energies(h, Y, thetas)])
    assert (kinetic[0] == 0).all()
    assert kinetic.max() > 0.5 * expected.min()  # it moves


def test_the_linear_wave_s_energy_is_constant():
    """Any kernel with ``h ||K|| < 2``, 200 steps, float64."""
    K, Y = normal(4, 4, 3, 3, seed=1), normal(2, 4, 7, 7, seed=2)
    h = 1.8 / operator_norm(K, 7)[0]
    found = totals(linear_energies(h, Y, weights(K, 200)))
    expected = 0.5 * conv(Y, K).square().flatten(1).sum(1)
    assert ((found - expected) / expected).abs().max() < 1e-12


def test_where_all_is_positive_the_network_is_the_linear_wave():
    K, Y = multiple_of_identity(0.1), normal(2, 1, 5, 5).abs() + 0.1
    dynamic = SecondOrder(0.5, Norm("none"), "relu")
    thetas = weights(K, 20)  # a fifth of a period: no sign changes
    found, linear = energies(dynamic, Y, thetas), list(linear_energies(0.5, Y, thetas))
    assert all(torch.allclose(a.kinetic, b.kinetic, rtol=1e-13) for a, b in zip(found, linear, strict=True))
    assert torch.equal(found[0].total, linear[0].total)
    assert ((totals(found) - totals(linear)) / totals(linear)).abs().max() < 0.5 * 0.1  # of the order of h ||K||


def test_it_is_equation_10_at_every_time():
    """Also after the first step from rest, where the form that leapfrog conserves cannot differ from the start."""
    K, Y, bias = normal(3, 3, 3, 3, seed=3), normal(2, 3, 5, 5, seed=4), normal(3, seed=5)
    dynamic = SecondOrder(0.7, Norm("instance"), "tanh")

    def inner(Y):
        return torch.tanh(
            torch.nn.functional.instance_norm(conv(Y, K), weight=torch.ones(3).to(Y), bias=bias, eps=1e-3)
        )

    states = [Y, Y + 0.7**2 * -conv_transpose(inner(Y), K)]
    velocities = [0 * Y, (states[1] - states[0]) / 0.7]
    for found, Y_j, V in zip(energies(dynamic, Y, weights(K, 1, bias)), states, velocities, strict=True):
        expected = 0.5 * V.square().flatten(1).sum(1) + 0.5 * (conv(Y_j, K) * inner(Y_j)).flatten(1).sum(1)
        assert torch.allclose(found.total, expected, rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_theorem_2(activation):
    """No norm, constant weights: energy (10) stays below the linear wave's, ``1/2 ||K Y_0||^2``; for ReLU it is conserved."""
    K, Y = normal(3, 3, 3, 3, seed=6), normal(3, 3, 6, 6, seed=7)
    bound = 0.5 * conv(Y, K).square().flatten(1).sum(1)
    drifts = []
    for refined in (20, 80):
        h = 1 / operator_norm(K, 6)[0] / refined
        found = totals(energies(SecondOrder(h, Norm("none"), activation), Y, weights(K, 10 * refined)))
        assert (found >= 0).all()
        assert (found / bound).max() < 1
        drifts.append((found / found[0] - 1).abs().max().item())
    if activation == "relu":
        assert drifts[1] < 0.01
        assert drifts[1] < 0.5 * drifts[0]


def test_a_course_is_that_of_the_unit():
    subject = subject_of("second_order")
    entering = entering_features(subject, 10, seed=0)
    unit = subject.network.units[1]
    found = course(Flow(unit.dynamic, unit.thetas()), entering[1])
    with torch.no_grad():
        trajectory = [unit.dynamic.features(state).flatten(1).norm(dim=1) for state in unit.trajectory(entering[1])]
    assert found.times.tolist() == [0, 1, 2]
    assert np.allclose(found.norm, (torch.stack(trajectory) / trajectory[0]).numpy(), rtol=1e-5)
    assert found.energy.shape == found.linear.shape == (3, 10)
    assert np.allclose(found.linear, 1, atol=1e-5)  # initial weights are the same at all times


def test_in_the_theorems_setting_the_parabolic_norm_falls():
    subject = subject_of("parabolic", "network.steps=3")
    for kernel in (layer.kernel for unit in subject.network.units for layer in unit.theta):
        kernel.data *= 3  # h = 1 would be far above the bound: the steps are refined
    entering = entering_features(subject, 4, seed=0)
    flows = in_theory(subject, refined=8)
    assert flows[0].refined > 8
    for flow, Y in zip(flows, entering, strict=True):
        found = course(flow, Y)
        assert found.times[-1] == 3
        assert (np.diff(found.norm, axis=0) <= 1e-6).all()
        assert found.energy is None


def test_in_the_theorems_setting_leapfrog_s_steps_keep_to_its_own_bound():
    """``2 / ||K||`` is the smaller one where ``||K|| < 1``: beyond it the features would grow without bound."""
    subject = subject_of("second_order", "network.step_size=6")
    for i, unit in enumerate(subject.network.units):
        kernel = unit.theta[0].kernel
        kernel.data *= 0.5 / operator_norm(kernel[0], 96 >> i)[0]
    flows = in_theory(subject)
    assert [flow.refined for flow in flows] == [2, 2]  # 2 / 0.5 = 4 < 6 <= 8 = 2 / 0.5^2
    for flow, Y in zip(flows, entering_features(subject, 2, seed=0), strict=True):
        found = course(Flow(flow.dynamic, flow.thetas * 20), Y)
        assert found.energy.max() < 2  # the norm may grow, with a velocity that is bounded


def test_two_networks_of_one_dynamic_are_told_apart():
    one, other = subject_of("parabolic"), subject_of("parabolic", "seed=1")
    named = [replace(each, distinction=f" {i}") for i, each in enumerate((one, other), 1)]
    for new, old in zip(named, (one, other), strict=True):
        new.__dict__["dataset"] = old.dataset
    result = measure(named, Namespace(images=2, seed=0))
    names = {row["network"] for row in result.tables["energy"]}
    assert names == {"parabolic, initial weights 1", "parabolic, initial weights 2"}
    handles, legend = result.pictures["energy"].figure.axes[0].get_legend_handles_labels()
    assert set(legend) == names
    assert len({handle.get_linestyle() for handle in handles}) == 2


def test_images_that_would_not_fit_are_refused(monkeypatch):
    subject = subject_of("parabolic")
    monkeypatch.setattr("pdenet_repro.analysis.trajectory.device.available_memory", lambda where: 2 * 9 * 4 * 54_000)
    with pytest.raises(OutOfMemory, match=r"--images 20: the features .* must be at most 8"):
        entering_features(subject, 20, seed=0)


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(source, "load", lambda config, say: made_dataset())
    for dynamic in ("parabolic", "second_order"):
        finished_run(tmp_path, dynamic)
    study = tmp_path / "flow"
    assert main(["energy", str(study), "--images", "6", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "trained: the units multiply the norm of the features (medians) by parabolic" in said
    assert "second-order, no norm, constant weights: energy (10) reaches" in said
    with (study / "analysis" / "energy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    settings = {(row["dynamic"], row["setting"]) for row in rows}
    assert settings == {
        (dynamic, setting)
        for dynamic in ("parabolic", "second_order")
        for setting in ("trained", "initial weights", "no norm, constant weights")
    }
    for row in rows:
        assert bool(row["energy_over_linear_start_median"]) == (row["dynamic"] == "second_order")
        if row["setting"].startswith("no norm") and row["dynamic"] == "second_order":
            assert 0 < float(row["energy_over_linear_start_p90"]) < 1
            assert float(row["linear_over_linear_start_median"]) == pytest.approx(1, abs=1e-5)
        if row["setting"].startswith("no norm") and row["dynamic"] == "parabolic":
            assert float(row["norm_over_unit_start_p90"]) <= 1 + 1e-6
    for name in ("energy", "energy_second_order"):
        assert (study / "analysis" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
