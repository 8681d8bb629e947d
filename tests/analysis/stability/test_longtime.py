"""Distances of two solutions over a long time: how they grow, against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import subject_of

from pdenet_repro.analysis.spectrum.integrators import integrator_of
from pdenet_repro.analysis.stability.longtime import WITH_NORM, WITHOUT, distances_over_time, exponents, picture
from pdenet_repro.analysis.theorem_setting import theorem_flows
from pdenet_repro.networks.dynamics import SecondOrder
from pdenet_repro.networks.layers import SymmetricWeights, is_kernel
from pdenet_repro.networks.norms import Norm

PAGE = " ".join((Path(__file__).parents[3] / "docs" / "analysis.md").read_text().split())


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def wave(y, time, h=1e-3):
    """``y'' = -relu(y)`` of a scalar from rest, by leapfrog."""
    unit = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    unit[0, 0, 1, 1] = 1
    theta = (SymmetricWeights(unit, torch.ones(1).double(), torch.zeros(1).double()),)
    dynamic = SecondOrder(h, Norm("none"), "relu")
    state = dynamic.start(torch.tensor(y, dtype=torch.float64).reshape(-1, 1, 1, 1))
    for _ in range(round(time / h)):
        state = dynamic.step(state, theta)
    return state[0].flatten()


def test_the_norm_of_a_stable_wave_grows_without_bound():
    """``y(0) = 1``: a quarter of a period, then away with velocity -1: ``y(100) = -(100 - pi / 2)``."""
    (found,) = wave([1.0], 100, h=5e-3)
    exact = -(100 - np.pi / 2)
    assert found == pytest.approx(exact, rel=1e-4)
    assert f"`y(0) = 1` from rest has `y(100) = {exact:.1f}`" in PAGE


def test_powers_of_a_stable_leapfrog_step_grow_like_their_exponent():
    """At an eigenvalue 0 the double root 1 is defective: what `growth` calls 1 has powers of norm k."""
    wave_integrator = integrator_of("second_order")
    assert wave_integrator.growth(np.array([0.0, -0.5]), 1.0) == pytest.approx(1)
    step = np.array([[2.0, -1.0], [1.0, 0.0]])
    norms = [np.linalg.norm(np.linalg.matrix_power(step, k), 2) for k in (50, 100)]
    assert norms[1] / norms[0] == pytest.approx(2, rel=0.02)


def test_exponents_tell_algebraic_from_exponential_growth():
    t = np.arange(50)
    power, _, better = exponents(np.maximum(t, 0.5) ** 1.3)
    assert (better, round(power, 6)) == ("algebraic", 1.3)
    _, rate, better = exponents(np.exp(0.2 * t))
    assert (better, round(rate, 6)) == ("exponential", 0.2)
    assert np.isnan(exponents(np.zeros(50))[0])


def distances_of_random_kernels(dynamic, activation, draw):
    """Medians over pairs, relative to the start, up to T = 80 without norm: distance, in the energy norm, of what H bounds."""
    subject = subject_of(dynamic, "network.step_size=0.2", f"network.activation={activation}")
    channels = 2 if dynamic == "hamiltonian" else 4
    kernels = [each for name, each in subject.network.units[0].theta.named_parameters() if is_kernel(name)]
    for i, kernel in enumerate(kernels):
        kernel.data = normal(2, channels, channels, 3, 3, seed=10 * draw + i).float() / 6
    flow = theorem_flows(subject, 1)[0]
    Y = normal(8, 4, 8, 8, seed=3).float()
    found = distances_over_time(flow, Y, Y + 0.1 * normal(8, 4, 8, 8, seed=4).float(), 400, activation)
    return [np.median(each, axis=1) for each in found]


@pytest.mark.parametrize("draw", range(2))
@pytest.mark.parametrize("dynamic", ["hamiltonian", "second_order"])
def test_hyperbolic_distances_grow_algebraically_in_the_energy_norm_too(dynamic, draw):
    """With ReLU; with tanh more slowly. What stays bounded is the part that H controls."""
    distance, energy, controlled = distances_of_random_kernels(dynamic, "relu", draw)
    power, _, better = exponents(distance)
    assert better == "algebraic"
    assert 0.8 < power < 1.5
    assert "finds between 0.8 and 1.5 (over T = 80" in PAGE
    assert distance[-1] > 10
    assert energy[-1] > 10
    assert controlled.max() < 12  # over a start that is a tenth of the features
    assert controlled[300:].mean() < 1.3 * controlled[100:300].mean()
    assert distances_of_random_kernels(dynamic, "tanh", draw)[0][-1] < distance[-1] / 3


@pytest.mark.parametrize("draw", range(2))
def test_distances_of_unrestricted_random_kernels_grow_exponentially(draw):
    distance, *_ = distances_of_random_kernels("resnet", "relu", draw)
    assert exponents(distance)[2] == "exponential"
    assert distance[-1] > 10


@pytest.mark.parametrize(("dynamic", "sign"), [("parabolic", -1), ("resnet", 1)])
def test_over_a_long_time(dynamic, sign):
    """Kernels ``k`` times the identity, positive features: every step multiplies a difference by ``1 -+ h k^2``."""
    subject = subject_of(dynamic, "network.step_size=0.5")
    k = 0.6
    for layer in (layer for unit in subject.network.units for layer in unit.theta):
        for name in layer.weights._fields[:-2]:
            kernel = getattr(layer, name).data.zero_()
            for channel in range(kernel.shape[1]):
                kernel[:, channel, channel, 1, 1] = k
    Y = normal(2, 4, 6, 6).float().abs() + 1
    for refined in (1, 5):
        flow = theorem_flows(subject, refined)[0]
        found, *_ = distances_over_time(flow, Y, Y + 0.1, 7)
        expected = (1 + sign * 0.5 / refined * k**2) ** (refined * np.arange(8))
        assert np.allclose(found, expected[:, None], rtol=1e-4)


@pytest.mark.parametrize(("controlled", "panels"), [(np.nan, 2), (1.0, 3)])
def test_there_is_no_panel_of_what_no_energy_bounds(controlled, panels):
    rows = [
        {"network": "made", "dynamic": "parabolic", "setting": setting, "time_in_steps": time,
         "distance_over_start_median": 2.0, "controlled_distance_over_start_median": controlled}
        for setting in (WITH_NORM, WITHOUT) for time in range(3)
    ]  # fmt: skip
    assert len(picture(rows, {2}).axes) == panels
