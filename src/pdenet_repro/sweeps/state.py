"""Determines the state of a run from its folder, and which jobs are in a cluster's queue."""

import os
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pdenet_repro.config.schema import Config
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.runs.work import Work, work_left
from pdenet_repro.system import lock
from pdenet_repro.system.errors import RunFolderError
from pdenet_repro.system.files import matching, read_mapping

JOB_NAME = "pdenet"
SUBMITTED = "submitted.json"  # {job id: run folder} of one submission to SLURM, in STUDY/jobs/SUBMISSION


class State(StrEnum):
    """States of a run."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"  # the run's job waits in a cluster's queue
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TO_DO = "to do"


@dataclass(frozen=True)
class RunState:
    """The state of a run, and the reason for it if the run is not done."""

    state: State
    reason: str = ""


def state_of(config: Config) -> RunState:
    """Return the state of a run; it is ``FAILED`` if the folder is damaged or holds another configuration."""
    folder = RunFolder(config)
    try:
        return RunState(State.DONE) if folder.finished() else state_of_unfinished(folder.path)
    except RunFolderError as error:
        return RunState(State.FAILED, str(error))


def state_of_unfinished(folder: Path) -> RunState:
    """Return the state of a run without a summary, from its folder."""
    if lock.held(folder):
        return RunState(State.RUNNING, f"{folder} is being trained by another process")
    if os.path.exists(folder / "failure.json"):  # in a folder that may not be read: False, where Path.exists raises
        reason = read_mapping(folder / "failure.json").get(
            "reason", "its failure.json is damaged, so that the reason is unknown"
        )
        return RunState(State.FAILED, str(reason))
    if steps_saved(folder):
        return RunState(State.INTERRUPTED, "the same command continues from its checkpoint")
    return RunState(State.TO_DO, "nothing of it is saved")


def steps_saved(folder: Path) -> int:
    """Return the number of training steps of the newest checkpoint in a run folder, from its name; 0 if there is none."""
    names = [path.name.split("-")[1] for path in matching(folder, "checkpoints/step-*-*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def work_to_do(config: Config) -> Work:
    """Return what is left of a run after its newest checkpoint."""
    return work_left(config, steps_saved(path_of(config)))


def counted(states: Iterable[State]) -> str:
    """Return how many runs have each state, as in ``3 done, 1 failed``."""
    count = Counter(states)
    return ", ".join(f"{count[state]} {state}" for state in State if count[state])


def submitted_jobs(folders: Collection[Path]) -> dict[Path, str]:
    """Return for each run folder the id of the job that was submitted last; folders without a job are left out."""
    jobs: dict[str, str] = {}
    for study in {folder.absolute().parents[2] for folder in folders}:
        for record in sorted(study.glob(f"jobs/*/{SUBMITTED}"), key=lambda path: path.stat().st_mtime):
            jobs |= {str(folder): job for job, folder in read_mapping(record).items()}
    return {folder: jobs[str(folder.absolute())] for folder in folders if str(folder.absolute()) in jobs}


def jobs_in_queue() -> dict[str, str] | None:
    """Return this user's jobs that wait or run as {id: state in SLURM's words, such as PENDING}; None if ``squeue`` fails."""
    words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={JOB_NAME}", "--format=%A %F_%K %T"]
    try:
        lines = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return {job: word for *ids, word in map(str.split, lines) for job in ids}
