"""Run folders as records. Each folder is read once; its test probabilities only where something needs them.

A folder may be a copy, linked, unfinished, damaged, private or of another version: then a sentence says so, and the
others are reported.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdenet_repro.config.dynamics import facts_of, rank
from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.report.plan import Missing as Missing
from pdenet_repro.report.plan import failure_reason, not_begun
from pdenet_repro.runs.confusion import confusion_matrix
from pdenet_repro.runs.folder import (
    config_digest,
    has_standard_path,
    load_config,
    load_summary,
    verify,
    with_present_names,
)
from pdenet_repro.system.errors import RunFolderError

RESULT_KEYS = tuple(key for key, entry in all_settings() if entry.metadata["result"])
STATISTICS = ("running", "batch", "reestimated")  # of the batch norms at test time
NEEDED = {"test_accuracy": int | float, "test_images": int, "train_images": int, "files_sha256": dict}
OPENED_LATER = ("weights.safetensors", "examples.npz")  # large, and not opened for the tables


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
        correct: np.ndarray = self.predicted == self.labels
        return correct

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes, classes): entry (i, j) counts test images of class i predicted as j."""
        return confusion_matrix(self.predicted, self.labels, len(self.class_names))


@dataclass
class Collection:
    """The runs that one report is made of."""

    runs: list[Run] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)  # a sentence for each run that is left out as a copy
    commands: list[str] = field(default_factory=list)  # of the sweeps that planned the runs

    @property
    def dynamics(self) -> list[str]:
        """Those with runs, in the paper's order, others after them."""
        return sorted({run.dynamic for run in self.runs}, key=rank)

    @property
    def sizes(self) -> list[int]:
        """Numbers of training images, growing."""
        return sorted({run.images for run in self.runs})

    def largest(self, dynamic: str) -> list[Run]:
        """The runs of a dynamic on the most images, by seed and fold."""
        found = [run for run in self.runs if run.dynamic == dynamic]
        most = max(run.images for run in found)
        return sorted((run for run in found if run.images == most), key=lambda run: run.repetition)

    def arrange(self, by: Sequence[str] = ()) -> None:
        """Keep one run of each configuration on the same images, for a copy is no further repetition; sort them.

        ``by``: settings that tell runs apart although they change no result.
        """
        kept: dict[tuple[object, ...], Run] = {}

        def preference(run: Run) -> tuple[object, ...]:
            return not has_standard_path(run.folder, run.config), -len(run.by_epoch("test_accuracy")), run.folder

        for run in sorted(self.runs, key=preference):
            chosen = [str(value_of(run.config, key)) for key in by]
            original = kept.setdefault((config_digest(run.config), *chosen, *run.data), run)
            if original is not run:
                self.copies.append(
                    f"{run.folder} has the configuration of {original.folder}, seed included: it is no further repetition"
                )
        rank = {name: i for i, name in enumerate(self.dynamics)}
        self.runs = sorted(kept.values(), key=lambda run: (rank[run.dynamic], run.images, run.repetition))

    def mixture(self, where: str) -> str | None:
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
            f"{where} holds runs on {sets}, which no figure can show together; leave those of one data set there and move "
            f"the others into another folder"
        )


def label(dynamic: str) -> str:
    """How a dynamic is called in pictures and tables."""
    return facts_of(dynamic).label


def collect(folder: Path, by: Sequence[str] = (), *, weights: bool = True) -> dict[Path, Collection]:
    """The runs at or below ``folder``, by the folder of the study they belong to; links are followed.

    ``weights``: whether weights and example images are compared with their checksums, too: a report opens no weights,
    and compares images when it opens them.

    Raises
    ------
    RunFolderError
        There is no run at all.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: there is no such folder; give a study or a run, for example outputs/demo")
    unreadable: list[Missing] = []
    found: dict[Path, Collection] = {}
    for path in sorted(_run_folders(folder, unreadable)):
        below = path.relative_to(folder).parts
        study = path.parents[2] if len(below) >= 3 else folder  # STUDY/DYNAMIC/FRACTION/SEED
        into = found.setdefault(study, Collection())
        try:
            run = _read(path, () if weights else OPENED_LATER)
        except RunFolderError as error:
            into.missing.append(Missing(str(path), path, str(error), damaged=True))
        else:
            into.runs.append(run) if isinstance(run, Run) else into.missing.append(run)
    for each in unreadable:
        studies = [study for study in found if study in each.folder.parents]
        (found[studies[0]] if studies else found.setdefault(folder, Collection())).missing.append(each)
    if not found:
        raise RunFolderError(f"{folder} holds no runs: no config.yaml with a command.txt is in it or below")
    for study, collection in found.items():
        not_begun(study, collection)
        collection.arrange(by)
    return found


def combine(parts: Iterable[Collection], by: Sequence[str] = ()) -> Collection:
    """One collection of the runs of several studies."""
    whole = Collection()
    for part in parts:
        whole.runs += part.runs
        whole.missing += part.missing
        whole.copies += part.copies
        whole.commands += part.commands
    whole.arrange(by)
    return whole


def _run_folders(folder: Path, unreadable: list[Missing]) -> Iterable[Path]:
    """Run folders at or below ``folder``; folders that cannot be listed are put into ``unreadable``."""

    def refused(error: OSError) -> None:
        path = Path(error.filename)
        reason = f"{path} cannot be read ({error.strerror}); make it readable, or leave it out"
        unreadable.append(Missing(str(path), path, reason, damaged=True))

    seen: set[str] = set()
    for path, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(path)
        is_run = "summary.json" in files or {"config.yaml", "command.txt"} <= set(files)
        if is_run:
            yield Path(path)
        if is_run or real in seen:  # nothing below a run is a run; a link may lead upwards
            folders.clear()
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]


def _read(path: Path, unchecked: Sequence[str]) -> Run | Missing:
    config, summary = load_config(path), load_summary(path)
    if summary is None:
        done = len(_rows(path / "metrics.csv"))
        reason = failure_reason(path) or f"not finished: {done} of {config.schedule.epochs} epochs are done"
        return Missing(str(path), path, reason, fraction=config.data.fraction, dynamic=config.dynamic,
                       variation=config.variation)  # fmt: skip
    lacking = [key for key, kind in NEEDED.items() if not isinstance(summary.get(key), kind)]
    if lacking:
        raise RunFolderError(
            f"{path / 'summary.json'} is of another version: it has no {', '.join(lacking)}; report it with the version "
            f"that made it, or train the run again"
        )
    files = {name: checksum for name, checksum in summary["files_sha256"].items() if name not in unchecked}
    verify(path, {"files_sha256": files})
    return Run(path, config, summary, _rows(path / "metrics.csv"), _rows(path / "timings.csv"))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", errors="replace") as file:  # of an unfinished run, whose rows are only counted
        return [with_present_names(row) for row in csv.DictReader(file)]
