"""`Run`: the configuration, results and metrics of a finished run. Its predictions are read only when they are needed."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdenet_repro.config.schema import Config, all_settings, batch_dependence, value_of
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.runs.confusion import confusion_matrix
from pdenet_repro.system.errors import RunFolderError

RESULT_KEYS = tuple(key for key, entry in all_settings() if entry.metadata["result"])


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, as `runs.collect` reads it from its folder. Accuracies are fractions in [0, 1]."""

    folder: Path
    config: Config
    summary: Mapping[str, Any]
    metrics: Sequence[Mapping[str, str]]  # one row per epoch
    timings: Sequence[Mapping[str, str]] = ()  # one row per epoch

    @property
    def dynamic(self) -> str:
        """Name of the dynamic, as in ``dynamic=``."""
        return self.config.dynamic

    @property
    def images(self) -> int:
        """Number of training images."""
        return int(self.summary["train_images"])

    @property
    def accuracy(self) -> float:
        """Test accuracy of the reported iterate."""
        return float(self.summary["test_accuracy"])

    @property
    def repetition(self) -> tuple[int, int]:
        """(seed, fold), which distinguish runs of equal settings; fold is -1 for a run on no official fold."""
        return self.config.seed, -1 if self.config.data.fold is None else self.config.data.fold

    @property
    def data_identity(self) -> tuple[object, ...]:
        """Identity of its images: name of the data set, number of test images, MD5 sums of the labelled files."""
        sums = self.summary.get("data_md5", {})
        return self.config.data.name, self.summary["test_images"], *(sums.get(name) for name in LABELLED)

    @property
    def by_statistics(self) -> dict[str, float]:
        """Test accuracy with each kind of batch-norm statistics (see `config.schema.STATISTICS`) that the run recorded."""
        return dict(self.summary.get("test_accuracy_by_statistics") or {})

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Values of all settings that can change the result, by dotted key."""
        return {key: value_of(self.config, key) for key in RESULT_KEYS}

    @property
    def result_id(self) -> str:
        """First ten digits of the checksum of the run's summary, before publication; they identify the result."""
        published = self.summary.get("published", {})
        return str(published.get("summary_sha256") or self.summary.get("summary_sha256", ""))[:10]

    @property
    def statistics(self) -> str | None:
        """Kind of batch-norm statistics that its test accuracy uses; None if no batch norm keeps running statistics."""
        return self.config.evaluation.statistics if self.config.network.connector_norm == "batch" else None

    @property
    def test_images_share_statistics(self) -> bool:
        """Whether the prediction for a test image depends on the other images of its batch."""
        return bool(batch_dependence(self.config))

    def by_epoch(self, column: str) -> dict[int, float]:
        """Return the values of a column of ``metrics.csv`` by epoch, without epochs that have no value."""
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
        """Class probabilities, (test images, classes), read from their file at every access."""
        return self._predictions()["probabilities"]

    @cached_property
    def _classified(self) -> tuple[np.ndarray, np.ndarray]:
        found = self._predictions()
        predicted = found["predicted"] if "predicted" in found else found["probabilities"].argmax(1)
        return predicted.astype(np.int16), found["labels"].astype(np.int16)

    @property
    def predicted(self) -> np.ndarray:
        """Predicted classes, (test images,)."""
        return self._classified[0]

    @property
    def labels(self) -> np.ndarray:
        """True classes, (test images,)."""
        return self._classified[1]

    @property
    def correct(self) -> np.ndarray:
        """Whether each prediction is right, bool, (test images,)."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def confusion(self) -> np.ndarray:
        """Confusion matrix, (classes, classes): entry (i, j) counts test images of class i predicted as class j."""
        return confusion_matrix(self.predicted, self.labels, len(self.class_names))
