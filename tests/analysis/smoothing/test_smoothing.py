"""Frequencies of features against cosines and closed forms."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import subject_of
from torchvision.transforms.functional import gaussian_blur

from pdenet_repro.analysis.smoothing.measure import (
    BANDS,
    UPPER,
    UPPER_GROWTH,
    band_energies,
    gradient_norm,
    measure,
)
from pdenet_repro.networks.dynamics import Parabolic, ResNet
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm

PAGE = " ".join((Path(__file__).parents[3] / "docs" / "analysis.md").read_text().split())


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def relative_gradient(Y):
    return gradient_norm(Y) / Y.square().flatten(1).sum(1).sqrt().numpy()


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


def test_the_gradient_of_known_features():
    checkerboard = ((-1.0) ** torch.arange(8))[:, None] * ((-1.0) ** torch.arange(8))
    assert gradient_norm(torch.ones(1, 1, 8, 8)) == pytest.approx(0)
    assert relative_gradient(checkerboard[None, None]) == pytest.approx(((2 * 8 * 7 * 4) / 64) ** 0.5)
    assert gradient_norm(5 * checkerboard[None, None]) == 5 * gradient_norm(checkerboard[None, None])


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


def high_shares(activation, dynamic, steps):
    """Share of energy above half the Nyquist frequency at the start, and after T = 3 for 20 draws of Glorot kernels, in %.

    The unit has an instance norm; features at the start are noise filtered with a Gaussian.
    """

    def share(Y):
        energies = band_energies(Y)
        return 100 * np.median(energies[-1] / energies.sum(0))

    Y, found = gaussian_blur(normal(8, 16, 32, 32), 9, 1.05).float(), []
    for draw in range(20):
        kernels = [normal(16, 16, 3, 3, seed=seed).float() / 12 for seed in (2 * draw + 1, 2 * draw + 2)]
        kernels = kernels[: 1 if dynamic is Parabolic else 2]
        theta, state = (dynamic.layer.weights(*kernels, torch.ones(16), torch.zeros(16)),), (Y,)
        for _ in range(steps):
            state = dynamic(3 / steps, Norm("instance"), activation).step(state, theta)
        found.append(share(state[0]))
    return share(Y), found


@pytest.mark.parametrize(
    ("activation", "steps", "form", "sentence"),
    [
        ("relu", 30, ".1f", "steps of 0.1 a parabolic unit ends with {} % (more than at the start in {} draws of 20)"),
        ("tanh", 30, ".0f", "(more than at the start in 4 draws of 20), with tanh with {} %"),
        ("relu", 3, ".1f", "with ReLU and steps of 1, above the bound of Theorem 1, with {} %."),
    ],
    ids=["relu, small steps", "tanh", "relu, large steps"],
)
def test_at_random_weights_smoothing_depends_on_activation_step_size_and_draw(activation, steps, form, sentence):
    start, found = high_shares(activation, Parabolic, steps)
    assert "of whose energy 4 % is above half the Nyquist frequency" in PAGE
    assert start == pytest.approx(4, abs=0.1)
    more = sum(value > start for value in found)
    assert sentence.format(f"{min(found):{form}} to {max(found):{form}}", more) in PAGE


def test_at_random_weights_residual_units_make_features_rougher():
    found = [value for activation in ("relu", "tanh") for value in high_shares(activation, ResNet, 30)[1]]
    assert f"A residual unit ends with {min(found):.0f} to {max(found):.0f} % with either activation." in PAGE


def test_the_kind():
    result = measure([subject_of("parabolic"), subject_of("resnet")], Namespace(images=5, seed=0))
    rows = result.tables["smoothing"]
    assert len(rows) == 2 * (1 + 2 * 3)  # the images, two units of two steps
    for row in rows:
        shares = [value for name, value in row.items() if name.startswith("share") and name.endswith("nyquist")]
        assert sum(shares) == pytest.approx(1, abs=0.2)  # medians
        assert row[f"{UPPER}_p10"] <= row[f"{UPPER}_median"] <= row[f"{UPPER}_p90"]
        if row["step"] == 0:
            assert row[f"{UPPER_GROWTH}_median"] == 1
    subject = subject_of("parabolic")
    Y = subject.network.opening(subject.network.standardize(subject.test_images(5, 0)[0])).detach()
    ends = [band_energies(each)[-1] for each in (Y, subject.network.units[0](Y).detach())]
    (row,) = (row for row in rows if (row["dynamic"], row["unit"], row["step"]) == ("parabolic", 1, 2))
    assert row[f"{UPPER_GROWTH}_median"] == pytest.approx(np.median(ends[1] / ends[0]), rel=1e-4)
    assert len(result.sentences) == 2
    assert "smoothing" in result.pictures
