"""Subsets, batches, augmentation and standardisation."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.config.schema import ScheduleConfig
from pdenet_repro.data.batches import DeviceImages, TrainingBatches, flip_and_crop
from pdenet_repro.data.standardize import standardize
from pdenet_repro.data.subset import draw_subset
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.seeds import stream, torch_seed

PER_IMAGE, SCALED = partial(standardize, mode="per_image"), partial(standardize, mode="none")
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 500))
FRACTIONS = [k / 10 for k in range(1, 11)]
DATA = compose().data
FROZEN = {
    "0.1": "3dc3f7e62f3809019d002c3e0eb7412258ba5481b216d8179a77460e0ba5dc65",
    "0.5, seed 3, validation 0.2": "8dc65ed88be99e1ba8c9c8cc1dc3664e32693babbf47092b240ce11866b20065",
    "order": [47834, 14365, 481227],
    "weights": 3699729803252847382,
}  # numbers of version 0.1.0


def subset(seed=0, labels=LABELS, folds=(), **settings):
    return draw_subset(labels, replace(DATA, **settings), seed, folds)


def test_fractions_are_balanced_and_nested():
    previous: set[int] = set()
    for fraction in FRACTIONS:
        chosen = subset(fraction=fraction)
        indices = set(chosen.train.tolist())
        assert len(indices) == len(chosen.train) == round(5000 * fraction)
        assert np.bincount(LABELS[chosen.train]).tolist() == [round(500 * fraction)] * 10
        assert previous < indices
        assert len(chosen.validation) == 0
        previous = indices


def test_a_subset_depends_on_its_seed():
    first, again, other = subset(fraction=0.1), subset(fraction=0.1), subset(1, fraction=0.1)
    assert np.array_equal(first.train, again.train)
    assert not np.array_equal(first.train, other.train)
    assert first.digest == again.digest != other.digest


def test_the_choice_of_images_never_changes():
    """Run folders of earlier versions were made with these; labels in blocks, so that nothing else enters."""
    labels = np.repeat(np.arange(10), 500)
    assert subset(labels=labels, fraction=0.1).digest == FROZEN["0.1"]
    assert subset(3, labels=labels, fraction=0.5, validation=0.2).digest == FROZEN["0.5, seed 3, validation 0.2"]


def test_held_out_images_are_the_same_for_every_fraction_and_never_learned_from():
    chosen = [subset(fraction=f, validation=0.2) for f in FRACTIONS]
    for fraction, part in zip(FRACTIONS, chosen, strict=True):
        assert np.array_equal(part.validation, chosen[0].validation)
        assert len(part.train) == round(4000 * fraction)
        assert not set(part.train.tolist()) & set(part.validation.tolist())
    assert np.bincount(LABELS[chosen[0].validation]).tolist() == [100] * 10
    assert len(chosen[-1].train) == 4000  # nothing is left over


def test_a_fold_and_a_fraction_of_it():
    random = np.random.default_rng(1)
    folds = tuple(
        np.concatenate([random.permutation(np.flatnonzero(c == LABELS))[:100] for c in range(10)]) for _ in range(10)
    )
    whole, part = subset(folds=folds, fold=4), subset(folds=folds, fold=4, fraction=0.25)
    assert np.array_equal(whole.train, np.sort(folds[4]))
    assert set(part.train.tolist()) < set(folds[4].tolist())
    assert np.bincount(LABELS[part.train]).tolist() == [25] * 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 0.1234}, "data.fraction=0.1234: gives 61.7 of 500 images a class; must be a multiple of 1/500"),
        ({"fraction": 0.1, "validation": 0.333}, "data.validation=0.333: gives 166.5 of 500"),
        ({"fraction": 0.2, "validation": 0.202}, r"data.fraction=0.2: gives 79.8 of 399 images a class"),
        ({"fraction": 1e-9}, "data.fraction=1e-09: must give at least one of 500"),
    ],
)
def test_a_share_that_is_no_whole_number_of_images(settings, message):
    with pytest.raises(InvalidConfig, match=message):
        subset(**settings)


def test_streams_are_independent_and_never_change():
    assert stream(0, "order", 1).randint(0, 10**6, 3).tolist() == FROZEN["order"]
    assert torch_seed(0, "weights") == FROZEN["weights"]
    draws = {tuple(stream(s, p, e).randint(0, 10**9, 4)) for s in (0, 1) for p in ("order", "subset") for e in (1, 2)}
    assert len(draws) == 8


def device_images(n=10, side=32):
    pixels = np.random.default_rng(2).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    return DeviceImages(pixels, np.arange(n), torch.device("cpu"))


def test_batches_of_an_epoch_are_a_permutation_and_differ_between_epochs():
    batches = TrainingBatches(device_images(), ScheduleConfig(batch_size=3), PER_IMAGE, "none", seed=0)
    assert batches.steps == 3
    orders = []
    for epoch in (1, 2, 1):
        batches.start_epoch(epoch)
        labels = torch.cat([batches.batch(step)[1] for step in range(3)])
        assert len(set(labels.tolist())) == 9
        orders.append(labels.tolist())
    assert orders[0] == orders[2] != orders[1]
    images, labels = batches.batch(1)
    assert torch.equal(images, standardize(batches.images.pixels[labels], "per_image"))


def test_the_last_smaller_batch_is_kept_or_dropped():
    sizes = {}
    for last_batch in ("keep", "drop"):
        schedule = ScheduleConfig(batch_size=4, last_batch=last_batch)
        batches = TrainingBatches(device_images(10), schedule, SCALED, "flip_crop", seed=0)
        batches.start_epoch(1)
        sizes[last_batch] = [len(batches.batch(step)[1]) for step in range(batches.steps)]
        assert sum(sizes[last_batch]) == schedule.images_per_epoch(10)
        even = TrainingBatches(device_images(8), schedule, SCALED, "none", seed=0)
        assert even.steps == 2
    assert sizes == {"keep": [4, 4, 2], "drop": [4, 4]}


def test_augmented_batches_depend_on_the_epoch_not_on_what_was_drawn_before():
    first, second = (
        TrainingBatches(device_images(), ScheduleConfig(batch_size=5), PER_IMAGE, "flip_crop", seed=3) for _ in range(2)
    )
    first.start_epoch(1)
    first.batch(0)
    for batches in (first, second):
        batches.start_epoch(2)
    assert torch.equal(first.batch(1)[0], second.batch(1)[0])
    second.start_epoch(3)
    assert not torch.equal(first.batch(1)[0], second.batch(1)[0])


def test_flip_and_crop_against_one_image_at_a_time():
    images = torch.randn(6, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    flip, down, right = (torch.tensor(v) for v in ([0, 1, 0, 1, 0, 1], [0, 1, 2, 3, 4, 2], [4, 3, 2, 2, 0, 1]))
    found = flip_and_crop(images, flip, down, right, margin=2)
    for n in range(6):
        image = images[n].numpy()
        if flip[n]:
            image = image[:, :, ::-1]
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
        assert np.array_equal(found[n].numpy(), padded[:, down[n] : down[n] + 8, right[n] : right[n] + 10])


def test_the_middle_crop_without_a_flip_is_the_image():
    images, zero = torch.randn(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)
    assert torch.equal(flip_and_crop(images, zero, zero + 2, zero + 2, margin=2), images)


def test_augmentation_draws_every_flip_and_shift_equally():
    batches = TrainingBatches(
        device_images(4000, side=16),
        ScheduleConfig(batch_size=1),
        SCALED,
        "flip_crop",
        seed=0,
    )
    batches.start_epoch(1)
    flip, down, right = batches.draws
    assert batches.margin == 1
    assert flip.float().mean().item() == pytest.approx(0.5, abs=0.03)
    for shift in (down, right):
        assert (torch.bincount(shift) / 4000).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.corrcoef(torch.stack([flip, down, right]).numpy())[~np.eye(3, dtype=bool)] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize(("mode", "axes"), [("per_image_and_channel", (2, 3)), ("per_image", (1, 2, 3))])
def test_standardisation(mode, axes):
    raw = device_images().pixels
    found = standardize(raw, mode).numpy()
    x = raw.numpy().astype(float)
    expected = (x - x.mean(axes, keepdims=True)) / x.std(axes, ddof=1, keepdims=True)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-5)


def test_a_flat_image_is_divided_by_the_smallest_deviation_allowed():
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert (standardize(flat, "per_image_and_channel") == 0).all()
    almost = flat.clone().double()
    almost[0, 0, 0, 0] += 1e-3
    deviation = almost[0, 0].std()  # far below 1/sqrt(64)
    expected = (almost[0, 0] - almost[0, 0].mean()) / (1 / 8)
    assert deviation < 1 / 8
    assert torch.allclose(standardize(almost, "per_image_and_channel")[0, 0], expected)
