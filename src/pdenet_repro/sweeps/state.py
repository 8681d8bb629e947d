"""How far a run has come, read from its folder."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pdenet_repro.config.schema import Config
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.runs.work import Work, work_left
from pdenet_repro.system import lock
from pdenet_repro.system.errors import RunFolderError


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
        if folder.finished():
            return RunState(State.DONE)
    except RunFolderError as error:
        return RunState(State.FAILED, str(error))
    return state_of_unfinished(folder.path)


def state_of_unfinished(folder: Path) -> RunState:
    """The state of a run that has no summary."""
    if lock.held(folder):
        return RunState(State.RUNNING, f"{folder} is being trained by another process")
    try:
        return RunState(State.FAILED, str(json.loads((folder / "failure.json").read_text())["reason"]))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return RunState(State.FAILED, "of an unknown reason: its failure.json is damaged")
    if steps_saved(folder):
        return RunState(State.INTERRUPTED, "the same command goes on from its checkpoint")
    return RunState(State.TO_DO, "nothing of it is saved")


def steps_saved(folder: Path) -> int:
    """Training steps in the newest checkpoint of a run folder, by its name; 0 if there is none."""
    names = [path.name.split("-")[1] for path in (folder / "checkpoints").glob("step-*-*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def work_to_do(config: Config) -> Work:
    """What is left of a run after its newest checkpoint."""
    return work_left(config, steps_saved(path_of(config)))


def counted(states: Iterable[State]) -> str:
    """``3 done, 1 failed``."""
    count = Counter(states)
    return ", ".join(f"{count[state]} {state}" for state in State if count[state])
