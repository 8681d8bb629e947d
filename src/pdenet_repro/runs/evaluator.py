"""Evaluating the network of a run on its parts of the data, with each kind of statistics of the batch norms."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

import numpy as np

from pdenet_repro.config.schema import Config
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.training.compilation import not_compiled
from pdenet_repro.training.evaluation import (
    STATISTICS,
    accuracy,
    batch_norms,
    class_probabilities,
    reestimate_statistics,
    using_statistics,
)
from pdenet_repro.training.interruptible import StoppedWhileCompiling


class Evaluator:
    """Evaluates a network on ``images``, its training, validation and test images by the names of these parts.

    ``after_batch(part, done, total)`` is called with the numbers of images, and may raise to stop.
    """

    def __init__(
        self,
        config: Config,
        network: PDENet,
        images: Mapping[str, DeviceImages],
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.config, self.network, self.images, self.autocast = config, network, images, autocast
        self.after_batch: Callable[[str, int, int], None] = lambda part, done, total: None
        self.evaluated, self.seconds = 0, 0.0  # images, and how long they took

    @property
    def seconds_an_image(self) -> float:
        """Mean time of an image; 0 before the first."""
        return self.seconds / self.evaluated if self.evaluated else 0.0

    def probabilities(self, part: str, statistics: str | None = None) -> np.ndarray:
        """Class probabilities (N, classes) of a part of the data; ``statistics`` of the batch norms, None: as configured."""
        images, begin = self.images[part], time.monotonic()
        try:
            with using_statistics(self.network, statistics or self.config.evaluation.statistics, self.reestimate):
                found = class_probabilities(
                    self.network,
                    images,
                    self.config.evaluation.batch_size,
                    self.autocast,
                    partial(self.after_batch, part),
                )
        except StoppedWhileCompiling:
            self.after_batch(part, 0, len(images))
            raise
        self.evaluated += len(images)
        self.seconds += time.monotonic() - begin
        return found

    def accuracy(self, part: str, statistics: str | None = None) -> float:
        """Share of a part's images whose class is predicted."""
        return accuracy(self.probabilities(part, statistics), self.images[part].labels.cpu().numpy())

    def reestimate(self) -> None:
        """Estimate the statistics of the batch norms anew, from training images at the weights as they are."""
        batch_size, seed = self.config.schedule.batch_size, self.config.seed
        reestimate_statistics(self.network, self.images["train"], batch_size, seed, self.autocast)

    def accuracy_by_statistics(self, configured: float) -> dict[str, float]:
        """Test accuracy by statistics of the batch norms, of which ``configured`` is known; empty without such norms."""
        if not batch_norms(self.network):
            return {}
        known = self.config.evaluation.statistics
        with not_compiled():  # too few batches to compile the norms once more
            return {kind: configured if kind == known else self.accuracy("test", kind) for kind in STATISTICS}
