"""Runs that a study plans and that gave no result: from the plan its sweep left, and from notes of failures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Run(Protocol):
    """What is asked of a finished run (`pdenet_repro.report.runs.Run`) here."""

    @property
    def folder(self) -> Path:
        """Its run folder."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting that can change its result."""


class Collection(Protocol):
    """What is asked of a study's runs (`pdenet_repro.report.runs.Collection`) here."""

    missing: "list[Missing]"
    commands: list[str]

    @property
    def runs(self) -> Sequence[Run]:
        """The finished ones."""


@dataclass(frozen=True)
class Missing:
    """A run that is planned or begun and gives no result: why."""

    name: str
    folder: Path
    reason: str
    damaged: bool = False
    dynamic: str | None = None  # where they are known
    fraction: float | None = None
    variation: str = ""


def failure_reason(folder: Path) -> str:
    """Why the last attempt at a run failed, from its ``failure.json``; empty without one."""
    try:
        return f"failed: {json.loads((folder / 'failure.json').read_text())['reason']}"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, LookupError, TypeError):
        return "failed for an unknown reason: its failure.json is damaged"


def not_begun(study: Path, found: Collection) -> None:
    """Add to ``found`` what the study's ``plan.json`` says: its command, and runs that left no run folder.

    A plan is ``{"command": ..., "runs": [{"folder": below the study, "name": ..., "configuration": {key: value}}]}``; a
    published study has a ``reason`` beside them. A run counts as there by its folder, or by its settings if it was moved.
    """
    path = study / "plan.json"
    try:
        plan = json.loads(path.read_text())
        planned = [_planned(study, entry) for entry in plan["runs"]]
    except FileNotFoundError:
        return
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror}); what else was planned is not known"
        found.missing.append(Missing(str(path), path, reason, damaged=True))
        return
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"{path} is damaged ({type(error).__name__}: {error}); start its sweep again, or remove it"
        found.missing.append(Missing(str(path), path, reason, damaged=True))
        return
    if plan.get("command"):
        found.commands.append(str(plan["command"]))
    there = {run.folder for run in found.runs} | {each.folder for each in found.missing}
    for missing, settings in planned:
        if missing.folder not in there and not any(_is(run, settings) for run in found.runs):
            found.missing.append(missing)


def _planned(study: Path, entry: dict[str, Any]) -> tuple[Missing, dict[str, Any]]:
    folder, settings = study / str(entry["folder"]), dict(entry.get("configuration") or {})
    reason = entry.get("reason") or failure_reason(folder) or "planned, and not begun"
    fraction = settings.get("data.fraction")
    missing = Missing(
        str(entry.get("name") or entry["folder"]), folder, str(reason), dynamic=settings.get("dynamic"),
        fraction=None if fraction is None else float(fraction), variation=str(settings.get("variation") or ""),
    )  # fmt: skip
    return missing, settings


def _is(run: Run, settings: dict[str, Any]) -> bool:
    known = {key: value for key, value in settings.items() if key in run.settings}
    return {"dynamic", "seed", "data.fraction"} <= set(known) and all(run.settings[k] == known[k] for k in known)
