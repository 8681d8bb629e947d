"""Checks a configuration: each value against its allowed range, and the values against one another."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pdenet_repro.config import dynamics
from pdenet_repro.config.schema import IMAGE_SIDE, LONGEST_NAME, LONGEST_PATH, Config, all_settings, allowed, value_of
from pdenet_repro.system.errors import InvalidConfig


def fits(value: Any, rule: Any) -> bool:
    """Whether a value (of a list: one entry) is allowed by ``rule``, the metadata of its field in the schema."""
    if rule["choices"]:
        return value in rule["choices"]
    if isinstance(value, list | dict):  # as an entry of a list of numbers
        return False
    if not isinstance(value, int | float):
        return True
    return (
        math.isfinite(value)
        and (rule["low"] is None or value >= rule["low"])
        and (rule["high"] is None or value <= rule["high"])
        and (rule["above"] is None or value > rule["above"])
        and (rule["below"] is None or value < rule["below"])
    )


def check(config: Config) -> None:
    """Raise an error for a value outside its range, or for values that contradict one another.

    A user's own dynamic is not executed: its facts are parsed from the text of its file.

    Raises
    ------
    InvalidConfig
        The message is one sentence that names the key, the value and what is allowed.
    """
    for key, entry in all_settings():
        value = value_of(config, key)
        if value is None:
            continue
        if not all(fits(v, entry.metadata) for v in (value if isinstance(value, list) else [value])):
            raise InvalidConfig(f"{key}={value}: must be {allowed(entry)}")
    for complaint in _complaints(config):
        raise InvalidConfig(complaint)


def _complaints(config: Config) -> Iterator[str]:
    network, schedule = config.network, config.schedule
    facts = dynamics.facts_of(config.dynamic, config.dynamic_file)
    if not network.widths:
        yield "network.widths=[]: must name at least one unit's channels, like [16,64,128,256]"
    undivided = [width for width in network.widths if width % facts.layers]
    if undivided:
        yield (
            f"network.widths={network.widths}: must be multiples of {facts.layers} for dynamic={config.dynamic}, which divides "
            f"the channels among {facts.layers} layers; {undivided[0]} is not"
        )
    if network.memory == "reverse" and not facts.reversible:
        yield (
            f"network.memory=reverse: must be store, recompute or auto for dynamic={config.dynamic}, which cannot be run "
            f"backwards ({dynamics.reversible_names()} can)"
        )
    side = IMAGE_SIDE >> (len(network.widths) - 1)
    if network.widths and side < 2:
        most = IMAGE_SIDE.bit_length() - 1
        yield (
            f"network.widths={network.widths}: {len(network.widths)} units halve a {IMAGE_SIDE}-pixel image to nothing; "
            f"must be at most {most} units, which leave 2 pixels or more"
        )
    if schedule.milestones != sorted(schedule.milestones):
        yield f"schedule.milestones={schedule.milestones}: must be in ascending order"
    if config.evaluation.iterate == "best" and config.data.validation == 0:
        yield "evaluation.iterate=best: needs validation images; set data.validation, for example to 0.2"
    if config.evaluation.statistics != "running" and network.connector_norm != "batch":
        yield (
            f"evaluation.statistics={config.evaluation.statistics}: must be running for network.connector_norm="
            f"{network.connector_norm}, which keeps no statistics"
        )
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config.device):
        yield f"device={config.device}: must be auto, cpu, cuda or cuda:N"
    if config.device == "cpu" and config.precision == "tf32":
        yield "precision=tf32: must be float32, bfloat16 or float64 on device=cpu; tf32 is arithmetic of NVIDIA GPUs"
    yield from _lone_values(config)
    parts = config.name.split("/")
    if not all(re.fullmatch(r"[\w.+=-]+", part) and set(part) != {"."} for part in parts):
        yield f"name={config.name}: must be a folder name of letters, digits and . _ + = - (with / between levels)"
    if not re.fullmatch(r"[\w.+=-]*", config.variation):
        yield f"variation={config.variation}: must be letters, digits and . _ + = -, an ending of a folder's name"
    if not config.output_root:
        yield "output_root=: must name a folder"
    yield from _path_complaints(config)


def _path_complaints(config: Config) -> Iterator[str]:
    for key, path in (
        ("name", config.name),
        ("variation", config.variation),
        ("output_root", config.output_root),
        ("data.root", config.data.root or ""),
        ("dynamic_file", config.dynamic_file or ""),
    ):
        try:
            size, longest = len(path.encode()), max(len(part.encode()) for part in path.split("/"))
        except UnicodeEncodeError:
            yield f"{key}={os.fsencode(path)!r}: must be a name in UTF-8; this one cannot be written into a configuration"
            continue
        if longest > LONGEST_NAME:
            yield f"{key}={path[:40]}...: must have no part of more than {LONGEST_NAME} bytes between two /"
        if size > LONGEST_PATH:
            yield f"{key}={path[:40]}...: must have at most {LONGEST_PATH:,} bytes, has {size:,}"
        try:
            Path(path).expanduser()
        except RuntimeError:
            yield f"{key}={path}: there is no user {path[1:].split('/')[0]} here; must name a folder"


def _lone_values(config: Config) -> Iterator[str]:
    """Complaints about norms over a single value: their output is the same for every image."""
    network = config.network
    layers = dynamics.facts_of(config.dynamic, config.dynamic_file).layers
    if network.connector_norm == "batch_per_pixel":
        for key, size in (
            ("schedule.batch_size", config.schedule.batch_size),
            ("evaluation.batch_size", config.evaluation.batch_size),
        ):
            if size == 1:
                yield (
                    f"{key}=1: must be at least 2 for network.connector_norm=batch_per_pixel, which normalises over the "
                    f"images of a batch (recipe=authors has it)"
                )
    if network.norm == "channel" and network.widths and min(network.widths) // layers == 1:
        yield (
            f"network.widths={network.widths}: must be at least {2 * layers} for network.norm=channel with "
            f"dynamic={config.dynamic}, which normalises over the channels"
        )
    if network.connector_norm == "channel" and 1 in (*network.widths, network.last_width):
        yield "network.connector_norm=channel: must have 2 channels or more to normalise over, but a unit or last_width has 1"
