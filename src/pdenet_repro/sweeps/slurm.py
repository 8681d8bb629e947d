"""Launches the runs of a sweep as jobs of a SLURM cluster, through submitit.

Each submission has a folder that only its user can read, with a name that nobody can guess, because submitit's jobs unpickle
the files there. The state of a run is read from the run's folder, and ``squeue`` says which jobs still exist: neither results
that submitit pickles nor SLURM's accounting are needed. A job that is preempted or reaches its time limit saves, is queued
again and continues. The ids of the jobs are saved, so that the next command waits for those that are still queued.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pdenet_repro.config.launchers import Slurm
from pdenet_repro.config.schema import Config
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps.launch import Failures
from pdenet_repro.sweeps.plan import study_of
from pdenet_repro.sweeps.state import JOB_NAME, SUBMITTED, State, counted, jobs_in_queue, state_of, submitted_jobs
from pdenet_repro.sweeps.worker import run_with_exit_code
from pdenet_repro.system import console, signals
from pdenet_repro.system.errors import InvalidConfig, UserError
from pdenet_repro.system.files import make_folder, write_atomically

POLL = 5.0  # seconds between two readings of the queue and the run folders
GRACE = 30.0  # seconds after which the last files of an ended job must have arrived through a network file system


class Job:
    """The callable that a job executes: it trains one run. Preempted or out of time it saves, and submitit queues it again."""

    def __call__(self, config: Config, command: str) -> int:
        """Train the run and return its exit code; the run's folder says why it failed."""
        console.ignore_failed_output()
        requeue = getattr(signal, "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"))
        signals.stop_request.signals = (requeue,)  # at preemption SIGTERM comes first, which submitit ignores
        with signals.stop_request as stop:
            code, reason = run_with_exit_code(config, command)
        if code == signals.Interrupted.exit_code:
            print(reason, file=sys.stderr, flush=True)
        if stop.received == requeue.name:
            signal.raise_signal(requeue)  # submitit's own handler queues the job again and ends the process
        return code

    def checkpoint(self, config: Config, command: str) -> object:
        """Return what submitit is to queue again: the same run."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, config, command)


def launch(configs: Sequence[Config], launcher: Slurm, command: str, failures: Failures) -> None:
    """Submit every run that has no job in the queue, and wait until all jobs have ended.

    Raises
    ------
    InvalidConfig
        submitit or SLURM is missing, or refuses the settings.
    Interrupted
        A stop signal came; the jobs continue.
    """
    if shutil.which("squeue") is None:
        raise InvalidConfig("launcher=slurm: needs SLURM, and there is no squeue here; run it on a login node")
    with signals.stop_request as stop:
        queue, jobs = jobs_in_queue(), submitted_jobs(list(map(path_of, configs)))
        jobs = {path: job for path, job in jobs.items() if queue is None or job in queue}
        new = [c for c in configs if path_of(c) not in jobs and state_of(c).state is not State.RUNNING]
        if jobs:
            print(f"{len(jobs)} runs have jobs in the queue already", flush=True)
        if new:
            jobs |= _submit(new, launcher, command)
        _wait({path_of(config): config for config in configs}, jobs, failures, stop)
        if stop.received:
            raise signals.Interrupted(
                f"stopped by {stop.received}: the jobs continue; the same command waits for them, and reports"
            )


def _submit(configs: Sequence[Config], launcher: Slurm, command: str) -> dict[Path, str]:
    """Submit the runs as an array of jobs and return the id of each job by its run's folder."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise InvalidConfig("launcher=slurm: needs submitit, which is not installed; pip install submitit") from error
    place = Path("jobs") / secrets.token_hex(16)
    for study in dict.fromkeys(map(study_of, configs)):
        make_folder(study / "jobs")
        (study / place).mkdir(mode=0o700)
    folder = study_of(configs[0]).absolute() / place
    print(f"submitting {len(configs)} jobs, which print into {folder}", flush=True)
    # settings that submitit gets below, under other names, or not at all
    renamed = ("give_up_after", "max_num_timeout", "mem_gb", "n", "timeout_min")
    parameters = {k: value for k, value in vars(launcher).items() if value not in (None, [], {}) and k not in renamed}
    if launcher.mem_gb:
        parameters["mem"] = f"{launcher.mem_gb}GB"
    try:
        executor = SlurmExecutor(folder, max_num_timeout=launcher.max_num_timeout)
        executor.update_parameters(
            job_name=JOB_NAME, time=launcher.timeout_min, array_parallelism=launcher.n, nodes=1, ntasks_per_node=1, **parameters
        )  # fmt: skip
        found = executor.map_array(Job(), configs, [command] * len(configs))
    except Exception as error:  # sbatch failed, or a check of submitit
        raise InvalidConfig(f"launcher=slurm: cannot submit: {' '.join(str(error).split())[-300:]}") from error
    jobs = {path_of(config): job.job_id for config, job in zip(configs, found, strict=True)}
    for study in dict.fromkeys(map(study_of, configs)):
        record = {job: str(path.absolute()) for path, job in jobs.items() if study in path.parents}
        write_atomically(study / place / SUBMITTED, json.dumps(record, indent=1) + "\n")
    return jobs


def _wait(
    configs: dict[Path, Config], jobs: dict[Path, str], failures: Failures, stop: signals.StopRequest
) -> None:  # fmt: skip
    """Wait until every job has left the queue and its run's folder has the outcome, or until a stop signal comes."""
    states = {path: state_of(config).state for path, config in configs.items()}
    said, gone, left = "", dict[Path, float](), set(jobs)
    while left and not stop.received:
        queue = jobs_in_queue()
        for path in sorted(left):
            _refresh(path)
            found = state_of(configs[path])
            states[path] = found.state
            if queue is None or jobs[path] in queue:
                gone.pop(path, None)  # its job waits or runs, perhaps queued again
                if queue and found.state not in (State.DONE, State.RUNNING):
                    states[path] = State.QUEUED
            elif found.state in (State.DONE, State.FAILED):
                left.remove(path)
                failures.record(configs[path], found.reason)
            elif time.monotonic() - gone.setdefault(path, time.monotonic()) > GRACE:
                left.remove(path)
                reason = f"its job {jobs[path]} ended before the run did, cancelled or lost"
                failures.record(configs[path], reason)
                if found.state is not State.RUNNING:
                    states[path] = State.FAILED
                    RunFolder(configs[path]).record_failure(UserError(reason))
        if (count := counted(states.values())) != said:
            print(count, flush=True)
            said = count
        if failures.give_up and left:
            subprocess.run(["scancel", "--state=PENDING", *(jobs[path] for path in left)], capture_output=True)
        until = time.monotonic() + POLL
        while left and not stop.received and time.monotonic() < until:
            time.sleep(0.2)


def _refresh(path: Path) -> None:
    """Make a network file system look for new files of a run: it asks its server when a folder is listed."""
    for folder in (path.parents[1], path.parent, path):
        try:
            os.listdir(folder)
        except OSError:
            return
