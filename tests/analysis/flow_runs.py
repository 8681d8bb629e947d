"""Small networks and finished runs to analyse, on a data set made on the spot."""

import numpy as np

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.data.stl10 import Dataset, Images
from pdenet_repro.run_folder import RunFolder
from pdenet_repro.session import Session
from pdenet_repro.tracking import Log

WORDS = (
    "data=shapes",
    "network=tiny",
    "schedule=short",
    "schedule.epochs=1",
    "schedule.batch_size=8",
    "device=cpu",
    "name=flow",
)


def images_of(per_class, random):
    labels = np.repeat(np.arange(10), per_class)
    return Images(random.integers(0, 256, (len(labels), 3, 96, 96), dtype=np.uint8), labels)


def made_dataset():
    random = np.random.default_rng(0)
    parts = [images_of(per_class, random) for per_class in (2, 2)]
    return Dataset(
        *parts, class_names=tuple(f"class{i}" for i in range(10)), folds=(), checksums={"train_X.bin": "made"}
    )


def subject_of(dynamic, *words, dataset=None):
    """At initial weights."""
    config = compose(*WORDS, f"dynamic={dynamic}", *words)
    subject = Subject(config, build_network(config).eval(), None, print)
    subject.__dict__["dataset"] = dataset or made_dataset()  # what the cached property would read from disk
    return subject


class Never:
    received = None


def finished_run(root, dynamic):
    config = compose(*WORDS, f"dynamic={dynamic}", f"output_root={root}")
    folder = RunFolder(config)
    with folder.locked():
        folder.begin("python -m pdenet_repro made by a test")
        Session(config, made_dataset(), folder, Log(), Never()).carry_out()
    return folder.path
