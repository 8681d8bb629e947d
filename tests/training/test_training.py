"""Optimiser, schedule, evaluation and the epoch loop, each against a few lines of NumPy or a number known by hand."""

import contextlib

import numpy as np
import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.config.compose import scaled_milestones
from pdenet_repro.data.batches import DeviceImages, TrainingBatches
from pdenet_repro.networks.build import build_network
from pdenet_repro.networks.layers import conv
from pdenet_repro.system.errors import NonFiniteNumbers
from pdenet_repro.training.evaluation import (
    accuracy,
    batch_count,
    class_probabilities,
    largest_batch,
    reestimate_statistics,
    using_statistics,
)
from pdenet_repro.training.objective import Objective
from pdenet_repro.training.optimizer import ProjectedSGD, projected_sgd
from pdenet_repro.training.schedule import learning_rate
from pdenet_repro.training.trainer import Trainer

SETTINGS = (
    "data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "schedule.batch_size=8", "schedule.last_batch=drop",
    "device=cpu",
)  # fmt: skip


def some_images(n=20, side=16):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    labels = np.arange(n) % 10
    for image, label in zip(pixels, labels, strict=True):  # something to learn: edges at a distance of the class
        image[:, :, :: 2 + label] = 255
    return DeviceImages(pixels, labels, torch.device("cpu"))


def make_trainer(*overrides):
    config = compose(*SETTINGS, *overrides)
    network = build_network(config)
    optimizer = projected_sgd(network, config)
    batches = TrainingBatches(some_images(), config.schedule, network.standardize, "none", config.seed)
    objective = Objective(network, config.objective, config.network.step_size)
    return Trainer(network, objective, optimizer, batches, config.schedule, contextlib.nullcontext)


@pytest.mark.parametrize("bound", [0.5, None])
def test_projected_sgd_is_the_recursion_of_the_paper(bound):
    random = np.random.default_rng(1)
    parts = [torch.nn.Parameter(torch.from_numpy(random.normal(size=shape))) for shape in ((3, 2), (5,))]
    expected = [p.detach().numpy().copy() for p in parts]
    if bound is not None:
        expected = [x.clip(-bound, bound) for x in expected]
    velocity = [np.zeros_like(x) for x in expected]
    optimizer = ProjectedSGD(parts, lr=0.3, momentum=0.9, bound=bound)
    for rate in (0.3, 0.3, 0.03, 0.03, 0.3):
        optimizer.param_groups[0]["lr"] = rate
        gradients = [random.normal(size=x.shape) for x in expected]
        for p, g in zip(parts, gradients, strict=True):
            p.grad = torch.from_numpy(g)
        optimizer.step()
        for i, g in enumerate(gradients):
            velocity[i] = rate * g + 0.9 * velocity[i]
            expected[i] = expected[i] - velocity[i]
            if bound is not None:
                expected[i] = expected[i].clip(-bound, bound)
    for p, x in zip(parts, expected, strict=True):
        assert np.allclose(p.detach().numpy(), x, rtol=1e-14)


def test_learning_rate_falls_after_its_milestones():
    rates = [learning_rate(epoch, 0.1, [60, 80, 100], 0.1) for epoch in (1, 60, 61, 80, 81, 100, 101, 120)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4], rel=1e-12)


@pytest.mark.parametrize(
    ("epochs", "expected"), [(120, [60, 80, 100]), (12, [6, 8, 10]), (6, [3, 4, 5]), (1, [1, 1, 1])]
)
def test_a_shorter_schedule_keeps_its_shape(epochs, expected):
    assert scaled_milestones([60, 80, 100], 120, epochs) == expected


def test_accuracy():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]], dtype=np.float32)
    labels = np.array([0, 1, 1, 2])
    assert accuracy(probabilities, labels) == 0.5


def test_probabilities_are_those_of_the_evaluated_network_in_order():
    images, seen = some_images(23), []
    network = build_network(compose(*SETTINGS))
    network.forward_standardized(
        torch.randn(4, 3, 16, 16)
    )  # moves the running statistics, so that the two modes differ
    assert network.training
    found = class_probabilities(network, images, 10, contextlib.nullcontext, lambda *done: seen.append(done))
    assert network.training
    assert seen == [(8, 23), (16, 23), (23, 23)]  # nearly equal parts of at most 10
    assert found.dtype == np.float32
    with torch.no_grad():
        expected = torch.softmax(network.eval()(images.pixels), 1).numpy()
    assert np.allclose(found, expected, atol=1e-6)
    network.train()
    with torch.no_grad():
        assert not np.allclose(found, torch.softmax(network(images.pixels), 1).numpy(), atol=1e-3)


def test_reestimated_statistics_are_those_of_the_images_at_the_weights_as_they_are():
    images, network = some_images(23), build_network(compose(*SETTINGS)).double()
    opening = network.opening.norm
    given = conv(network.standardize(images.pixels), network.opening.kernel)

    def reestimate(batch_size):
        reestimate_statistics(network, images, batch_size, 0, contextlib.nullcontext)

    reestimate(5)  # what the first norm is given depends on no other norm: the batches are pooled exactly
    assert torch.allclose(opening.running_mean, given.mean((0, 2, 3)), rtol=1e-10, atol=1e-12)
    assert torch.allclose(opening.running_variance, given.var((0, 2, 3), correction=0), rtol=1e-10)
    assert opening.rate == 0.1
    before = opening.running_mean.clone()
    with torch.no_grad(), using_statistics(network.eval(), "batch", reestimate):
        of_batch = network(images.pixels)
    with torch.no_grad(), using_statistics(network, "reestimated", lambda: reestimate(23)):
        reestimated = network(images.pixels)
    assert torch.allclose(of_batch, reestimated, rtol=1e-9)
    assert torch.equal(opening.running_mean, before)
    assert not torch.allclose(of_batch, network(images.pixels), rtol=1e-3)


@pytest.mark.parametrize(("images", "size", "sizes"), [(23, 10, [8, 8, 7]), (8000, 256, [250] * 32), (3, 5, [3])])
def test_batches_of_an_evaluation_are_nearly_equal(images, size, sizes):
    parts = torch.arange(images).tensor_split(batch_count(images, size))
    assert [len(part) for part in parts] == sizes
    assert largest_batch(images, size) == sizes[0]


def test_a_network_under_evaluation_goes_back_to_training_even_when_stopped():
    network = build_network(compose(*SETTINGS))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        class_probabilities(network, some_images(), 10, contextlib.nullcontext, stop)
    assert network.training


def test_an_epoch_visits_its_images_once_and_reports_their_means():
    trainer = make_trainer("schedule.learning_rate=1e-12")  # weights as good as fixed: the means can be recomputed
    positions = [progress.step for progress in trainer.epoch()]
    assert positions == [1, 2]  # 20 images: two steps of 8, four images left out
    order, images = trainer.batches.order, trainer.batches.images
    row = trainer.finish_epoch()
    terms, right = [], 0
    with torch.no_grad():
        for part in (order[:8], order[8:16]):
            scores = trainer.network(images.pixels[part])
            terms.append([t.item() for t in trainer.objective(scores, images.labels[part])])
            right += (scores.argmax(1) == images.labels[part]).sum().item()
    data, smoothness, decay = np.mean(terms, 0)
    assert row["data_loss"] == pytest.approx(data, rel=1e-5)
    assert row["smoothness"] == pytest.approx(smoothness, rel=1e-5)
    assert row["decay"] == pytest.approx(decay, rel=1e-5)
    assert row["loss"] == pytest.approx(data + smoothness + decay, rel=1e-5)
    assert row["running_train_accuracy"] == right / 16
    assert row["epoch"] == 1
    assert trainer.progress.epoch == 2


def test_training_lowers_the_objective_and_stays_in_the_box():
    words = ("optimizer.bound=0.4", "schedule.learning_rate=0.05", "schedule.epochs=60", "schedule.batch_size=10")
    trainer = make_trainer(*words, "network.widths=[8,16]")
    rows = []
    for _ in range(60):
        for _ in trainer.epoch():
            pass
        rows.append(trainer.finish_epoch())
    assert rows[-1]["data_loss"] < 0.85 * rows[0]["data_loss"]
    assert max(row["largest_weight"] for row in rows) == pytest.approx(0.4)
    assert [row["learning_rate"] for row in rows[::10]] == pytest.approx([0.05, 0.05, 0.05, 5e-3, 5e-4, 5e-5], rel=1e-9)


def test_a_loss_that_is_not_finite_leaves_the_weights_alone():
    trainer = make_trainer()
    steps = trainer.epoch()
    next(steps)
    trainer.batches.images.pixels = trainer.batches.images.pixels.float().mul(float("nan"))
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    with pytest.raises(NonFiniteNumbers, match=r"is nan \(data nan, .*\) at epoch 1, step 2, learning rate 0\.1"):
        next(steps)
    assert all(torch.equal(before[name], p) for name, p in trainer.network.named_parameters())
    assert trainer.progress.step == 1


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone():
    trainer = make_trainer("objective.eps=1e-50")  # the slope of the root at 0
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    with pytest.raises(NonFiniteNumbers, match=r"objective is finite .* is not at epoch 1, step 1.*objective\.eps"):
        next(trainer.epoch())
    assert all(torch.equal(before[name], p) for name, p in trainer.network.named_parameters())


def test_a_weight_that_is_not_a_number_is_the_largest():
    trainer = make_trainer()
    for _ in trainer.epoch():
        pass
    with torch.no_grad():
        trainer.network.classifier.weight[0, 0] = float("nan")
    assert np.isnan(trainer.finish_epoch()["largest_weight"])


def test_probabilities_that_are_not_finite_are_no_result():
    network = build_network(compose(*SETTINGS))
    with torch.no_grad():
        network.classifier.bias[0] = float("nan")
    with pytest.raises(NonFiniteNumbers, match=r"probabilities of 20 of 20 images are not finite"):
        class_probabilities(network, some_images(20), 10, contextlib.nullcontext)


def test_a_trainer_restored_in_the_middle_of_an_epoch_goes_on_bit_by_bit():
    whole, first, second = make_trainer(), make_trainer(), make_trainer("seed=0")
    for _ in whole.epoch():
        pass
    next(first.epoch())
    tensors, progress = first.state()
    second.restore({name: t.clone() for name, t in tensors.items()}, progress)
    assert [p.step for p in second.epoch()] == [2]
    expected, found = whole.state(), second.state()
    assert expected[1] == found[1]
    assert all(torch.equal(expected[0][name], tensor) for name, tensor in found[0].items())


def test_the_factor_of_the_loss_is_that_of_the_cross_entropy_alone():
    found = {}
    for factor in (1.0, 0.5):
        trainer = make_trainer(f"objective.loss_factor={factor}")
        scores = trainer.network(trainer.batches.images.pixels)
        found[factor] = trainer.objective(scores, trainer.batches.images.labels)
    assert found[0.5].data.item() == pytest.approx(found[1.0].data.item() / 2, rel=1e-6)
    assert found[0.5].smoothness.item() == found[1.0].smoothness.item() > 0
    assert found[0.5].decay.item() == found[1.0].decay.item() > 0


@pytest.mark.parametrize("bounded", ["all", "kernels"])
def test_the_box_is_on_all_weights_or_on_the_kernels_alone(bounded):
    trainer = make_trainer("optimizer.bound=0.05", f"optimizer.bounded={bounded}")
    for _ in trainer.epoch():
        pass
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [trainer.rate] * (1 if bounded == "all" else 2)
    for name, parameter in trainer.network.named_parameters():
        if "kernel" in name or bounded == "all":
            assert parameter.abs().max() <= 0.05
        elif name.endswith("scale"):
            assert parameter.min() > 0.5  # as it would be without a box
    tensors, progress = trainer.state()
    again = make_trainer("optimizer.bound=0.05", f"optimizer.bounded={bounded}")
    again.restore(tensors, progress)
    assert again.state()[1] == progress
