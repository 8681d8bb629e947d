"""Run folders made by hand, whole in every file that a report reads."""

import csv
import functools
import hashlib
from dataclasses import replace

import numpy as np

from pdenet_repro import compose
from pdenet_repro.data.examples import saved_indices
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.runs.folder import RunFolder, config_digest
from pdenet_repro.system.files import npz

NAMES = ["circle", "ring", "square", "cross", "star", "stripes", "checks", "dots", "waves", "noise"]
FILES = ("config.yaml", "metrics.csv", "timings.csv", "predictions.npz", "examples.npz", "weights.safetensors")
SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=3", "name=made")
PAPER = ("data=stl10", "recipe=paper", "precision=bfloat16", "name=made")


@functools.cache  # composing takes Hydra a fifth of a second, and the same few configurations are made in every test
def _composed(*words):
    return compose(*words)


class Maker:
    """``maker("dynamic=resnet", right=[...])`` writes a run in which the test images ``right`` are classified well.

    ``base``: the settings before the words; ``seed``: instead of a word, for many runs of one composed configuration;
    ``by_epoch``: test accuracies (None: not tested); ``extra``: entries of the summary; ``lacking``: entries left out.
    """

    def __init__(self, root):
        self.root = root

    def __call__(
        self, *words, right, images=100, tests=200, by_epoch=(None, None, 0.5), finished=True, examples=True, drawn="1",
        base=SMALL, seed=None, names=NAMES, extra=None, lacking=(), columns=None,
    ):  # fmt: skip
        config = replace(_composed(*base, *words), output_root=str(self.root))
        config = config if seed is None else replace(config, seed=seed)
        folder = RunFolder(config)
        folder.path.mkdir(parents=True)
        folder.begin("python -m pdenet_repro made by hand")
        classes = len(names)
        labels = np.arange(tests) % classes
        guessed = np.where(np.isin(np.arange(tests), right), labels, (labels + 1) % classes)
        probabilities = np.full((tests, classes), 0.05, np.float32)
        probabilities[np.arange(tests), guessed] = 0.55
        rows = [
            {"epoch": i + 1, "data_loss": 2.0 / (i + 1), "smoothness": 0.1, "decay": 0.1, "running_train_accuracy": 0.5,
             "test_accuracy": accuracy, **{name: values[i] for name, values in (columns or {}).items()}}
            for i, accuracy in enumerate(by_epoch)
        ]  # fmt: skip
        folder.write_rows("metrics.csv", rows if finished else rows[:1])
        if not finished:
            return folder.path
        folder.write_rows(
            "timings.csv",
            [{"epoch": e, "seconds": s, "images_per_second": 100 / s} for e, s in ((1, 9), (2, 2), (3, 4))],
        )
        folder.write("predictions.npz", npz(probabilities=probabilities, labels=labels, class_names=np.array(names)))
        folder.write("weights.safetensors", b"weights")
        shown = saved_indices(tests)
        pixels = np.broadcast_to(shown[:, None, None, None].astype(np.uint8), (len(shown), 3, 96, 96))
        if examples:
            folder.write("examples.npz", npz(indices=shown, pixels=pixels))
        summary = {
            "dynamic": config.dynamic, "weights": 1234, "train_images": images, "seed": config.seed, "epochs": 3,
            "train_accuracy": 0.75, "test_accuracy": float((guessed == labels).mean()), "test_images": tests,
            "training_seconds": 65.0, "images_per_second": 10.0, "peak_memory_mib": 512.0, "class_names": list(names),
            "finished": "2026-01-01T00:00:00+00:00", "command": "python -m pdenet_repro made by hand",
            "git_commit": None, "versions": {"torch": "2.15.0"}, "subset_sha256": "ab" * 32, "epoch_reported": 3,
            "configuration_sha256": config_digest(config), "data_md5": dict.fromkeys(LABELLED, drawn * 32),
            "hardware": {"gpu": None, "cpu": "a <processor>", "threads": 2},
            "files_sha256": {
                name: hashlib.sha256((folder.path / name).read_bytes()).hexdigest()
                for name in FILES if (folder.path / name).is_file()
            },
        }  # fmt: skip
        summary = {key: value for key, value in (summary | (extra or {})).items() if key not in lacking}
        folder.finish(summary)
        return folder.path


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
