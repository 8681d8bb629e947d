"""A study on a real SLURM of one node, disturbed in the middle: it ends as the same study in one process does, byte for byte.

Needs root and Debian's slurm-wlm and munge (scripts/install_test_tools.sh); skipped without.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import end, wait_until

from pdenet_repro.sweeps.state import State
from pdenet_repro.sweeps.status import status

SCRIPT = Path(__file__).parents[2] / "scripts" / "one_node_slurm.sh"
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="SLURM's daemons need root"),
]

STUDY = (
    "-m", "data=shapes", "network=tiny", "network.widths=[2]", "network.steps=1", "network.connector_norm=instance",
    "evaluation.every=0", "schedule=demo", "schedule.epochs=6", "dynamic=parabolic,hamiltonian", "data.fraction=0.1",
    "device=cpu", "checkpoint.seconds=0.5", "name=study",
)  # fmt: skip
SLURM = (
    "launcher=slurm", "launcher.gpus_per_node=0", "launcher.cpus_per_task=1", "launcher.mem_gb=3",
)  # fmt: skip
SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")


@pytest.fixture(scope="module")
def slurm():
    # Not below pytest's own temporary folder, which is closed to the user that munged runs as.
    with tempfile.TemporaryDirectory(prefix="pdenet-slurm-") as folder:
        try:
            subprocess.run([SCRIPT, "start", folder], check=True)
            yield {"SLURM_CONF": f"{folder}/slurm.conf"}
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True)


def start(folder, *words, **environment):
    # One thread everywhere: sums in float32 depend on how many there are.
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "pdenet_repro", *STUDY, *words], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def runs(folder):
    return {name: folder / "outputs/study" / name / "fraction-0.10/seed-0" for name in ("parabolic", "hamiltonian")}


def contents(folder):
    return {name: [(path / file).read_bytes() for file in SAME] for name, path in runs(folder).items()}


def job_of(path):
    """The SLURM job that trains in a run folder, by what the newest submission has recorded."""
    records = sorted(path.parents[2].glob("jobs/*/submitted.json"), key=lambda record: record.stat().st_mtime)
    (found,) = [job for job, folder in json.loads(records[-1].read_text()).items() if folder == str(path)]
    return found


def kill(path):
    """Kill the process that trains in a run folder, as SLURM does seconds after SIGTERM: by then a run may have ended."""
    with suppress(FileNotFoundError, ProcessLookupError):  # SLURM was faster
        os.kill(json.loads((path / "running.json").read_text())["process"], signal.SIGKILL)


def cancel_all(slurm):
    """End all jobs; a job holds its run folder until it is gone."""
    environment = os.environ | slurm
    subprocess.run(["scancel", "--user=root"], env=environment, check=True)
    squeue = ["squeue", "--noheader"]
    wait_until(lambda: not subprocess.run(squeue, env=environment, capture_output=True, check=True).stdout)


def test_preempted_and_signalled_jobs_are_queued_again_and_end_in_the_same_bytes(tmp_path, slurm):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    long = "schedule.epochs=20"  # a short run may end before the order to stop it reaches it
    code, _, err = end(start(tmp_path / "here", long))
    assert code == 0, err

    process, there = start(tmp_path / "there", *SLURM, long, **slurm), runs(tmp_path / "there")
    try:
        for name, order in (("parabolic", ["scontrol", "requeue"]), ("hamiltonian", ["scancel", "--signal=USR2"])):
            wait_until(lambda path=there[name]: list(path.glob("checkpoints/step-*")), process)
            subprocess.run([*order, job_of(there[name])], env=os.environ | slurm, check=True)
            if name == "parabolic":
                kill(there[name])
        code, out, err = end(process)
    finally:
        process.kill()
        cancel_all(slurm)
    assert code == 0, err
    assert "2 of 2 runs are done" in out
    for path in there.values():
        assert "continuing from the checkpoint" in (path / "run.log").read_text()
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_command_that_is_killed_finds_its_jobs_again(tmp_path, slurm, monkeypatch):
    process, paths = start(tmp_path, *SLURM, "schedule.epochs=4", "launcher.n=1", **slurm), runs(tmp_path)
    wait_until(lambda: any(list(path.glob("checkpoints/step-*")) for path in paths.values()), process)
    process.kill()
    process.communicate()
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    waiting = [run for run in status(tmp_path / "outputs/study") if run.state is State.QUEUED]
    assert [run.note for run in waiting] == [f"job {job_of(run.folder)} is pending" for run in waiting]
    assert len(waiting) == 1
    code, out, err = end(start(tmp_path, *SLURM, "schedule.epochs=4", **slurm))
    assert code == 0, err
    assert "have jobs in the queue already" in out
    assert len(list(tmp_path.glob("outputs/study/jobs/*"))) == 1
    assert "2 of 2 runs are done" in out
    assert (tmp_path / "outputs/study/report.html").is_file()
    (submission,) = tmp_path.glob("outputs/study/jobs/*")
    assert submission.stat().st_mode & 0o077 == 0
    typed = "python -m pdenet_repro -m data=shapes"
    assert all((path / "command.txt").read_text().startswith(typed) for path in paths.values())


def test_a_job_that_is_cancelled_is_given_up_alone(tmp_path, slurm):
    process, paths = start(tmp_path, *SLURM, "schedule.epochs=10", **slurm), runs(tmp_path)
    wait_until(lambda: list(paths["parabolic"].glob("checkpoints/step-*")), process)
    subprocess.run(["scancel", job_of(paths["parabolic"])], env=os.environ | slurm, check=True)
    kill(paths["parabolic"])
    code, out, err = end(process)
    assert code == 1
    assert "1 of 2 runs are done" in out
    assert "failed: parabolic, fraction 0.1, seed 0: its job" in err
    assert "Traceback" not in err
    code, out, err = end(start(tmp_path, *SLURM, "schedule.epochs=10", **slurm))
    assert code == 0, err
    assert "2 of 2 runs are done" in out
