"""Run folders made by hand, whole in every file that a report reads."""

import copy
import csv
import functools
import hashlib
import io

import numpy as np

from pdenet_repro import compose
from pdenet_repro.data.examples import carried
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.runs.folder import RunFolder

NAMES = ["circle", "ring", "square", "cross", "star", "stripes", "checks", "dots", "waves", "noise"]
FILES = ("config.yaml", "metrics.csv", "predictions.npz", "examples.npz")


@functools.cache  # composing takes Hydra a fifth of a second, and the same few configurations are made in every test
def _composed(*words):
    return compose("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=3", "name=made", *words)


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


class Maker:
    """``maker("dynamic=resnet", right=[...])`` writes a run in which the test images ``right`` are classified well."""

    def __init__(self, root):
        self.root = root

    def __call__(
        self, *words, right, images=100, tests=200, by_epoch=(None, None, 0.5), finished=True, examples=True, drawn="1"
    ):
        config = copy.deepcopy(_composed(*words))
        config.output_root = str(self.root)
        folder = RunFolder(config)
        folder.path.mkdir(parents=True)
        folder.begin("python -m pdenet_repro made by hand")
        labels = np.arange(tests) % 10
        guessed = np.where(np.isin(np.arange(tests), right), labels, (labels + 1) % 10)
        probabilities = np.full((tests, 10), 0.05, np.float32)
        probabilities[np.arange(tests), guessed] = 0.55
        rows = [{"epoch": i + 1, "train_accuracy": 0.5, "test_accuracy": a} for i, a in enumerate(by_epoch)]
        folder.write_rows("metrics.csv", rows if finished else rows[:1])
        if not finished:
            return folder.path
        folder.write("predictions.npz", npz(probabilities=probabilities, labels=labels, class_names=np.array(NAMES)))
        shown = carried(tests)
        pixels = np.broadcast_to(shown[:, None, None, None].astype(np.uint8), (len(shown), 3, 96, 96))
        if examples:
            folder.write("examples.npz", npz(indices=shown, pixels=pixels))
        summary = {
            "dynamic": config.dynamic, "weights": 1234, "train_images": images, "seed": config.seed, "epochs": 3,
            "train_accuracy": 0.75, "test_accuracy": float((guessed == labels).mean()), "test_images": tests,
            "training_seconds": 65.0, "images_per_second": 10.0, "peak_memory_mib": 512.0, "class_names": NAMES,
            "finished": "2026-01-01T00:00:00+00:00", "command": "python -m pdenet_repro made by hand",
            "git_commit": None, "versions": {"torch": "2.15.0"}, "subset_sha256": "ab" * 32,
            "data_md5": dict.fromkeys(LABELLED, drawn * 32),
            "hardware": {"gpu": None, "cpu": "a <processor>", "threads": 2},
            "files_sha256": {
                name: hashlib.sha256((folder.path / name).read_bytes()).hexdigest()
                for name in FILES if (folder.path / name).is_file()
            },
        }  # fmt: skip
        folder.finish(summary)
        return folder.path


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
