"""Frequencies of features against cosines and closed forms."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from small_runs import subject_of
from torchvision.transforms.functional import gaussian_blur

from pdenet_repro.analysis.smoothing.measure import BANDS, UPPER, band_energies, measure, relative_gradient
from pdenet_repro.networks.dynamics import Parabolic, ResNet
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("ky", "kx", "band"), [(0, 0, 0), (1, 2, 1), (0, 5, 2), (3, 3, 1), (9, 1, 3), (15, 15, 3)])
def test_a_cosine_is_in_its_band(ky, kx, band):
    n = (torch.arange(16).double() + 0.5) * np.pi / 16
    Y = torch.outer(torch.cos(ky * n), torch.cos(kx * n))[None, None]
    energies = band_energies(Y)
    assert energies.shape == (len(BANDS) - 1, 1)
    assert energies[band, 0] == pytest.approx(Y.square().sum().item())
    assert np.delete(energies[:, 0], band) == pytest.approx(0, abs=1e-10)


def test_bands_add_up_to_the_squared_norm():
    Y = normal(3, 4, 12, 10)
    assert band_energies(Y).sum(0) == pytest.approx(Y.square().flatten(1).sum(1).numpy())


def test_the_relative_gradient_of_known_features():
    checkerboard = ((-1.0) ** torch.arange(8))[:, None] * ((-1.0) ** torch.arange(8))
    assert relative_gradient(torch.ones(1, 1, 8, 8)) == pytest.approx(0)
    assert relative_gradient(checkerboard[None, None]) == pytest.approx(((2 * 8 * 7 * 4) / 64) ** 0.5)
    assert relative_gradient(5 * checkerboard[None, None]) == relative_gradient(checkerboard[None, None])


@pytest.mark.parametrize("kind", ["gradient", "average"])
def test_which_frequencies_a_parabolic_step_damps_is_decided_by_its_kernel(kind):
    """``K = d/dx``: a heat equation, high ones. ``K`` an average: low ones go, and the features become rougher."""
    K = torch.zeros(1, 1, 3, 3).double()
    K[0, 0, 1] = torch.tensor([-1.0, 1.0, 0.0]) if kind == "gradient" else torch.tensor([1.0, 2.0, 1.0]) / 2
    theta = (SymmetricWeights(K, torch.ones(1).double(), 100 * torch.ones(1).double()),)  # all of ReLU active
    dynamic, state = Parabolic(0.2, Norm("none"), "relu"), (normal(1, 1, 32, 32),)
    other = (state[0] + normal(1, 1, 32, 32, seed=1),)
    before = other[0] - state[0]
    for _ in range(5):
        state, other = dynamic.step(state, theta), dynamic.step(other, theta)
    after = other[0] - state[0]  # the bias' part drops out
    assert after.norm() < before.norm()

    def share(Y):
        return float(band_energies(Y)[-1, 0] / Y.square().sum())

    assert (share(after) < 0.9 * share(before)) == (kind == "gradient")
    assert (relative_gradient(after) < relative_gradient(before)) == (kind == "gradient")


@pytest.mark.parametrize(("activation", "dynamic", "steps", "least", "most"), [
    ("relu", Parabolic, 30, 0.027, 0.051), ("tanh", Parabolic, 30, 0.09, 0.39), ("relu", Parabolic, 3, 0.026, 0.105),
    ("relu", ResNet, 30, 0.08, 0.20), ("tanh", ResNet, 30, 0.06, 0.23),
])  # fmt: skip
def test_at_random_weights_smoothing_depends_on_activation_step_size_and_draw(activation, dynamic, steps, least, most):
    """Glorot kernels, instance norm, T = 3; noise filtered with a Gaussian, 4 % of it above half the Nyquist frequency."""

    def share(Y):
        energies = band_energies(Y)
        return np.median(energies[-1] / energies.sum(0))

    Y = gaussian_blur(normal(8, 16, 32, 32), 9, 1.05)
    assert share(Y) == pytest.approx(0.04, abs=0.004)
    ones, zeros = torch.ones(16).double(), torch.zeros(16).double()
    shares = []
    for draw in range(20):
        kernels = [normal(16, 16, 3, 3, seed=seed) / 12 for seed in (2 * draw + 1, 2 * draw + 2)]
        kernels = kernels[: 1 if dynamic is Parabolic else 2]
        theta, state = (dynamic.layer.weights(*kernels, ones, zeros),), (Y,)
        for _ in range(steps):
            state = dynamic(3 / steps, Norm("instance"), activation).step(state, theta)
        shares.append(share(state[0]))
    assert min(shares) == pytest.approx(least, abs=0.005)
    assert max(shares) == pytest.approx(most, abs=0.005)


def test_the_kind():
    result = measure([subject_of("parabolic"), subject_of("resnet")], Namespace(images=5, seed=0))
    rows = result.tables["smoothing"]
    assert len(rows) == 2 * (1 + 2 * 3)  # the images, two units of two steps
    for row in rows:
        shares = [value for name, value in row.items() if name.startswith("share") and name.endswith("nyquist")]
        assert sum(shares) == pytest.approx(1, abs=0.2)  # medians
        assert row[f"{UPPER}_p10"] <= row[f"{UPPER}_median"] <= row[f"{UPPER}_p90"]
    assert len(result.sentences) == 2
    assert "smoothing" in result.pictures
