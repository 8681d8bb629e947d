"""Reports on the runs of a study from its folder alone: their states, hosts, reasons of failure and sizes on disk.

It also finds the files that unfinished and failed attempts have left, and removes them.
"""

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pdenet_repro.runs.folder import DYNAMIC_COPY, PROGRESS, RESULT_FILES, load_summary
from pdenet_repro.sweeps.plan import NAME as PLAN
from pdenet_repro.sweeps.plan import planned_runs
from pdenet_repro.sweeps.state import State, jobs_in_queue, state_of_unfinished, steps_saved, submitted_jobs
from pdenet_repro.system.errors import RunFolderBusy, RunFolderError
from pdenet_repro.system.files import matching, read_mapping, remove
from pdenet_repro.system.formatting import duration
from pdenet_repro.system.lock import FolderLock

FRESH = 300.0  # seconds: a run on another host counts as running if its last heartbeat is no older
# Patterns of the files that a run writes into its folder; no other file is ever removed. config.yaml is the last one, so that
# what a killed removal leaves still counts as a run.
WRITTEN = (
    "checkpoints/step-*.safetensors*", "checkpoints/.*.tmp", ".*.tmp", "tensorboard/events.out.tfevents.*", "command.txt",
    "run.log", "failure.json", PROGRESS, "running.json", "run.lock", DYNAMIC_COPY, *reversed(RESULT_FILES),
)  # fmt: skip


@dataclass(frozen=True)
class RunStatus:
    """One run: its folder, its state, a note on the state, and its size on disk in bytes."""

    folder: Path
    state: State
    note: str
    bytes: int


def status(folder: Path) -> list[RunStatus]:
    """Return every run below a folder, also planned ones and those that may not be read; RunFolderError if there is none."""
    folders, private = set[Path](), dict[Path, str]()

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or Path(error.filename) == folder:  # others were removed just now
            private[Path(error.filename)] = str(error.strerror)

    for name, inner, files in os.walk(folder, onerror=note):
        inner[:] = set(inner) - {"jobs"}  # folders of submissions to SLURM, which are private and hold no runs
        if {"config.yaml", "failure.json"} & set(files):
            folders.add(Path(name))
        if PLAN in files:
            folders |= {Path(name) / run["folder"] for run in planned_runs(Path(name))}
    if folder in private:
        raise RunFolderError(f"{folder}: {private[folder]}; name a study that you may read, for example outputs/demo")
    folders |= set(private)
    if not folders:
        raise RunFolderError(f"{folder}: holds no runs and no plan of runs; name a study, for example outputs/demo")
    jobs = submitted_jobs(folders)
    queue = jobs_in_queue() if jobs else {}
    return [_status(each, jobs.get(each, ""), queue) for each in sorted(folders)]


def _status(folder: Path, job: str, queue: Mapping[str, str] | None) -> RunStatus:
    """Return the status of one run; ``job``: the id of its last job on a cluster; ``queue``: None if it is unknown."""
    size = sum(file.st_size for path in _files(folder) if (file := _stat(path)))
    try:
        summary = load_summary(folder)
    except RunFolderError as error:
        return RunStatus(folder, State.FAILED, str(error), size)
    if summary:
        seconds = summary.get("wall_seconds", summary.get("training_seconds", 0))
        return RunStatus(folder, State.DONE, f"test accuracy {summary['test_accuracy']:.2%}, {duration(seconds)}", size)
    found, heartbeat, progress = state_of_unfinished(folder), folder / "running.json", read_mapping(folder / PROGRESS)
    state, host, steps = found.state, read_mapping(heartbeat).get("host", ""), steps_saved(folder)
    epoch = [f"epoch {progress['epoch']} of {progress['epochs']} done"] if "epochs" in progress else []
    waits = (queue or {}).get(job, "")  # the state of the job, in SLURM's words
    beat = _stat(heartbeat)
    if host not in ("", platform.node()) and beat and time.time() - beat.st_mtime < FRESH:
        state = State.RUNNING
    elif waits and state is not State.RUNNING:
        state = State.QUEUED
    if state is State.RUNNING:
        notes = [f"on {host}"] * bool(host) + (epoch or ["no epoch done yet"])
        notes += [f"{duration(progress['seconds_left'])} left"] if "seconds_left" in progress else []
    elif state is State.FAILED:
        notes = [found.reason]
    else:
        notes = [*epoch, f"saved at step {steps}"] if steps else []
    if state is State.QUEUED:
        notes.append(f"job {job} is {waits.lower()}")
    elif job and queue is None and state is not State.RUNNING:
        notes.append(f"submitted as job {job}; squeue fails here, so whether it still waits is unknown")
    return RunStatus(folder, state, ", ".join(notes), size)


def left_over(folder: Path) -> list[RunStatus]:
    """Return the runs below a folder that are neither done nor running and have left files."""
    unfinished = (State.INTERRUPTED, State.FAILED, State.TO_DO)
    return [run for run in status(folder) if run.state in unfinished and any(_written(run.folder))]


def remove_run(run: RunStatus) -> str:
    """Remove the files that an unfinished run has left, except those that no run writes; return what happened, in words."""
    try:
        with FolderLock(run.folder):
            if load_summary(run.folder):
                return "stays: it has been finished meanwhile"
            for path in _written(run.folder):
                if path.name != "run.lock":
                    remove(path)
    except RunFolderBusy:
        return "stays: another process is training it"
    remove(run.folder / "run.lock")
    for folder in (run.folder / "tensorboard", run.folder / "checkpoints", run.folder, *run.folder.parents[:2]):
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
    kept = [path.name for path in _files(run.folder)]
    return f"removed, but for {', '.join(kept)}, which no run writes" if kept else "removed"


def _written(folder: Path) -> Iterator[Path]:
    if not os.path.exists(folder / "summary.json"):  # in a folder that may not be read: False, where Path.exists raises
        for pattern in WRITTEN:
            yield from matching(folder, pattern)


def _files(folder: Path) -> Iterator[Path]:
    return (Path(name, file) for name, _, files in os.walk(folder) for file in files)


def _stat(path: Path) -> os.stat_result | None:
    """Return the status of a file, None if it has just been removed or may not be looked at."""
    with suppress(OSError):
        return path.stat()
    return None
