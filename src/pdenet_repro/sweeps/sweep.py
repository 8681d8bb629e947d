"""Many runs: which ones a sweep needs, which of them are done, and what is made of them when it ends.

Hydra multiplies the choices and launches the jobs, here or on a cluster. What it does not know is a run folder: a sweep
that is started again skips what is finished, goes on with what was interrupted and tries again what failed.
"""

import json
import multiprocessing
import os
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import compress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pdenet_repro.config import compose
from pdenet_repro.config.schema import Config, knobs, value_of
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.system import console, device, lock, signals
from pdenet_repro.system.errors import InvalidConfig, OtherConfiguration, RunFolderBusy, RunFolderError, UserError
from pdenet_repro.system.files import make_folder

to_launch: list[bool] = []  # of the runs of a sweep, in the sweeper's order
WATCH_SECONDS = 5.0
refusals: list[UserError] = []  # what ended the one run of a command; Hydra would report an exception by itself
failures: dict[Path, Exception] = {}  # of the runs of a sweep in this process: a full disk keeps no word of its own
RUNS = "PDENET_SWEEP_RUNS"  # environment variable, handed down to the jobs wherever they run

JOBLIB_TRACKERS = ("multiprocessing.resource_tracker", "joblib.externals.loky.backend.resource_tracker")


class State(StrEnum):
    """How far a run has come, read off its folder."""

    DONE = "done"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TO_DO = "to do"


@dataclass(frozen=True)
class Standing:
    """A run's state, with why it failed and the exit code of that."""

    config: Config
    state: State
    reason: str = ""
    exit_code: int = 0


def standing(config: Config) -> Standing:
    """Where a run stands; one whose folder is damaged, or holds another configuration, counts as failed."""
    folder = RunFolder(config)
    try:
        if folder.finished():
            return Standing(config, State.DONE)
    except RunFolderError as error:
        return Standing(config, State.FAILED, str(error), error.exit_code)
    if lock.held(folder.path):
        reason = f"{folder.path} is being trained by another process"
        return Standing(config, State.RUNNING, reason, RunFolderBusy.exit_code)
    try:
        failure = json.loads((folder.path / "failure.json").read_text())
        return Standing(config, State.FAILED, str(failure["reason"]), int(failure["exit_code"]))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return Standing(config, State.FAILED, "of an unknown reason: its failure.json is damaged", 1)
    if any((folder.path / "checkpoints").glob("step-*.safetensors")):
        return Standing(config, State.INTERRUPTED, "interrupted", signals.Interrupted.exit_code)
    return Standing(config, State.TO_DO, "nothing of it is saved", 1)


def configurations(words: Sequence[str]) -> list[Config]:
    """The configuration of every run that the words of a command ask for, in the order in which they are launched.

    Everything about them that can be refused is refused here, before the first one starts.

    Raises
    ------
    InvalidConfig
        A value that is not allowed in one of the runs, or two runs that would share a folder.
    OtherConfiguration
        A folder that holds a run of another configuration.
    """
    from pdenet_repro.runs.run import refuse_nonsense

    configs = compose.compose_sweep([word for word in words if not word.startswith("-")])
    for config in configs:
        refuse_nonsense(config)
    _refuse_shared_folders(configs)
    for config in configs:
        try:
            RunFolder(config).finished()
        except OtherConfiguration:
            raise
        except RunFolderError:
            pass  # a damaged run: the sweep names it and does the others
    return configs


def _refuse_shared_folders(configs: Sequence[Config]) -> None:
    first: dict[Path, Config] = {}
    for config in configs:
        other = first.setdefault(path_of(config), config)
        if other is config:
            continue
        keys = [key for key, _ in knobs() if value_of(config, key) != value_of(other, key)]
        if keys:
            raise InvalidConfig(
                f"two runs of this sweep would share {path_of(config)}: they differ in {', '.join(keys)}; give each a "
                f"folder, for example with name='sweep/{'-'.join('${' + key + '}' for key in keys)}'"
            )


def job(composed: DictConfig) -> None:
    """What Hydra launches, in this process or in another: one run."""
    from pdenet_repro.runs.run import run

    compose.register()
    signals.stop_with_command()
    device.see_shown_gpus()
    if multiprocessing.current_process().name != "MainProcess":
        console.outlive_readers()
    hydra: Any = HydraConfig.instance().cfg
    number = OmegaConf.select(hydra, "hydra.job.num")
    if number is not None:
        _one_of_many(compose.to_config(composed), number)
        return
    try:
        run(compose.to_config(composed))
    except UserError as error:
        refusals.append(error)


def _one_of_many(config: Config, number: int) -> None:
    """A run of a sweep. A failure is shown, noted in its folder, and ends it only; a signal ends the sweep."""
    from pdenet_repro.runs.run import run

    stop, go_on = signals.stop_request, "the same command goes on from there"
    stop.leave_if_asked(f"before the run {config.short_name}; {go_on}")
    print(f"\n[{number + 1} of {os.environ.get(RUNS, '?')}] {config.short_name}", flush=True)
    try:
        run(config)
    except UserError as error:
        failures[path_of(config)] = error
        print(error, file=sys.stderr, flush=True)
    except signals.Interrupted as stopped:
        signals.queue_again()
        if signals.EXECUTOR == "local":
            print(stopped, file=sys.stderr, flush=True)  # into the job's own file
        if signals.EXECUTOR == "local" or signals.orphaned():
            os._exit(stopped.exit_code)  # nobody else is to be told
        raise
    except Exception as error:
        failures[path_of(config)] = error
        traceback.print_exception(error)  # ours to mend, not the user's; the other runs go on
    if signals.EXECUTOR is None:  # a job of a cluster is over
        stop.leave_if_asked(f"after the run {config.short_name}; {go_on}")


def prepare(configs: Sequence[Config]) -> bool:
    """Find the runs to launch, and read the data that they will read, so that what is wrong with those is said once.

    False if there is nothing to launch: every run is done, or another process is at it. StorageError where a study has
    no folder and none can be made.
    """
    from pdenet_repro.data import source

    failures.clear()
    to_launch[:] = [standing(config).state not in (State.DONE, State.RUNNING) for config in configs]
    missing = list(compress(configs, to_launch))
    os.environ[RUNS] = str(len(missing))
    for data in {
        (config.data.name, config.data.root, config.data.fold is None): config.data for config in missing
    }.values():
        source.load(data, print)
    for folder in dict.fromkeys(path_of(config).parents[2] for config in missing):
        make_folder(folder)  # what cannot be written is said now, and once
    print(f"{len(missing)} of {len(configs)} runs to do", flush=True)
    return bool(missing)


@contextmanager
def launching(launcher: str, configs: Sequence[Config], words: Sequence[str]) -> Iterator[None]:
    """While a launcher is at work: what a signal does then, and what is said where others train than this process."""
    stopped = "the runs save and leave; the same command goes on"
    if launcher == "basic":
        with signals.stop_request as stop:
            yield
            stop.leave_if_asked("after the last run; the same command draws figures and report")
    elif launcher == "joblib":
        with signals.leaving_at_once(stopped), signals.starting_workers(*JOBLIB_TRACKERS):
            yield
    else:
        jobs = compose.sweep_folder([word for word in words if not word.startswith("-")]) / "jobs"
        if launcher == "processes":
            with signals.leaving_at_once(stopped), signals.starting_workers(), _watching(configs, jobs):
                device.show_gpus_to_jobs()
                yield
        else:
            stopped = "its jobs go on; the same command later submits what is missing and reports"
            with signals.leaving_at_once(stopped), _watching(configs, jobs):
                yield


@contextmanager
def _watching(configs: Sequence[Config], jobs: Path) -> Iterator[None]:
    """Jobs print into files of their own: say where those are, and how many runs are done."""
    stopped = threading.Event()

    def watch() -> None:
        known: Counter[State] = Counter()
        while not stopped.wait(WATCH_SECONDS):
            count = Counter(state_at_a_glance(config) for config in configs)
            if count != known:
                print(", ".join(f"{count[state]} {state}" for state in State if count[state]), flush=True)
                known = count

    print(f"submitting; each job prints into {jobs}", flush=True)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def state_at_a_glance(config: Config) -> State:
    """The state by the files that are there, none of them opened."""
    folder = path_of(config)
    if (folder / "summary.json").exists():
        return State.DONE
    if (folder / "running.json").exists():
        return State.RUNNING
    return State.FAILED if (folder / "failure.json").exists() else State.TO_DO


def conclude(configs: Sequence[Config]) -> int:
    """Draw figures and report from what is there, name the gaps; returns the exit code of the sweep."""
    from pdenet_repro.report.runs import Missing
    from pdenet_repro.report.write import write_report

    standings = [_remembered(standing(config)) for config in configs]
    count = Counter(each.state for each in standings)
    print(f"\n{count[State.DONE]} of {len(configs)} runs are done", flush=True)
    missing = [each for each in standings if each.state is not State.DONE]
    code = missing[0].exit_code or 1 if missing else 0
    for folder in dict.fromkeys(path_of(each.config).parents[2] for each in standings if each.state is State.DONE):
        here = [each for each in missing if path_of(each.config).parents[2] == folder]
        gaps = [Missing(each.config.short_name, path_of(each.config), f"{each.state}: {each.reason}") for each in here]
        try:
            write_report(folder, gaps=gaps)
        except UserError as error:  # the other studies have reports too, and what is missing is still to be named
            print(error, file=sys.stderr)
            code = code or error.exit_code
    for each in missing:
        print(f"{each.state}: {each.config.short_name}: {each.reason}", file=sys.stderr)
    if missing:
        print(f"{len(missing)} of {len(configs)} runs are missing; the same command tries again", file=sys.stderr)
    return code


def _remembered(found: Standing) -> Standing:
    """With the failure that this process saw and the run's folder may know nothing of."""
    error = failures.get(path_of(found.config))
    if error is None or found.state not in (State.TO_DO, State.INTERRUPTED):
        return found
    return replace(found, state=State.FAILED, reason=str(error), exit_code=getattr(error, "exit_code", 1))
