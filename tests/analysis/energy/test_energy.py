"""What the equations conserve, decrease and bound, on random kernels in float64; the kind from end to end."""

import csv
from argparse import Namespace
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_runs import CONTROLS, finished_run, made_dataset, subject_of

from pdenet_repro.analysis.energy import figures, invariants
from pdenet_repro.analysis.energy.measure import measure
from pdenet_repro.analysis.energy.time_series import NetworkSeries, TimeSeries, forces, time_series
from pdenet_repro.analysis.operator_norm import operator_norm
from pdenet_repro.analysis.theorem_setting import Flow, theorem_flows
from pdenet_repro.analysis.trajectory import entering_features
from pdenet_repro.cli.analysis import main
from pdenet_repro.data import source
from pdenet_repro.networks.dynamics import Hamiltonian, Parabolic, SecondOrder
from pdenet_repro.networks.layers import SymmetricLayer, SymmetricWeights, conv
from pdenet_repro.networks.norms import Norm
from pdenet_repro.system.errors import OutOfMemory

NONE = Norm("none")


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weights(channels, layers=1, *, bias=True, seed=1):
    """One step's, of norm 1 in the operator norm on 6 x 6 pixels."""
    found = []
    for i in range(layers):
        K = normal(channels, channels, 3, 3, seed=seed + i)
        b = normal(channels, seed=seed + 10 + i) if bias else torch.zeros(channels, dtype=torch.float64)
        found.append(SymmetricWeights(K / operator_norm(K, 6)[0], torch.ones_like(b), b))
    return tuple(found)


def path(dynamic, Y, theta, time):
    return invariants.unit_states(dynamic, Y, [theta] * round(time / dynamic.h))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_layer_is_minus_the_gradient_of_phi(activation):
    Y, (theta,) = normal(2, 3, 6, 6).requires_grad_(), weights(3)
    (gradient,) = torch.autograd.grad(invariants.phi(Y, theta, activation).sum(), Y)
    assert torch.allclose(gradient, -SymmetricLayer(NONE, activation)(Y, theta), atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_parabolic_flow_decreases_phi(activation):
    theta, Y = weights(3), normal(4, 3, 6, 6, seed=5)
    found = [
        invariants.phi(state[0], theta[0], activation) for state in path(Parabolic(0.5, NONE, activation), Y, theta, 20)
    ]
    assert all((after < before).all() for before, after in pairwise(found))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("kind", "layers"), [(Hamiltonian, 2), (SecondOrder, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_h_is_conserved_to_order_1_and_centred_to_order_2_but_the_norm_is_not(kind, layers, activation, bias):
    Y, theta = normal(3, 2 * layers, 6, 6, seed=5), weights(2, layers, bias=bias)
    deviations, norms = [], []
    for h in (0.1, 0.05):
        dynamic = kind(h, NONE, activation)
        states = path(dynamic, Y, theta, 10)
        own = torch.stack([invariants.invariant(dynamic, state, theta, activation) for state in states])
        centred = torch.stack([invariants.invariant(dynamic, a, theta, activation, b) for a, b in pairwise(states)])
        deviations.append([(each / each[0] - 1).abs().max().item() for each in (own, centred)])
        norms.append(torch.stack([dynamic.output(state).flatten(1).norm(dim=1) for state in states]))
    (own, centred), (own_finer, centred_finer) = deviations
    assert centred_finer < 2e-3
    assert invariants.observed_order(own, own_finer, 2) == pytest.approx(1, abs=0.3)
    assert invariants.observed_order(centred, centred_finer, 2) == pytest.approx(2, abs=0.35)
    assert ((norms[1] / norms[1][0] - 1).abs().amax(0) > 0.05).all()


@pytest.mark.parametrize("norm", [0.3, 3.0])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("kind", "layers"), [(Hamiltonian, 2), (SecondOrder, 1)])
def test_two_solutions_move_apart_at_most_linearly_in_time(kind, layers, activation, norm):
    """H bounds the velocity, as ``sigma^2 <= 2 S``: ``|Y - Y*| <= |Y_0 - Y*_0| + t c (sqrt(2 H) + sqrt(2 H*))``.

    The constant c is 1 for (8), and ``max(|K1|, |K2|)`` for the Hamiltonian system; norms of kernels are `norm` and less.
    """
    dynamic, Y = kind(0.02 / norm, NONE, activation), normal(3, 2 * layers, 6, 6, seed=5)
    theta = [each._replace(kernel=norm * each.kernel / (i + 1)) for i, each in enumerate(weights(2, layers))]
    constant = norm if kind is Hamiltonian else 1
    features, fastest = [], []
    for start in (Y, Y + 0.1 * normal(*Y.shape, seed=6)):
        states = path(dynamic, start, theta, 20 / norm)
        features.append(torch.stack([dynamic.output(state).flatten(1) for state in states]))
        fastest.append(1.05 * constant * (2 * invariants.invariant(dynamic, states[0], theta, activation)).sqrt())
        assert (features[-1].diff(dim=0).norm(dim=2) <= dynamic.h * fastest[-1]).all()
    distance = (features[0] - features[1]).norm(dim=2)
    times = dynamic.h * torch.arange(len(distance))[:, None]
    assert (distance <= distance[0] + times * (fastest[0] + fastest[1])).all()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_chain_of_energies(activation):
    """``E(t) <= H = const <= |K Y_0|^2 / 2``; for ReLU without bias E = H, for tanh E is smaller."""
    theta, Y = weights(3, bias=False), normal(3, 3, 6, 6, seed=5)
    dynamic = SecondOrder(0.01, NONE, activation)
    states = path(dynamic, Y, theta, 20)
    E = torch.stack([invariants.energy_10(dynamic, state, theta, activation) for state in states])
    H = torch.stack([invariants.invariant(dynamic, state, theta, activation) for state in states])
    bound = invariants.linear_bound(dynamic, Y, theta)
    assert bound == pytest.approx(0.5 * conv(Y, theta[0].kernel).square().flatten(1).sum(1))
    assert (bound > H).all()
    assert (E <= H * (1 + 1e-12)).all()
    if activation == "relu":
        assert torch.allclose(E, H, rtol=1e-12)
        assert E[0] == pytest.approx(0.5 * conv(Y, theta[0].kernel).clamp_min(0).square().flatten(1).sum(1))
    else:
        assert (E[0] < 0.999 * H[0]).all()


def test_the_linear_energy_of_the_nonlinear_solution_is_not_constant():
    """The paper compares E with it: only its start bounds anything."""
    theta, Y = weights(3, bias=False), normal(3, 3, 6, 6, seed=5)
    dynamic = SecondOrder(0.02, NONE, "relu")
    linear = torch.stack(
        [
            0.5 * invariants.squared((Y - before) / dynamic.h) + 0.5 * invariants.squared(conv(Y, theta[0].kernel))
            for Y, before in path(dynamic, Y, theta, 20)
        ]
    )
    assert (linear.amax(0) > 1.2 * linear[0]).all()


@pytest.mark.parametrize("name", ["instance", "channel", "channel_rms", "none"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_force_bound_holds_for_features_of_any_size(name, activation):
    (theta,) = weights(3)
    theta = theta._replace(scale=normal(3, seed=9))
    bound = invariants.force_bound(Norm(name), theta, 6, activation)
    F = SymmetricLayer(Norm(name), activation)
    sizes = [F(size * normal(30, 3, 6, 6, seed=3), theta).flatten(1).norm(dim=1).max().item() for size in (0.1, 1, 1e4)]
    assert max(sizes) <= bound
    assert (bound == np.inf) == (name == "none" and activation == "relu")
    assert bound == np.inf or bound < 6 * max(sizes)  # and says something


def test_with_a_norm_the_energy_has_no_scale():
    """The force does not change where Y is multiplied: E over its linear bound does."""
    theta, Y = weights(3, bias=False), normal(2, 3, 6, 6, seed=5)
    dynamic = SecondOrder(0.2, Norm("instance", 1e-9), "relu")
    ratios = []
    for size in (1, 10):
        *_, last = path(dynamic, size * Y, theta, 4)
        found = invariants.energy_10(dynamic, last, theta, "relu") / invariants.linear_bound(dynamic, size * Y, theta)
        ratios.append(found)
    assert not torch.allclose(*ratios, rtol=0.2)


def test_energy_distances_do_not_see_what_no_kernel_sees():
    theta = weights(2, bias=False)
    K = torch.zeros_like(theta[0].kernel)
    K[0, 0, 1, 1] = 0.5  # the second channel is in the kernel of K
    theta = (theta[0]._replace(kernel=K),)
    dynamic, Y = SecondOrder(0.1, NONE, "relu"), normal(1, 2, 6, 6)
    other = Y.clone()
    other[:, 1] += 1
    assert invariants.energy_distance(dynamic, (Y, Y), (other, other), theta).item() == 0
    other[:, 0] += 1
    assert invariants.energy_distance(dynamic, (Y, Y), (other, other), theta).item() == pytest.approx(0.5 * 6)
    assert invariants.energy_distance(Parabolic(0.1, NONE, "relu"), (Y,), (other,), theta) is None


def test_a_course_is_that_of_the_unit():
    subject = subject_of("second_order")
    entering = entering_features(subject, 10, seed=0)
    unit = subject.network.units[1]
    found = time_series(Flow(unit.dynamic, unit.thetas()), entering[1])
    with torch.no_grad():
        trajectory = [unit.dynamic.output(state).flatten(1).norm(dim=1) for state in unit.trajectory(entering[1])]
    assert found.times.tolist() == [0, 1, 2]
    assert np.allclose(found.feature_norm, (torch.stack(trajectory) / trajectory[0]).numpy(), rtol=1e-5)
    assert found.invariant is None


def test_in_the_theorems_setting_the_parabolic_norm_falls():
    subject = subject_of("parabolic", "network.steps=3")
    for kernel in (layer.kernel for unit in subject.network.units for layer in unit.theta):
        kernel.data *= 3  # h = 1 would be far above the bound: the steps are refined
    entering = entering_features(subject, 4, seed=0)
    flows = theorem_flows(subject, refined=8)
    assert flows[0].refined > 8
    for flow, Y in zip(flows, entering, strict=True):
        found = time_series(flow, Y, "relu")
        assert found.times[-1] == 3
        assert (np.diff(found.feature_norm, axis=0) <= 1e-6).all()
        assert (np.diff(found.invariant, axis=0) <= 1e-6).all()
        assert found.energy_10 is None


def test_in_the_theorems_setting_leapfrog_s_steps_keep_to_its_own_bound():
    """``2 / ||K||`` is the smaller one where ``||K|| < 1``: beyond it the features would grow without bound."""
    subject = subject_of("second_order", "network.step_size=6")
    for i, unit in enumerate(subject.network.units):
        kernel = unit.theta[0].kernel
        kernel.data *= 0.5 / operator_norm(kernel[0], 96 >> i)[0]
    flows = theorem_flows(subject)
    assert [flow.refined for flow in flows] == [2, 2]  # 2 / 0.5 = 4 < 6 <= 8 = 2 / 0.5^2
    for flow, Y in zip(flows, entering_features(subject, 2, seed=0), strict=True):
        found = time_series(Flow(flow.dynamic, flow.thetas * 20), Y, "relu")
        assert found.energy_10.max() < 2  # the norm may grow, with a velocity that is bounded


def test_forces_stay_below_their_bounds():
    rows = [row for dynamic in ("hamiltonian", "resnet")
            for row in forces(subject_of(dynamic), entering_features(subject_of(dynamic), 9, seed=0))]  # fmt: skip
    assert len(rows) == 2 * 2 * 2 + 2 * 2  # units, steps, layers
    assert all(0 < row["force_max"] <= row["force_bound"] for row in rows)
    assert {row["images"] for row in rows} == {9}


def test_two_networks_of_one_dynamic_are_distinguished():
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


@pytest.mark.parametrize(("dynamic", "orders"), [("parabolic", 0), ("hamiltonian", 2)])
def test_only_quantities_of_two_parts_are_said_to_be_constant_to_an_order(dynamic, orders):
    values = np.ones((3, 2))
    unit = TimeSeries(np.arange(3.0), values, values, values)
    figure = figures.of_invariants([NetworkSeries(subject_of(dynamic), "made", [unit, unit])])
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sum("O(h" in name for name in named) == orders
    assert ("φ" in named) == (not orders)


def test_an_equation_without_energy_gets_none_and_one_sentence_says_so():
    controls = [subject_of(f"{CONTROLS}:{name}") for name in ("Expansive", "EqualSigns")]
    result = measure(controls, Namespace(images=2, seed=0))
    assert not any(row[f"{name}_over_linear_bound_median"] for row in result.tables["energy"]
                   for name in ("invariant", "centred_invariant", "energy_10"))  # fmt: skip
    assert "energy_conserved" not in result.pictures
    (sentence,) = [each for each in result.sentences if "phi" in each or "H is" in each]
    assert "not measured for expansive, initial weights; equal signs, initial weights" in sentence


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
    assert "second-order, initial weights, no norm, constant weights: H is" in said
    assert "parabolic, no norm, constant weights: phi(Y) falls to" in said
    with (study / "analysis" / "energy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["network"], row["setting"][:7]) for row in rows} == {
        (f"{name}{more}", setting)
        for name in ("parabolic", "second-order")
        for more in ("", ", initial weights")
        for setting in ("with no", "no norm")
    }
    for row in rows:
        without = row["setting"].startswith("no norm")
        assert bool(row["invariant_over_linear_bound_median"]) == without
        if without:
            assert 0 < float(row["invariant_over_linear_bound_p90"]) < 1
        if without and row["dynamic"] == "parabolic":
            assert float(row["norm_over_unit_start_p90"]) <= 1 + 1e-6
    for name in ("energy", "energy_conserved", "energy_force"):
        assert (study / "analysis" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
