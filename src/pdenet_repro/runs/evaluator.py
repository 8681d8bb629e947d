"""Evaluating the network of a run on its parts of the data, with each kind of statistics of the batch norms."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

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

        def after_batch(done: int, total: int) -> None:
            self.after_batch(part, done, total)

        try:
            with using_statistics(self.network, statistics or self.config.evaluation.statistics, self.reestimate):
                found = class_probabilities(
                    self.network, images, self.config.evaluation.batch_size, self.autocast, after_batch
                )
        except StoppedWhileCompiling:
            self.after_batch(part, 0, len(images))
            raise
        self.evaluated += len(images)
        self.seconds += time.monotonic() - begin
        return found

    def reestimate(self) -> None:
        """Estimate the statistics of the batch norms anew, from training images at the weights as they are."""
        batch_size, seed = self.config.schedule.batch_size, self.config.seed
        reestimate_statistics(self.network, self.images["train"], batch_size, seed, self.autocast)

    def with_other_statistics(self) -> dict[str, float]:
        """Test accuracy with each kind of statistics of the batch norms that is not the configured one."""
        if not batch_norms(self.network):
            return {}
        others = [kind for kind in STATISTICS if kind != self.config.evaluation.statistics]
        labels = self.images["test"].labels.cpu().numpy()
        with not_compiled():  # too few batches to compile the norms once more
            return {kind: accuracy(self.probabilities("test", kind), labels) for kind in others}
