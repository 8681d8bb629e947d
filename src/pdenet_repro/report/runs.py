"""Read run folders as `Run` records, each folder once.

A copy, an unfinished run, or a folder that is damaged, unreadable or of another version does not stop a report: a sentence
records why it is left out.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdenet_repro.config.dynamics import sort_key
from pdenet_repro.config.schema import value_of
from pdenet_repro.report.plan import Missing as Missing
from pdenet_repro.report.plan import damage, failure_reason, read_plan
from pdenet_repro.report.run import Run
from pdenet_repro.runs.folder import (
    config_digest,
    has_standard_path,
    load_config,
    load_summary,
    verify,
    with_present_names,
)
from pdenet_repro.system.errors import RunFolderError

# Keys of summary.json that a report needs, with their types.
NEEDED = {"test_accuracy": int | float, "test_images": int, "train_images": int, "files_sha256": dict}
OPENED_LATER = ("weights.safetensors", "examples.npz")  # large files, which the tables do not need


@dataclass
class Collection:
    """The runs of one report, and those that it lacks."""

    runs: list[Run] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)  # a sentence for each run that is left out as a copy
    commands: list[str] = field(default_factory=list)  # commands of the sweeps that planned the runs

    def largest(self) -> list[Run]:
        """Return, for each dynamic, its run on the most training images; of several such runs the first by seed and fold."""
        found: dict[str, Run] = {}
        for run in self.runs:
            if run.dynamic not in found or run.images > found[run.dynamic].images:
                found[run.dynamic] = run
        return list(found.values())

    def arrange(self, by: Sequence[str] = ()) -> None:
        """Leave out copies, and sort the runs by dynamic, number of training images, seed and fold.

        Runs of one configuration, seed included, on the same images are copies: they are no further repetition. Runs that
        differ in a setting of ``by`` are no copies, even if that setting changes no result.
        """
        kept: dict[tuple[object, ...], Run] = {}

        def preference(run: Run) -> tuple[object, ...]:
            return not has_standard_path(run.folder, run.config), -len(run.by_epoch("test_accuracy")), run.folder

        for run in sorted(self.runs, key=preference):
            chosen = [str(value_of(run.config, key)) for key in by]
            original = kept.setdefault((config_digest(run.config), *chosen, *run.data_identity), run)
            if original is not run:
                self.copies.append(
                    f"{run.folder} has the configuration of {original.folder}, seed included: it is no further repetition"
                )
        self.runs = sorted(kept.values(), key=lambda run: (sort_key(run.dynamic), run.images, run.repetition))

    def data_conflict(self, where: str) -> str | None:
        """Return why the runs cannot be shown together (they used different images), or None if they can."""
        first = self.runs[0] if self.runs else None
        other = next((run for run in self.runs if first and run.data_identity != first.data_identity), None)
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


def collect(folder: Path, by: Sequence[str] = (), *, weights: bool = True) -> dict[Path, Collection]:
    """Return the runs at or below ``folder``, by the folder of their study; symbolic links are followed.

    The files of each run are compared with their checksums; ``weights=False`` skips weights and example images, of which a
    report never opens the former and checks the latter when it opens them.

    Raises
    ------
    RunFolderError
        The folder does not exist, or there is no run at or below it.
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
            into.missing.append(damage(path, str(error)))
        else:
            into.runs.append(run) if isinstance(run, Run) else into.missing.append(run)
    for each in unreadable:
        studies = [study for study in found if study in each.folder.parents]
        (found[studies[0]] if studies else found.setdefault(folder, Collection())).missing.append(each)
    if not found:
        raise RunFolderError(f"{folder} holds no runs: no config.yaml with a command.txt is in it or below")
    for study, collection in found.items():
        collection.commands, absent = read_plan(study, collection.runs, collection.missing)
        collection.missing += absent
        collection.arrange(by)
    return found


def combine(parts: Iterable[Collection], by: Sequence[str] = ()) -> Collection:
    """Return one collection of the runs of several studies; ``by`` as in `Collection.arrange`."""
    merged = Collection()
    for part in parts:
        merged.runs += part.runs
        merged.missing += part.missing
        merged.copies += part.copies
        merged.commands += part.commands
    merged.arrange(by)
    return merged


def _run_folders(folder: Path, unreadable: list[Missing]) -> Iterable[Path]:
    """Yield the run folders at or below ``folder``; append folders that cannot be listed to ``unreadable``."""

    def refused(error: OSError) -> None:
        path = Path(error.filename)
        unreadable.append(damage(path, f"{path} cannot be read ({error.strerror}); make it readable, or leave it out"))

    seen: set[str] = set()
    for path, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(path)
        is_run = "summary.json" in files or {"config.yaml", "command.txt"} <= set(files)
        if is_run:
            yield Path(path)
        if is_run or real in seen:  # a run holds no other runs; a link may lead back to a folder above
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
    with path.open(newline="", errors="replace") as file:  # an unfinished run may have damaged rows
        return [with_present_names(row) for row in csv.DictReader(file)]
