"""The jobs that sweeps have submitted to SLURM: of which runs they are, and which of them still wait or run."""

import json
import os
import subprocess
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

JOB_NAME = "pdenet"
RECORD = "submitted.json"  # {job id: run folder} of one submission, in STUDY/jobs/SUBMISSION


def submitted_jobs(folders: Collection[Path]) -> dict[Path, str]:
    """The ids of the jobs that were submitted last for these run folders; folders without a job are left out."""
    jobs: dict[str, str] = {}
    for study in {folder.absolute().parents[2] for folder in folders}:
        for record in sorted(study.glob(f"jobs/*/{RECORD}"), key=lambda path: path.stat().st_mtime):
            with suppress(OSError, ValueError, AttributeError):  # another user's, or damaged
                jobs |= {str(folder): str(job) for job, folder in json.loads(record.read_text()).items()}
    return {folder: jobs[str(folder.absolute())] for folder in folders if str(folder.absolute()) in jobs}


def jobs_in_queue() -> dict[str, str] | None:
    """Jobs of this user that wait or run: {id: SLURM's word for that, as PENDING}; None where ``squeue`` does not answer."""
    words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={JOB_NAME}", "--format=%A %F_%K %T"]
    try:
        lines = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return {job: word for *ids, word in map(str.split, lines) for job in ids}
