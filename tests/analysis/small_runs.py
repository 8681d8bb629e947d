"""Small networks and finished runs to analyse, on a data set made on the spot."""

import copy
import functools
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.data.stl10 import Dataset, Images
from pdenet_repro.runs.folder import RunFolder
from pdenet_repro.runs.training_run import TrainingRun
from pdenet_repro.system.console import Log
from pdenet_repro.system.files import sha256

CONTROLS = Path(__file__).parents[2] / "docs" / "examples" / "controls.py"  # dynamics whose facts state no equation
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


_composed = functools.cache(compose)  # takes Hydra a fifth of a second, and tests share a few configurations


def subject_of(dynamic, *words, dataset=None):
    """At initial weights."""
    config = copy.deepcopy(_composed(*WORDS, f"dynamic={dynamic}", *words))
    subject = Subject(config, build_network(config).eval(), None)
    subject.__dict__["dataset"] = dataset or made_dataset()  # what the cached property would read from disk
    return subject


class Never:
    received = None


def finished_run(root, dynamic):
    config = compose(*WORDS, f"dynamic={dynamic}", f"output_root={root}")
    folder = RunFolder(config)
    with folder.locked():
        folder.begin("python -m pdenet_repro made by a test")
        TrainingRun(config, made_dataset(), folder, Log(), Never()).execute()
    return folder.path


def finished(root, *words):
    """The folder of a run whose weights are drawn instead of trained; every unit has weights that differ from step to step."""
    config = compose("data=shapes", "network=tiny", "schedule=short", f"output_root={root}", "name=study", *words)
    network = build_network(config)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.units.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    folder = RunFolder(config)
    folder.path.mkdir(parents=True)
    folder.begin("python -m pdenet_repro made by hand")
    folder.write_rows("metrics.csv", [{"epoch": 1, "test_accuracy": 0.1}])
    folder.write("weights.safetensors", save(network.state_dict()))
    files = {"weights.safetensors": sha256(folder.path / "weights.safetensors")}
    summary = {"test_accuracy": 0.1, "train_images": 10, "test_images": 20, "files_sha256": files}
    folder.finish(summary)
    return folder.path
