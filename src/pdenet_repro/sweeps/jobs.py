"""The jobs that sweeps have submitted to SLURM: of which runs they are, and which of them still wait or run."""

import json
import os
import subprocess
from pathlib import Path

JOB_NAME = "pdenet"
RECORD = "submitted.json"  # {job id: run folder} of one submission, in STUDY/jobs/SUBMISSION


def submitted_jobs(study: Path) -> dict[Path, str]:
    """The id of the last job that was submitted for each run of a study, by the absolute path of the run folder."""
    jobs: dict[Path, str] = {}
    for record in sorted(study.glob(f"jobs/*/{RECORD}"), key=lambda path: path.stat().st_mtime):
        try:
            jobs |= {Path(folder): str(job) for job, folder in json.loads(record.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # another user's, or damaged
    return jobs


def jobs_in_queue() -> dict[str, str] | None:
    """Jobs of this user that wait or run: {id: SLURM's word for that, as PENDING}; None where ``squeue`` does not answer."""
    words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={JOB_NAME}", "--format=%A %F_%K %T"]
    try:
        lines = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return {job: word for *ids, word in map(str.split, lines) for job in ids}
