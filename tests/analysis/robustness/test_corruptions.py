"""Each damage against what it is by definition."""

import numpy as np
import pytest
import torch

from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS, contrast, gaussian_blur, gaussian_noise, occlusion


def seeded():
    return np.random.RandomState(0)


@pytest.fixture
def images():
    return torch.from_numpy(np.random.RandomState(5).randint(0, 256, (4, 3, 96, 96)).astype(np.uint8))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_stay_images_and_damage_grows(images, name):
    corruption = CORRUPTIONS[name]
    damaged = [corruption.apply(images, strength, seeded()) for strength in corruption.strengths]
    assert all(each.dtype == torch.uint8 and each.shape == images.shape for each in damaged)
    distances = [float((each.float() - images.float()).square().mean()) for each in damaged]
    assert distances == sorted(distances)
    assert distances[0] > 0


def test_noise_has_its_deviation_and_no_mean():
    grey = torch.full((2, 3, 96, 96), 128, dtype=torch.uint8)
    change = gaussian_noise(grey, 16, seeded()).float() - 128
    assert float(change.std()) == pytest.approx(16, rel=0.02)
    assert float(change.mean()) == pytest.approx(0, abs=0.3)


def test_blur_spreads_a_line_into_a_gaussian():
    line = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    line[..., 48] = 255
    row = gaussian_blur(line, 2, seeded())[0, 0, 10].double()
    at = torch.arange(96) - 48
    assert row.numpy() == pytest.approx((255 * torch.exp(-(at**2) / 8) / (2 * (2 * np.pi) ** 0.5)).numpy(), abs=1)
    flat = torch.full_like(line, 77)
    assert torch.equal(gaussian_blur(flat, 8, seeded()), flat)


def test_contrast_divides_the_distance_from_the_mean_grey(images):
    found = contrast(images, 5, seeded()).double()
    weights = torch.tensor([0.2989, 0.587, 0.114], dtype=torch.double)[:, None, None]
    mean = (images.double() * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    assert float((found - (mean + (images - mean) / 5)).abs().max()) < 0.6  # rounding


def test_occlusion_covers_one_square_with_the_mean_colour(images):
    small, large = (occlusion(images, side, seeded()) for side in (24, 48))
    for image, few, many in zip(images, small, large, strict=True):
        colour = image.float().mean((1, 2)).round().to(torch.uint8)
        covered = (many == colour[:, None, None]).all(0)
        rows, columns = covered.nonzero().unbind(1)
        inside = covered[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert inside.shape == (48, 48)
        assert inside.all()
        assert torch.equal(many[:, ~covered], image[:, ~covered])
        assert ((few != image).any(0) <= covered).all()  # squares are nested
