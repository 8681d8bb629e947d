"""Attack raw images with changes of bounded size that raise a network's loss.

The attacks are one step in the direction of the gradient's sign (FGSM, Goodfellow et al. 2015) and projected gradient ascent
(PGD, Madry et al. 2018), in the L-infinity and the L2 norm. Images are (N, 3, H, W) with values 0..255. The size of a change is
at most the budget, in pixel values, and changed values stay in 0..255; both hold exactly. Gradients are computed through the
standardisation of an image by its own mean and standard deviation.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.networks.pdenet import PDENet


class LInfinity:
    """The L-infinity norm of a change: its largest absolute value."""

    heading, unit = "L∞", "largest change of a value (of 255)"

    def size(self, change: Tensor) -> Tensor:
        """Return the norm (N,) of each change (N, C, H, W)."""
        return change.abs().amax((1, 2, 3))

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the change of size 1 along which a function with this gradient grows fastest; 0 for a zero gradient."""
        return gradient.sign()

    def project(self, change: Tensor, budget: float) -> Tensor:
        """Return the nearest change whose size is at most the budget."""
        return change.clamp(-budget, budget)

    def draw(self, images: Tensor, budget: float, random: np.random.RandomState) -> Tensor:
        """Draw changes uniformly among those whose size is at most the budget."""
        return torch.from_numpy(random.uniform(-budget, budget, images.shape)).to(images)


class L2:
    """The L2 norm of a change: the square root of the sum of its squares over pixels and channels."""

    heading, unit = "L2", "length of the change (values of 255)"

    def size(self, change: Tensor) -> Tensor:
        """Return the norm (N,) of each change (N, C, H, W)."""
        lengths: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3))
        return lengths

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the change of size 1 along which a function with this gradient grows fastest; 0 for a zero gradient."""
        largest = gradient.abs().amax((1, 2, 3), keepdim=True)  # squares of tiny gradients underflow
        scaled = torch.where(largest > 0, gradient / largest, 0)
        return scaled / self.size(scaled).clamp_min(1)[:, None, None, None]

    def project(self, change: Tensor, budget: float) -> Tensor:
        """Return the nearest change whose size is at most the budget."""
        size = self.size(change)
        within = budget * (1 - 2**-40)  # a margin, so that rounding in double precision does not exceed the budget
        return change * torch.where(size > within, within / size, 1)[:, None, None, None]

    def draw(self, images: Tensor, budget: float, random: np.random.RandomState) -> Tensor:
        """Draw changes uniformly among those whose size is at most the budget."""
        radius = budget * random.uniform(size=(len(images), 1, 1, 1)) ** (1 / images[0].numel())
        direction = self.steepest(torch.from_numpy(random.standard_normal(images.shape)))
        return (direction * torch.from_numpy(radius)).to(images)


AttackNorm = LInfinity | L2
ATTACK_NORMS: dict[str, AttackNorm] = {"linf": LInfinity(), "l2": L2()}


class AttackResult(NamedTuple):
    """The result of an attack: images (N, 3, H, W), correctness (N,) bool, cross-entropy (N,) in nats, scores (N, classes).

    The scores were computed during the attack. If they depend on the batch, the other images in it were those of the same
    step, which need not be the ones in ``images``.
    """

    images: Tensor
    right: Tensor
    loss: Tensor
    scores: Tensor


def attack(
    network: PDENet,
    images: Tensor,
    labels: Tensor,
    attack_norm: AttackNorm,
    budget: float,
    *,
    steps: int = 1,
    random: np.random.RandomState | None = None,
    until_wrong: bool = False,
) -> AttackResult:
    """Run projected gradient ascent of the loss, and return the worst changed image of each image (N, 3, H, W).

    The worst is the one of highest loss among those classified wrongly or, without any, among all. Step j = 0, 1, ... has length
    ``budget (1 - j / steps)`` in the direction of steepest ascent and is projected back. Without ``random`` the ascent starts at
    the images, which are candidates themselves. One step is then FGSM, and more steps are never a weaker attack, because they
    begin with the same step. With ``random`` it starts at random changes of at most the budget and can be weaker than FGSM. If
    ``until_wrong``, the ascent ends for an image once it is classified wrongly, which does not change the accuracy.

    Raises
    ------
    ValueError
        The network is in training mode, in which the images would change its running statistics.
    """
    if network.training:
        raise ValueError("the network must be in evaluation mode: network.eval()")
    clean = images if images.is_floating_point() else images.to(torch.get_default_dtype())
    right, loss = torch.ones_like(labels, dtype=torch.bool), torch.full_like(clean[:, 0, 0, 0], -torch.inf)
    worst = AttackResult(clean.clone(), right, loss, clean.new_zeros(len(clean), network.classifier.out_features))
    on = torch.arange(len(clean), device=clean.device)  # indices of the images that are still attacked
    now = clean if random is None else perturbed(clean, attack_norm.draw(clean, budget, random), attack_norm, budget)
    for step in range(steps + 1):
        now = now.detach().requires_grad_()
        with torch.set_grad_enabled(step < steps):
            found = scores(network, now)
            right, loss = _correctness(found, labels[on])
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
        now = perturbed(
            clean[on], now.detach() - clean[on] + length * attack_norm.steepest(gradient), attack_norm, budget
        )
    return worst


def scores(network: PDENet, images: Tensor) -> Tensor:
    """Return the class scores (N, classes) of raw images (N, 3, H, W) of any type with values 0..255."""
    return network.forward_unchecked(network.standardize(images))


def correctness(network: PDENet, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return correctness (N,) bool and cross-entropy (N,) in nats of the predictions for raw images (N, 3, H, W)."""
    return _correctness(scores(network, images), labels)


def _correctness(found: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return found.argmax(1) == labels, F.cross_entropy(found, labels, reduction="none")


def perturbed(images: Tensor, change: Tensor, attack_norm: AttackNorm, budget: float) -> Tensor:
    """Return ``images + change`` with the change at most the budget and values in 0..255; rounding exceeds neither limit."""
    clean, change = images.double(), attack_norm.project(change.double(), budget)
    found = (clean + change).clamp(0, 255).to(images.dtype)
    too_far = (found.double() - clean).abs() > change.abs()
    return torch.where(too_far, torch.nextafter(found, images), found)
