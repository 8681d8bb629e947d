"""Launchers, which start the runs of a sweep, and their settings, which belong to the sweep and not to its runs.

An example of the command line is ``launcher=local launcher.n=4``; ``--help`` explains every key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from pdenet_repro.config import compose
from pdenet_repro.config.argument_errors import no_such_key, set_value
from pdenet_repro.config.check import fits
from pdenet_repro.config.schema import all_settings, allowed, setting
from pdenet_repro.system.errors import InvalidConfig


@dataclass
class Serial:
    """One run after the other."""

    give_up_after: int | None = setting(
        "start no more runs when the first so many all failed for the same reason; null: start all", None, low=1
    )


@dataclass
class Local(Serial):
    """Several runs at a time on this machine: each has its share of the cores, and with device=auto a GPU of its own."""

    n: int = setting(
        "runs at a time; choose as many as there are GPUs, or as fit into memory (7 GiB for a paper network)", 2, low=1
    )


@dataclass
class Slurm(Serial):
    """Each run is a job of a SLURM cluster, through submitit; the nodes must share the data and output_root."""

    partition: str | None = setting("partition of the cluster; null: its default", None)
    account: str | None = setting("account that is charged", None)
    qos: str | None = setting("quality of service", None)
    constraint: str | None = setting("features a node must have, for example h100", None)
    exclude: str | None = setting("nodes to avoid", None)
    timeout_min: int = setting("time limit of a job, minutes; it then saves, is queued again and continues", 60, low=1)
    max_num_timeout: int = setting("how often a job may reach its limit", 100, low=0)
    signal_delay_s: int = setting("seconds before the limit at which a job is told to save", 120, low=1)
    n: int = setting("jobs at a time", 16, low=1)
    gpus_per_node: int | None = setting("GPUs of a job; 0 on a cluster without GPUs", 1, low=0)
    cpus_per_task: int | None = setting("CPU cores of a job; more help only on a cluster without GPUs", 4, low=1)
    mem_gb: int | None = setting("memory of a job, GB", 16, low=1)
    gres: str | None = setting("generic resources of a job", None)
    comment: str | None = setting("comment of the job", None)
    setup: list[str] = setting("shell commands before each job, for example ['module load cuda']", list)
    additional_parameters: dict[str, Any] = setting("further sbatch options, for example {mail-type: FAIL}", dict)


LAUNCHERS: dict[str, type[Serial]] = {"serial": Serial, "local": Local, "slurm": Slurm}


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments into those for the runs and those for their launcher (``launcher=...``, ``launcher.key=...``)."""
    ours = [argument for argument in arguments if argument.partition("=")[0].split(".")[0] == "launcher"]
    return [argument for argument in arguments if argument not in ours], ours


def launcher_of(arguments: Sequence[str]) -> Serial:
    """Return the launcher with its settings from arguments ``launcher=...`` and ``launcher.key=value``; default: `Serial`.

    Raises
    ------
    InvalidConfig
        The message is one sentence that names the key, the value and what is allowed.
    """
    names = [argument.partition("=")[2] for argument in arguments if argument.startswith("launcher=")]
    name = names[-1] if names else "serial"
    if name not in LAUNCHERS:
        raise InvalidConfig(f"launcher={name}: must be one of {', '.join(LAUNCHERS)}")
    entries, chosen = dict(all_settings(LAUNCHERS[name])), OmegaConf.structured(LAUNCHERS[name])
    for argument in arguments:
        key = argument.partition("=")[0].removeprefix("launcher").removeprefix(".")
        if not key:
            continue
        if key not in entries:
            having = [f"launcher={other}" for other in LAUNCHERS if key in dict(all_settings(LAUNCHERS[other]))]
            if having:
                raise InvalidConfig(f"{argument}: launcher={name} has no {key}; add {' or '.join(having)}")
            raise InvalidConfig(no_such_key(f"launcher.{key}", [f"launcher.{known}" for known in entries]))
        override = compose.parse(argument)
        if override.is_sweep_override():
            raise InvalidConfig(f"{argument}: must be one value; all runs of a sweep go through the same launcher")
        set_value(chosen, key, override.value(), argument, LAUNCHERS[name])
        if chosen[key] is not None and not fits(chosen[key], entries[key].metadata):
            raise InvalidConfig(f"{argument}: must be {allowed(entries[key])}")
    launcher: Any = OmegaConf.to_object(chosen)
    assert isinstance(launcher, Serial)
    return launcher
