"""Reads run folders below a folder into records."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdenet_repro.errors import RunFolderError
from pdenet_repro.run_folder import load_summary

ORDER = ("parabolic", "hamiltonian", "second_order", "resnet")  # of dynamics, in every table and picture


@dataclass(frozen=True)
class Run:
    """One run: its folder, its summary if it is finished, and a row for each epoch so far."""

    folder: Path
    summary: dict[str, Any] | None
    metrics: list[dict[str, str]]


def collect(folder: Path) -> list[Run]:
    """Every run at or below ``folder``, by dynamic, then path; RunFolderError if there is none."""
    paths = [path.parent for path in folder.rglob("command.txt") if (path.parent / "config.yaml").is_file()]
    if not paths:
        raise RunFolderError(f"{folder} holds no runs: no config.yaml with a command.txt is in it or below")
    runs = [Run(path, load_summary(path), _metrics(path / "metrics.csv")) for path in paths]
    return sorted(runs, key=lambda run: (_rank(run), run.folder))


def _rank(run: Run) -> int:
    dynamic = run.summary["dynamic"] if run.summary else ""
    return ORDER.index(dynamic) if dynamic in ORDER else len(ORDER)


def _metrics(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
