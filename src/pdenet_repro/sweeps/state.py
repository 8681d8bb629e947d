"""How far a run has come, read from its folder, and whether its job still waits in a cluster's queue."""

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
from pdenet_repro.system.files import read_mapping

JOB_NAME = "pdenet"
SUBMITTED = "submitted.json"  # {job id: run folder} of one submission to SLURM, in STUDY/jobs/SUBMISSION


class State(StrEnum):
    """How far a run has come."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"  # its job waits in a cluster's queue
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TO_DO = "to do"


@dataclass(frozen=True)
class RunState:
    """A state, and a reason where the run is not done."""

    state: State
    reason: str = ""


def state_of(config: Config) -> RunState:
    """The state of a run; one whose folder is damaged, or holds another configuration, has failed."""
    folder = RunFolder(config)
    try:
        return RunState(State.DONE) if folder.finished() else state_of_unfinished(folder.path)
    except RunFolderError as error:
        return RunState(State.FAILED, str(error))


def state_of_unfinished(folder: Path) -> RunState:
    """The state of a run that has no summary."""
    if lock.held(folder):
        return RunState(State.RUNNING, f"{folder} is being trained by another process")
    if os.path.exists(folder / "failure.json"):  # False where that may not be known
        reason = read_mapping(folder / "failure.json").get(
            "reason", "of an unknown reason: its failure.json is damaged"
        )
        return RunState(State.FAILED, str(reason))
    if steps_saved(folder):
        return RunState(State.INTERRUPTED, "the same command goes on from its checkpoint")
    return RunState(State.TO_DO, "nothing of it is saved")


def steps_saved(folder: Path) -> int:
    """Training steps in the newest checkpoint of a run folder, by its name; 0 if there is none."""
    names = [path.name.split("-")[1] for path in folder.glob("checkpoints/step-*-*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def work_to_do(config: Config) -> Work:
    """What is left of a run after its newest checkpoint."""
    return work_left(config, steps_saved(path_of(config)))


def counted(states: Iterable[State]) -> str:
    """``3 done, 1 failed``."""
    count = Counter(states)
    return ", ".join(f"{count[state]} {state}" for state in State if count[state])


def submitted_jobs(folders: Collection[Path]) -> dict[Path, str]:
    """The ids of the jobs that were submitted last for these run folders; folders without a job are left out."""
    jobs: dict[str, str] = {}
    for study in {folder.absolute().parents[2] for folder in folders}:
        for record in sorted(study.glob(f"jobs/*/{SUBMITTED}"), key=lambda path: path.stat().st_mtime):
            jobs |= {str(folder): job for job, folder in read_mapping(record).items()}
    return {folder: jobs[str(folder.absolute())] for folder in folders if str(folder.absolute()) in jobs}


def jobs_in_queue() -> dict[str, str] | None:
    """Jobs of this user that wait or run: {id: SLURM's word for that, as PENDING}; None where ``squeue`` does not answer."""
    words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={JOB_NAME}", "--format=%A %F_%K %T"]
    try:
        lines = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return {job: word for *ids, word in map(str.split, lines) for job in ids}
