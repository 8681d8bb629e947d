"""Evaluates the network of a run on its images, with each kind of statistics that batch norms can use at test time."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

import numpy as np

from pdenet_repro.config.schema import STATISTICS, Config
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.training.compilation import not_compiled
from pdenet_repro.training.evaluation import (
    accuracy,
    batch_norms,
    class_probabilities,
    reestimate_statistics,
    using_statistics,
)
from pdenet_repro.training.interruptible import StoppedWhileCompiling


class Evaluator:
    """Evaluates ``network`` on ``images``: a mapping of ``train``, ``validation`` and ``test`` to the images of that part.

    ``after_batch(part, done, total)`` is called after each batch with the numbers of images; it may raise an error to stop.
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
        self.evaluated, self.seconds = 0, 0.0  # evaluated images, and the seconds that they took

    @property
    def seconds_per_image(self) -> float:
        """Mean seconds to evaluate an image; 0 before the first."""
        return self.seconds / self.evaluated if self.evaluated else 0.0

    def probabilities(self, part: str, statistics: str | None = None) -> np.ndarray:
        """Return class probabilities (N, classes) of a part; ``statistics``: a kind of `STATISTICS`, None: as configured."""
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
        """Return the share (0 to 1) of a part's images whose class is predicted; ``statistics`` as in `probabilities`."""
        return accuracy(self.probabilities(part, statistics), self.images[part].labels.cpu().numpy())

    def reestimate(self) -> None:
        """Estimate the statistics of the batch norms anew, from training images with the present weights."""
        batch_size, seed = self.config.schedule.batch_size, self.config.seed
        reestimate_statistics(self.network, self.images["train"], batch_size, seed, self.autocast)

    def accuracy_by_statistics(self, configured: float) -> dict[str, float]:
        """Return the test accuracy for each kind of statistics of the batch norms; empty for a network without such norms.

        ``configured``: the test accuracy with the configured kind, which is not computed a second time.
        """
        if not batch_norms(self.network):
            return {}
        known = self.config.evaluation.statistics
        with not_compiled():  # for these few batches compiling the norms once more is not worth it
            return {kind: configured if kind == known else self.accuracy("test", kind) for kind in STATISTICS}
