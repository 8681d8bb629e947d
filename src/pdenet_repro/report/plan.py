"""Find the runs of a study that gave no result, and why, from ``plan.json`` and the ``failure.json`` of runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdenet_repro.report.run import Run


@dataclass(frozen=True)
class Missing:
    """A run that was planned or begun and gave no result, and the reason; or a file or folder that cannot be read."""

    name: str
    folder: Path
    reason: str
    damaged: bool = False
    dynamic: str | None = None  # None if not known
    fraction: float | None = None  # None if not known
    variation: str = ""


def damage(path: Path, reason: str) -> Missing:
    """Return the record of a file or folder that is damaged or cannot be read."""
    return Missing(str(path), path, reason, damaged=True)


def failure_reason(folder: Path) -> str:
    """Return why the last attempt at a run failed, from its ``failure.json``; an empty string without one."""
    try:
        return f"failed: {json.loads((folder / 'failure.json').read_bytes())['reason']}"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, LookupError, TypeError):
        return "failed for an unknown reason: its failure.json is damaged"


def read_plan(study: Path, runs: Sequence[Run], missing: Sequence[Missing]) -> tuple[list[str], list[Missing]]:
    """Read a study's ``plan.json``; return its command, in a list, and the planned runs that ``runs`` and ``missing`` lack.

    A plan is ``{"command": ..., "runs": [{"folder": below the study, "name": ..., "configuration": {key: value}}]}``; runs of
    a published study may have a ``reason`` too. A planned run is recognised by its folder, or by its settings if it was moved.
    """
    path = study / "plan.json"
    try:
        plan = json.loads(path.read_bytes())
        planned = [_planned(study, entry) for entry in plan["runs"]]
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [
            damage(
                path,
                f"{path} cannot be read ({error.strerror}); which other runs were planned is not known",
            )
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"{path} is damaged ({type(error).__name__}: {error}); start its sweep again, or remove it"
        return [], [damage(path, reason)]
    there = {run.folder for run in runs} | {each.folder for each in missing}
    absent = [
        each
        for each, settings in planned
        if each.folder not in there and not any(_has_settings(run, settings) for run in runs)
    ]
    return [str(plan["command"])] if plan.get("command") else [], absent


def _planned(study: Path, entry: dict[str, Any]) -> tuple[Missing, dict[str, Any]]:
    folder, settings = study / str(entry["folder"]), dict(entry.get("configuration") or {})
    reason = entry.get("reason") or failure_reason(folder) or "planned, and not begun"
    fraction = settings.get("data.fraction")
    missing = Missing(
        str(entry.get("name") or entry["folder"]), folder, str(reason), dynamic=settings.get("dynamic"),
        fraction=None if fraction is None else float(fraction), variation=str(settings.get("variation") or ""),
    )  # fmt: skip
    return missing, settings


def _has_settings(run: Run, settings: dict[str, Any]) -> bool:
    known = {key: value for key, value in settings.items() if key in run.settings}
    return {"dynamic", "seed", "data.fraction"} <= set(known) and all(run.settings[k] == known[k] for k in known)
