"""Writes and reads the plan of a study: all runs that its sweeps have had, so that status and report know which are missing.

``OUTPUT_ROOT/NAME/plan.json`` holds ``command``, the last sweep that was typed, and ``runs``, a list with an entry for each
run of this sweep and of those before: ``folder`` relative to the study, ``name`` for people, ``configuration`` as {dotted
key: value}, ``configuration_sha256``, the ``command`` of its last sweep, and ``planned``, the time of its first sweep.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from pdenet_repro.config.schema import Config, all_settings, value_of
from pdenet_repro.runs.folder import config_digest, path_of
from pdenet_repro.system.files import make_folder, read_mapping, write_atomically

NAME = "plan.json"


def study_of(config: Config) -> Path:
    """Return the folder of the study that a run belongs to."""
    return path_of(config).parents[2]


def names(configs: Sequence[Config]) -> dict[Path, str]:
    """Return the names of a sweep's runs for people, by run folder; if there are several studies, with the study's name."""
    several = len({config.name for config in configs}) > 1
    return {path_of(each): f"{each.name}, {each.short_name}" if several else each.short_name for each in configs}


def write_plans(configs: Sequence[Config], command: str) -> None:
    """Add the runs of a sweep to the plans of their studies; StorageError if a plan cannot be written."""
    for study in dict.fromkeys(map(study_of, configs)):
        make_folder(study)
        with ExitStack() as stack:
            with suppress(OSError):  # the file system has no locks, or the lock stayed taken for 60 s
                stack.enter_context(FileLock(study / ".plan.lock", timeout=60))  # two sweeps may start at once
            runs = {str(run["folder"]): run for run in planned_runs(study)}
            for config in configs:
                if study_of(config) == study:
                    entry = _entry(config, command)
                    known = runs.get(entry["folder"], {})
                    runs[entry["folder"]] = entry | {"planned": known.get("planned", entry["planned"])}
            plan = {"command": command, "runs": list(runs.values())}
            write_atomically(study / NAME, json.dumps(plan, indent=1) + "\n")


def planned_runs(study: Path) -> list[dict[str, Any]]:
    """Return the runs of a study's plan; none if the plan is missing or damaged. The next sweep replaces a damaged one."""
    try:
        runs = read_mapping(study / NAME)["runs"]
        return [run for run in runs if isinstance(run["folder"], str) and isinstance(run["name"], str)]
    except (KeyError, TypeError):
        return []


def _entry(config: Config, command: str) -> dict[str, Any]:
    return {
        "folder": path_of(config).relative_to(study_of(config)).as_posix(),
        "name": config.short_name,
        "configuration": {key: value_of(config, key) for key, _ in all_settings()},
        "configuration_sha256": config_digest(config),
        "command": command,
        "planned": datetime.now(UTC).isoformat(timespec="seconds"),
    }
