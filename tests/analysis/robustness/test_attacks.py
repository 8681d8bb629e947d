"""Attacks: real ones (the loss goes up, more than at random), within their budget exactly, with true gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS, attack, correctness, perturbed

BOTH = pytest.mark.parametrize("norm", ATTACK_NORMS.values(), ids=ATTACK_NORMS)
BUDGETS = {"linf": 6.0, "l2": 500.0}


def drawn(count, seed):
    """Images (count, 3, 32, 32) uint8 of four coarse patterns under noise, and which."""
    patterns = torch.from_numpy(np.random.RandomState(9).uniform(60, 200, (4, 3, 4, 4)))
    labels = torch.arange(count) % 4
    noise = torch.from_numpy(np.random.RandomState(seed).normal(0, 25, (count, 3, 32, 32)))
    pixels = F.interpolate(patterns, 32, mode="bilinear")[labels] + noise
    return pixels.round().clamp(0, 255).to(torch.uint8), labels


@pytest.fixture(scope="module")
def images():
    return drawn(12, 0)[0]


@pytest.fixture(scope="module")
def labels():
    return drawn(12, 0)[1]


@pytest.fixture(scope="module", params=["per_image_and_channel", "per_image", "none"])
def network(request):
    """Trained to tell the patterns apart."""
    config = compose("dynamic=parabolic", "network=tiny", "data=shapes", f"data.standardization={request.param}")
    network = build_network(config).train()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for seed in range(1, 61):
        pixels, truth = drawn(16, seed)
        optimizer.zero_grad()
        F.cross_entropy(network(pixels), truth).backward()
        optimizer.step()
    network.eval()
    pixels, truth = drawn(12, 0)
    with torch.no_grad():
        assert correctness(network, pixels, truth)[0].sum() >= 10
    return network


def test_raw_bytes_and_raw_numbers_are_classified_alike(network, images, labels):
    with torch.no_grad():
        right, loss = correctness(network, images, labels)
        assert (right == (network(images).argmax(1) == labels)).all()
        assert loss == pytest.approx(F.cross_entropy(network(images), labels, reduction="none"))
        assert correctness(network, images.float(), labels)[1] == pytest.approx(loss)


def test_the_gradient_goes_through_the_standardisation(images):
    network = build_network(compose("dynamic=hamiltonian", "network=tiny", "data=shapes", "network.activation=tanh"))
    network = network.double().eval()
    x = images[:2].double().requires_grad_()
    labels = torch.tensor([1, 2])
    (gradient,) = torch.autograd.grad(correctness(network, x, labels)[1].sum(), x)
    direction = torch.from_numpy(np.random.RandomState(1).normal(size=x.shape))
    with torch.no_grad():
        up, down = (correctness(network, x + sign * 1e-3 * direction, labels)[1].sum() for sign in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(up - down) / 2e-3, rel=1e-6)


def test_one_step_in_l_infinity_is_the_fast_gradient_sign(network, images, labels):
    x = images.float().requires_grad_()
    (gradient,) = torch.autograd.grad(correctness(network, x, labels)[1].sum(), x)
    expected = (images + 4 * gradient.sign()).clamp(0, 255)
    found = attack(network, images, labels, ATTACK_NORMS["linf"], 4.0).images
    taken = (found != images).flatten(1).any(1)  # unless the image itself is the worse one
    assert taken.sum() > 6
    assert torch.equal(found[taken], expected[taken])


@BOTH
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("start", [False, True])
def test_the_loss_goes_up_over_clean_and_over_random_changes_of_that_size(network, images, labels, norm, steps, start):
    budget = BUDGETS[next(name for name, each in ATTACK_NORMS.items() if each is norm)]
    random = np.random.RandomState(2)
    found = attack(network, images, labels, norm, budget, steps=steps, random=random if start else None)
    draw = norm.steepest(torch.from_numpy(random.standard_normal(images.shape)).float())
    with torch.no_grad():
        _, clean = correctness(network, images, labels)
        _, noisy = correctness(network, perturbed(images.float(), budget * draw, norm, budget), labels)
        right, loss = correctness(network, found.images, labels)
    assert loss == pytest.approx(found.loss, rel=1e-4, abs=1e-5)  # what it says of its images holds
    assert (right == found.right).all()
    assert (found.right == (found.scores.argmax(1) == labels)).all()
    assert found.loss == pytest.approx(F.cross_entropy(found.scores, labels, reduction="none"), abs=1e-6)
    assert found.loss.mean() > clean.mean()
    rise, by_chance = (found.loss - clean).mean(), (noisy - clean).abs().mean()
    assert rise > 3 * by_chance


@BOTH
def test_iterated_is_never_weaker_than_one_step_and_a_large_budget_leaves_nothing(network, images, labels, norm):
    budget = BUDGETS[next(name for name, each in ATTACK_NORMS.items() if each is norm)]
    one, ten = (attack(network, images, labels, norm, budget, steps=steps) for steps in (1, 10))
    assert (ten.right <= one.right).all()
    both = ten.right == one.right
    assert (ten.loss[both] >= one.loss[both] - 1e-5).all()
    assert ten.loss.mean() > one.loss.mean()
    large = attack(network, images, labels, norm, 20 * budget, steps=10)
    assert not large.right.any()  # no masked gradients
    early = attack(network, images, labels, norm, budget, steps=10, until_wrong=True)
    assert (early.right == ten.right).all()


@BOTH
@pytest.mark.parametrize("budget", [0.3, 1.0, 7.7, 333.3])
def test_budget_and_range_are_kept_exactly(images, norm, budget):
    random = np.random.RandomState(3)
    change = torch.from_numpy(random.normal(0, 2 * budget, images.shape)).float()
    for dtype in (torch.float32, torch.float64):
        clean = images.to(dtype)
        found = perturbed(clean, change.to(dtype), norm, budget)
        size = norm.size(found.double() - images.double())
        assert (size <= budget).all()
        assert found.min() >= 0
        assert found.max() <= 255
        inside = clean.clamp(64, 192)  # nothing is cut off at the ends: the budget is used up
        if norm is ATTACK_NORMS["l2"] or budget < 64:
            assert norm.size(perturbed(inside, change.to(dtype), norm, min(budget, 60)) - inside).min() > 0.999 * min(
                budget, 60
            )


@BOTH
def test_attacks_keep_the_budget(network, images, norm):
    for budget in (0.3, 3.7):
        for start in (None, np.random.RandomState(4)):
            found = attack(network, images, torch.zeros(12, dtype=torch.long), norm, budget, steps=4, random=start)
            assert (norm.size(found.images.double() - images.double()) <= budget).all()
            assert found.images.isfinite().all()


def test_steepest_changes_have_size_1_and_constant_images_stay_finite(network):
    gradient = torch.full((2, 3, 8, 8), 1e-30)
    gradient[1] = 0
    for norm in ATTACK_NORMS.values():
        assert norm.size(norm.steepest(gradient)).tolist() == pytest.approx([1, 0])
    grey = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
    for norm in ATTACK_NORMS.values():
        found = attack(network, grey, torch.zeros(2, dtype=torch.long), norm, 8.0, steps=3)
        assert found.images.isfinite().all()
        assert found.loss.isfinite().all()


def test_a_network_that_would_learn_is_refused(network, images):
    network.train()
    try:
        with pytest.raises(ValueError, match="evaluation mode"):
            attack(network, images, torch.zeros(12, dtype=torch.long), ATTACK_NORMS["l2"], 1.0)
    finally:
        network.eval()
