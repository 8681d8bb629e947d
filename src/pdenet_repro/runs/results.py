"""Writes the results of a run (weights, predictions, confusion matrix, summary) and loads its trained network again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pdenet_repro.config.schema import Config
from pdenet_repro.data.examples import saved_indices
from pdenet_repro.data.stl10 import Dataset
from pdenet_repro.data.subset import Subset
from pdenet_repro.networks.build import build_network
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.runs import provenance
from pdenet_repro.runs.checkpoints import History, refuse_non_finite
from pdenet_repro.runs.confusion import confusion_matrix
from pdenet_repro.runs.folder import (
    DYNAMIC_COPY,
    RESULT_FILES,
    WEIGHTS,
    RunFolder,
    config_digest,
    load_config,
    load_summary,
    verify,
)
from pdenet_repro.system import device
from pdenet_repro.system.errors import RunFolderError
from pdenet_repro.system.files import npz, sha256
from pdenet_repro.training.evaluation import accuracy

if TYPE_CHECKING:
    import torch


@dataclass
class Outcome:
    """Everything that training and evaluation computed; the network has its weights after ``epoch``, which are reported."""

    config: Config
    network: PDENet
    dataset: Dataset
    subset: Subset
    epoch: int
    test_probabilities: np.ndarray  # (test images, classes) float32; float64 where the weights are
    train_accuracy: float
    accuracy_by_statistics: dict[str, float]  # test accuracy by statistics of the batch norms; empty without such norms
    history: History

    @property
    def confusion(self) -> np.ndarray:
        """(classes, classes): entry (i, j) counts test images of class i predicted as j."""
        return confusion_matrix(
            self.test_probabilities.argmax(1), self.dataset.test.labels, self.test_probabilities.shape[1]
        )


def write_results(outcome: Outcome, folder: RunFolder, where: "torch.device") -> dict[str, Any]:
    """Write all results but the summary, and return the summary; ``where``: the device that computed them."""
    names = list(outcome.dataset.class_names)
    folder.write_rows("metrics.csv", outcome.history.rows)
    folder.write_rows("timings.csv", outcome.history.timings)
    weights = {name: tensor.contiguous() for name, tensor in outcome.network.state_dict().items()}
    refuse_non_finite(weights, "at the end")
    folder.write(WEIGHTS, save_tensors(weights, {"config": config_digest(outcome.config)}))
    test = outcome.dataset.test
    folder.write(
        "predictions.npz",
        npz(probabilities=outcome.test_probabilities, labels=test.labels, class_names=np.array(names)),
    )
    shown = saved_indices(len(test.labels))
    folder.write("examples.npz", npz(indices=shown, pixels=np.asarray(test.pixels[shown])))
    folder.write_rows(
        "confusion.csv",
        [
            {"true": name, **{f"predicted_{other}": count for other, count in zip(names, counts, strict=True)}}
            for name, counts in zip(names, outcome.confusion.tolist(), strict=True)
        ],
    )
    return _summary(outcome, folder, where)


def _summary(outcome: Outcome, folder: RunFolder, where: "torch.device") -> dict[str, Any]:
    config, data, history = outcome.config, outcome.dataset, outcome.history
    seconds = sum(timing["seconds"] for timing in history.timings)
    by_epoch = {row["epoch"]: row for row in history.rows}
    passes = len(history.rows) * config.schedule.images_per_epoch(len(outcome.subset.train))
    return {
        "dynamic": config.dynamic,
        "recipe": config.recipe,
        "data": config.data.name,
        "fraction": config.data.fraction,
        "fold": config.data.fold,
        "seed": config.seed,
        "name": config.name,
        "test_accuracy": accuracy(outcome.test_probabilities, data.test.labels),
        "test_accuracy_by_statistics": outcome.accuracy_by_statistics,
        "train_accuracy": outcome.train_accuracy,
        "validation_accuracy": by_epoch[outcome.epoch]["validation_accuracy"],
        "epochs": config.schedule.epochs,
        "epoch_reported": outcome.epoch,
        "train_images": len(outcome.subset.train),
        "validation_images": len(outcome.subset.validation),
        "test_images": len(data.test.labels),
        "class_names": list(data.class_names),
        "weights": outcome.network.weight_count(),
        "training_seconds": round(seconds, 3),
        "images_per_second": round(passes / max(seconds, 1e-9), 2),
        "peak_memory_mib": max(timing["peak_memory_mib"] for timing in history.timings),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "attempts": history.attempts,
        "command": history.attempts[-1]["command"],
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "hardware": device.hardware(where),
        "configuration_sha256": config_digest(config),
        "subset_sha256": outcome.subset.digest,
        "data_md5": dict(data.checksums),
        "files_sha256": {
            name: sha256(folder.path / name) for name in (*RESULT_FILES, *[DYNAMIC_COPY] * bool(config.dynamic_file))
        },
    }


def load_run(folder: str | Path) -> tuple[PDENet, Config]:
    """Return the trained network of a finished run, on the CPU in evaluation mode, and its configuration.

    Call the network, or its ``probabilities``, with raw images, a uint8 tensor (N, 3, 96, 96), for class scores or
    probabilities (N, 10). Within ``torch.no_grad()`` both take less memory, and ``.numpy()`` works on the result.

    If the run's dynamic is in a user's own file, the folder holds a copy of it, ``dynamic.py``, which is **executed** if its
    SHA-256 is that of the configuration: load only folders of authors whose programs you would run.

    Raises
    ------
    RunFolderError
        The folder is no finished run, or its weights are damaged.
    InvalidConfig
        The file of the run's dynamic is missing or cannot be used.
    """
    path = Path(folder)
    config, summary = load_config(path), load_summary(path)
    if summary is None:
        raise RunFolderError(f"{path} is not finished: it has no summary.json; start its command again to continue")
    verify(path, summary, [WEIGHTS])
    network = build_network(config)
    network.load_state_dict(load_tensors((path / WEIGHTS).read_bytes()))
    return network.eval(), config
