"""One finished run as a record. Its test probabilities are read only where something needs them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.runs.confusion import confusion_matrix
from pdenet_repro.system.errors import RunFolderError

RESULT_KEYS = tuple(key for key, entry in all_settings() if entry.metadata["result"])
STATISTICS = ("running", "batch", "reestimated")  # of the batch norms at test time


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run."""

    folder: Path
    config: Config
    summary: Mapping[str, Any]
    metrics: Sequence[Mapping[str, str]]  # a row an epoch
    timings: Sequence[Mapping[str, str]] = ()  # a row an epoch

    @property
    def dynamic(self) -> str:
        """Name of the dynamic, as in ``dynamic=``."""
        return self.config.dynamic

    @property
    def images(self) -> int:
        """How many images it was trained on."""
        return int(self.summary["train_images"])

    @property
    def accuracy(self) -> float:
        """Share of the test images that the reported iterate classifies rightly."""
        return float(self.summary["test_accuracy"])

    @property
    def repetition(self) -> tuple[int, int]:
        """(seed, fold), which tell runs of the same settings apart; fold -1: trained on no official fold."""
        return self.config.seed, -1 if self.config.data.fold is None else self.config.data.fold

    @property
    def data(self) -> tuple[object, ...]:
        """What its images are known by: name of the data set, number of test images, MD5s of the labelled files."""
        sums = self.summary.get("data_md5", {})
        return self.config.data.name, self.summary["test_images"], *(sums.get(name) for name in LABELLED)

    @property
    def by_statistics(self) -> dict[str, float]:
        """Test accuracies with each kind of statistics of the batch norms, where they were recorded."""
        return dict(self.summary.get("test_accuracy_by_statistics") or {})

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that can change the result: dotted key -> value."""
        return {key: value_of(self.config, key) for key in RESULT_KEYS}

    @property
    def key(self) -> str:
        """First letters of its summary's checksum, which stand for this result and no other."""
        published = self.summary.get("published", {})
        return str(published.get("summary_sha256") or self.summary.get("summary_sha256", ""))[:10]

    @property
    def statistics(self) -> str | None:
        """Statistics of the batch norms behind its test accuracies; None where no batch norm keeps any."""
        return self.config.evaluation.statistics if self.config.network.connector_norm == "batch" else None

    @property
    def test_images_share_statistics(self) -> bool:
        """Whether the prediction for a test image depends on the others of its batch."""
        norm, statistics = self.config.network.connector_norm, self.config.evaluation.statistics
        return norm == "batch_per_pixel" or (norm == "batch" and statistics == "batch")

    def by_epoch(self, column: str) -> dict[int, float]:
        """Values of a column of ``metrics.csv`` by epoch, where there are any."""
        return {int(row["epoch"]): float(row[column]) for row in self.metrics if row.get(column)}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes."""
        return [str(name) for name in self.summary.get("class_names") or self._predictions()["class_names"]]

    def _predictions(self) -> Mapping[str, np.ndarray]:
        try:
            with np.load(io.BytesIO((self.folder / "predictions.npz").read_bytes())) as file:
                return dict(file)
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.folder / 'predictions.npz'} cannot be read ({error})") from error

    @property
    def probabilities(self) -> np.ndarray:
        """(test images, classes), read from its file at every call."""
        return self._predictions()["probabilities"]

    @cached_property
    def _classified(self) -> tuple[np.ndarray, np.ndarray]:
        found = self._predictions()
        predicted = found["predicted"] if "predicted" in found else found["probabilities"].argmax(1)
        return predicted.astype(np.int16), found["labels"].astype(np.int16)

    @property
    def predicted(self) -> np.ndarray:
        """(test images,) the predicted classes."""
        return self._classified[0]

    @property
    def labels(self) -> np.ndarray:
        """(test images,) the true classes."""
        return self._classified[1]

    @property
    def correct(self) -> np.ndarray:
        """(test images,) bool: where the prediction is right."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes): entry (i, j) counts test images of class i predicted as j."""
        return confusion_matrix(self.predicted, self.labels, len(self.class_names))
