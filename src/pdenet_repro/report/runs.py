"""Reads run folders below a folder into records. Folders may be copies, incomplete or damaged: then they say so."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdenet_repro.config.schema import Config, knobs, value_of
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.runs.folder import config_digest, has_standard_path, load_config, load_summary, verify
from pdenet_repro.system.errors import RunFolderError

ORDER = ("parabolic", "hamiltonian", "second_order", "resnet")  # of dynamics, in every table and picture
LABELS = {"parabolic": "parabolic", "hamiltonian": "Hamiltonian", "second_order": "second-order", "resnet": "ResNet"}


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run."""

    folder: Path
    config: Config
    summary: Mapping[str, Any]
    metrics: Sequence[Mapping[str, str]]  # a row an epoch

    @property
    def dynamic(self) -> str:
        """The equation."""
        return self.config.dynamic

    @property
    def images(self) -> int:
        """How many it was trained on."""
        return int(self.summary["train_images"])

    @property
    def repetition(self) -> tuple[int, int]:
        """(seed, fold), what tells runs on the same number of images apart; -1: no fold."""
        return self.config.seed, -1 if self.config.data.fold is None else self.config.data.fold

    @property
    def data(self) -> tuple[object, ...]:
        """What its images are known by: name of the data set, number of test images, MD5s of the labelled files."""
        sums = self.summary.get("data_md5", {})
        return self.config.data.name, self.summary["test_images"], *(sums.get(name) for name in LABELLED)

    @property
    def test_by_epoch(self) -> list[tuple[int, float]]:
        """(epoch, test accuracy) where it was measured."""
        return [(int(row["epoch"]), float(row["test_accuracy"])) for row in self.metrics if row["test_accuracy"]]

    @cached_property
    def _predictions(self) -> Mapping[str, np.ndarray]:
        return dict(np.load(io.BytesIO((self.folder / "predictions.npz").read_bytes())))

    @property
    def probabilities(self) -> np.ndarray:
        """(test images, classes) float32."""
        return self._predictions["probabilities"]

    @property
    def labels(self) -> np.ndarray:
        """(test images,) the true classes."""
        return self._predictions["labels"]

    @property
    def correct(self) -> np.ndarray:
        """(test images,) bool."""
        return self.probabilities.argmax(1) == self.labels

    @property
    def class_names(self) -> list[str]:
        """Of the data set."""
        return list(self.summary["class_names"])

    @property
    def confusion(self) -> np.ndarray:
        """(classes, classes): entry (i, j) counts test images of class i predicted as j."""
        classes = self.probabilities.shape[1]
        pairs = self.labels * classes + self.probabilities.argmax(1)
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class Missing:
    """A run that is planned or begun and gives no result: why."""

    name: str
    folder: Path
    reason: str
    damaged: bool = False


@dataclass
class Collection:
    """The runs of one study."""

    runs: list[Run] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)  # a sentence for each run left out

    @property
    def dynamics(self) -> list[str]:
        """Those with runs, in the paper's order, others after them."""
        present = {run.dynamic for run in self.runs}
        return [name for name in ORDER if name in present] + sorted(present - set(ORDER))

    @property
    def sizes(self) -> list[int]:
        """Numbers of training images, growing."""
        return sorted({run.images for run in self.runs})

    def cell(self, dynamic: str, images: int) -> list[Run]:
        """Runs of one dynamic on one number of images, by seed and fold."""
        found = [run for run in self.runs if run.dynamic == dynamic and run.images == images]
        return sorted(found, key=lambda run: run.repetition)

    def largest(self, dynamic: str) -> list[Run]:
        """The cell with the most images."""
        return self.cell(dynamic, max(run.images for run in self.runs if run.dynamic == dynamic))

    def leave_out_copies(self) -> None:
        """Keep one run of each configuration on the same images: a copy is no further repetition."""
        kept: dict[tuple[object, ...], Run] = {}
        for run in sorted(self.runs, key=lambda run: (not has_standard_path(run.folder, run.config), run.folder)):
            original = kept.setdefault((config_digest(run.config), *run.data), run)
            if original is not run:
                self.copies.append(
                    f"{run.folder} has the configuration of {original.folder}, seed included: it is no further repetition"
                )
        self.runs = list(kept.values())

    def mixture(self, study: Path) -> str | None:
        """Why the runs cannot be shown together, None if they can: they are on different images."""
        first = self.runs[0] if self.runs else None
        other = next((run for run in self.runs if first and run.data != first.data), None)
        if first is None or other is None:
            return None
        one, two = first.config.data.name, other.config.data.name
        sets = f"{one}, such as {first.folder}, and on {two}, such as {other.folder}"
        if one == two:
            sets = f"different images of {one}, such as {first.folder} and {other.folder}"
        return (
            f"{study} holds runs on {sets}, which no figure can show together; leave those of one data set there and move "
            f"the others into another folder"
        )

    def other_differences(self) -> list[str]:
        """Settings, beside those a study varies, that are not the same in all runs: means would mix them."""
        varied = {"dynamic", "data.fraction", "data.fold", "seed", "evaluation.every", "network.norm_eps"}
        notes = []
        for key in (key for key, entry in knobs() if entry.metadata["result"] and key not in varied):
            counts: dict[str, int] = {}
            for run in self.runs:
                value = str(value_of(run.config, key))
                counts[value] = counts.get(value, 0) + 1
            if len(counts) > 1:
                notes.append(f"{key}: " + ", ".join(f"{value} in {n} runs" for value, n in counts.items()))
        return notes


def label(dynamic: str) -> str:
    """How a dynamic is called in pictures and tables."""
    return LABELS.get(dynamic, dynamic)


def collect(folder: Path) -> dict[Path, Collection]:
    """The runs at or below ``folder``, by the folder of the study they belong to.

    Raises
    ------
    RunFolderError
        There is no run at all.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: there is no such folder; give a study or a run, for example outputs/demo")
    names = ("config.yaml", "summary.json")
    paths = sorted({path.parent for name in names for path in folder.rglob(name) if _is_run(path.parent)})
    if not paths:
        raise RunFolderError(f"{folder} holds no runs: no config.yaml with a command.txt is in it or below")
    found: dict[Path, Collection] = {}
    for path in paths:
        below = path.relative_to(folder).parts
        study = path.parents[2] if len(below) >= 3 else folder  # STUDY/DYNAMIC/FRACTION/SEED
        into = found.setdefault(study, Collection())
        try:
            run = _read(path)
        except RunFolderError as error:
            into.missing.append(Missing(str(path), path, str(error), damaged=True))
        else:
            into.runs.append(run) if isinstance(run, Run) else into.missing.append(run)
    for collection in found.values():
        collection.leave_out_copies()
        rank = {name: i for i, name in enumerate(collection.dynamics)}
        collection.runs.sort(key=lambda run: (rank[run.dynamic], run.images, run.repetition))
    return found


def _is_run(folder: Path) -> bool:
    return (folder / "command.txt").is_file() or (folder / "summary.json").is_file()


def _read(path: Path) -> Run | Missing:
    config, summary = load_config(path), load_summary(path)
    if summary is None:
        done = len(_rows(path / "metrics.csv"))
        return Missing(str(path), path, f"not finished: {done} of {config.schedule.epochs} epochs are done")
    verify(path, summary)
    return Run(path, config, summary, _rows(path / "metrics.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", errors="replace") as file:  # of an unfinished run, whose rows are only counted
        return list(csv.DictReader(file))
