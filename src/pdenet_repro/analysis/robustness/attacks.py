"""Gradient attacks on raw images: changes of bounded size that raise a network's loss.

One step along the sign of the gradient (Goodfellow et al. 2015, FGSM) and projected gradient ascent (Madry et al. 2018,
PGD), in the L-infinity and the L2 norm. Images are (N, 3, H, W) with values 0..255; budgets are in pixel values and hold
exactly, together with the range of values. What is attacked is the whole classifier: the standardisation of an image
by its own mean and deviation is a part of it, and the gradient goes through.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.pdenet import PDENet


class LInfinity:
    """Size of a change: the largest of its values."""

    heading, unit = "L∞", "largest change of a value (of 255)"

    def size(self, change: Tensor) -> Tensor:
        """(N, C, H, W) to (N,)."""
        return change.abs().amax((1, 2, 3))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change of size 1 along which a function with this gradient grows the most; 0 where the gradient is."""
        return gradient.sign()

    def project(self, change: Tensor, budget: float) -> Tensor:
        """The nearest change of at most that size."""
        return change.clamp(-budget, budget)

    def draw(self, images: Tensor, budget: float, random: np.random.RandomState) -> Tensor:
        """Uniform among the changes of at most that size."""
        return torch.from_numpy(random.uniform(-budget, budget, images.shape)).to(images)


class L2:
    """Size of a change: the square root of the sum of its squares, over pixels and channels."""

    heading, unit = "L2", "length of the change (values of 255)"

    def size(self, change: Tensor) -> Tensor:
        """(N, C, H, W) to (N,)."""
        return torch.linalg.vector_norm(change, dim=(1, 2, 3))

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change of size 1 along which a function with this gradient grows the most; 0 where the gradient is."""
        largest = gradient.abs().amax((1, 2, 3), keepdim=True)  # squares of tiny gradients would vanish
        scaled = torch.where(largest > 0, gradient / largest, 0)
        return scaled / self.size(scaled).clamp_min(1)[:, None, None, None]

    def project(self, change: Tensor, budget: float) -> Tensor:
        """The nearest change of at most that size."""
        size = self.size(change)
        within = budget * (1 - 2**-40)  # in double precision the squares then add up to the budget's at most
        return change * torch.where(size > within, within / size, 1)[:, None, None, None]

    def draw(self, images: Tensor, budget: float, random: np.random.RandomState) -> Tensor:
        """Uniform among the changes of at most that size."""
        radius = budget * random.uniform(size=(len(images), 1, 1, 1)) ** (1 / images[0].numel())
        direction = self.steepest(torch.from_numpy(random.standard_normal(images.shape)))
        return (direction * torch.from_numpy(radius)).to(images)


Norm = LInfinity | L2
NORMS: dict[str, Norm] = {"linf": LInfinity(), "l2": L2()}


class Attacked(NamedTuple):
    """Changed images (N, 3, H, W), whether they are classified well (N,), their cross-entropy (N,) in nats, their scores.

    The scores (N, classes) are those that an image got on its way. Where they depend on the batch, that was among the
    other images at the same step, which need not be the ones kept of them.
    """

    images: Tensor
    right: Tensor
    loss: Tensor
    scores: Tensor


def attack(
    network: PDENet,
    images: Tensor,
    labels: Tensor,
    norm: Norm,
    budget: float,
    *,
    steps: int = 1,
    random: np.random.RandomState | None = None,
    until_wrong: bool = False,
) -> Attacked:
    """Of the images on the way up the gradient, for each the worst: a wrongly classified one, of these the highest loss.

    Step j = 0, 1, ... is ``budget (1 - j / steps)`` long, in the direction of steepest ascent, and projected back.
    Without ``random`` the way starts at the images (N, 3, H, W), which count as on the way: one step is FGSM, more begin
    with that same step, so that they are never the weaker attack. With ``random`` it starts at a random change of at
    most the budget, which counts in their place, and the first step is another: for an image more steps can then be
    weaker than one step without.
    ``until_wrong``: leave an image alone once it is classified wrongly; same accuracy, less work.

    Raises
    ------
    ValueError
        The network is not in evaluation mode: it would learn from the images.
    """
    if network.training:
        raise ValueError("the network must be in evaluation mode: network.eval()")
    clean = images if images.is_floating_point() else images.to(torch.get_default_dtype())
    right, loss = torch.ones_like(labels, dtype=torch.bool), torch.full_like(clean[:, 0, 0, 0], -torch.inf)
    worst = Attacked(clean.clone(), right, loss, clean.new_zeros(len(clean), network.classifier.out_features))
    on = torch.arange(len(clean), device=clean.device)  # those still worked on
    now = clean if random is None else perturbed(clean, norm.draw(clean, budget, random), norm, budget)
    for step in range(steps + 1):
        now = now.detach().requires_grad_()
        with torch.set_grad_enabled(step < steps):
            found = scores(network, now)
            right, loss = _verdict(found, labels[on])
        better = (worst.right[on] & ~right) | ((worst.right[on] == right) & (loss > worst.loss[on]))
        for kept, new in zip(worst, (now.detach(), right, loss.detach(), found.detach()), strict=True):
            kept[on[better]] = new[better]
        if step == steps:
            break
        (gradient,) = torch.autograd.grad(loss.sum(), now)
        if until_wrong:
            on, now, gradient = on[right], now[right], gradient[right]
            if not len(on):
                break
        length = budget * (1 - step / steps)
        now = perturbed(clean[on], now.detach() - clean[on] + length * norm.steepest(gradient), norm, budget)
    return worst


def scores(network: PDENet, images: Tensor) -> Tensor:
    """Class scores (N, classes) of raw images (N, 3, H, W) of any type, values 0..255."""
    return network(standardize(images, network.standardization, network.dtype))


def judge(network: PDENet, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Whether raw images (N, 3, H, W), of any type, are classified well (N,), and their cross-entropy (N,) in nats."""
    return _verdict(scores(network, images), labels)


def _verdict(found: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return found.argmax(1) == labels, F.cross_entropy(found, labels, reduction="none")


def perturbed(images: Tensor, change: Tensor, norm: Norm, budget: float) -> Tensor:
    """``images + change``, shortened to the budget, then cut to 0..255, both exactly: rounding goes towards the images."""
    clean, change = images.double(), norm.project(change.double(), budget)
    found = (clean + change).clamp(0, 255).to(images.dtype)
    too_far = (found.double() - clean).abs() > change.abs()
    return torch.where(too_far, torch.nextafter(found, images), found)
