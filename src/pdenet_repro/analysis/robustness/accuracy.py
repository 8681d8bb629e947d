"""Determine which predictions of a network are correct under each corruption and attack at each strength."""

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS, AttackNorm, attack, correctness, perturbed
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.analysis.robustness.panels import Panel
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import batch_dependence
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.system.console import progress
from pdenet_repro.system.device import autocast
from pdenet_repro.system.seeds import stream

Right = dict[tuple[str, float], np.ndarray]  # (perturbation, strength) to correctness of predictions, (images,) bool


def right_predictions(
    subject: Subject, batches: Sequence[tuple[Tensor, Tensor]], panels: Mapping[str, Panel], given: argparse.Namespace
) -> Right:
    """Return whether a network's predictions are correct; a batch has images (N, 3, H, W) uint8 and labels (N,)."""
    found: dict[tuple[str, float], list[np.ndarray]] = defaultdict(list)
    for number, (images, labels) in enumerate(
        progress(batches, f"robustness of {subject.name}, {given.images} images")
    ):
        context = autocast(images.device, subject.config.precision)
        batch = _Batch(subject.network, images, labels, number, given, bool(batch_dependence(subject.config)), context)
        for name in CORRUPTIONS:
            for strength in panels[name].strengths:
                found[name, strength].append(batch.corrupted(name, strength).cpu().numpy())
        for name in ATTACK_NORMS:
            for place, right in batch.attacked(name, panels[f"{name} iterated"].strengths).items():
                found[place].append(right.cpu().numpy())
    return {place: np.concatenate(each) for place, each in found.items()}


@dataclass
class _Batch:
    """A batch of images (N, 3, H, W) uint8; its methods return whether predictions are correct, (N,) bool."""

    network: PDENet
    images: Tensor
    labels: Tensor
    number: int
    given: argparse.Namespace
    depends_on_batch: bool  # scores of an image depend on the others, so all images must stay in the batch
    context: Callable[[], AbstractContextManager[None]]  # makes forward passes compute in the precision of training

    def _random(self, name: str) -> np.random.RandomState:
        return stream(self.given.seed, f"robustness {name}", self.number)

    @torch.no_grad()
    def corrupted(self, name: str, strength: float) -> Tensor:
        corruption, images = CORRUPTIONS[name], self.images
        if strength != corruption.clean:
            images = corruption.apply(images, strength, self._random(name))
        with self.context():
            return correctness(self.network, images, self.labels)[0]

    def attacked(self, name: str, budgets: Sequence[float]) -> dict[tuple[str, float], Tensor]:
        """Return which images stay correct, by kind of attack and budget (`Right`); only correct images are attacked.

        An image that is wrong without change counts as wrong at every budget and, under the iterated attack, one that is wrong at
        a smaller budget counts as wrong at the larger ones: those changes are within these budgets too.
        """
        attack_norm, images, random = ATTACK_NORMS[name], self.images.float(), self._random(name)
        draw = attack_norm.steepest(torch.from_numpy(random.standard_normal(images.shape)).to(images))
        with torch.no_grad(), self.context():
            clean, _ = correctness(self.network, images, self.labels)
        left, found = clean, {}
        for budget in budgets:
            for kind in ("random", "one-step", "iterated"):
                right = left if kind == "iterated" else clean
                starts = [None, *[random] * self.given.restarts] if kind == "iterated" else [None]
                for start in starts if budget else []:
                    on = torch.ones_like(right) if self.depends_on_batch else right.clone()
                    if right.any():
                        right = right.clone()
                        right[on] &= self._right_after(
                            kind, images[on], self.labels[on], attack_norm, budget, draw[on], start
                        )
                left = right if kind == "iterated" else left
                found[f"{name} {kind}", budget] = right
        return found

    def _right_after(
        self, kind: str, images: Tensor, labels: Tensor, attack_norm: AttackNorm, budget: float, draw: Tensor,
        start: np.random.RandomState | None,
    ) -> Tensor:  # fmt: skip
        with self.context():
            if kind == "random":
                with torch.no_grad():
                    return correctness(self.network, perturbed(images, budget * draw, attack_norm, budget), labels)[0]
            if kind == "one-step":
                return attack(self.network, images, labels, attack_norm, budget).right
            return attack(
                self.network, images, labels, attack_norm, budget, steps=self.given.steps, random=start,
                until_wrong=not self.depends_on_batch,
            ).right  # fmt: skip
