"""What an analysis leaves: pictures, the numbers they are drawn from, and a few sentences; written and read again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pdenet_repro.report.files import save
from pdenet_repro.report.tables import to_csv
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.files import make_folder, remove, write_atomically


class DoesNotApply(InvalidConfig):
    """None of the networks is one that this kind of analysis asks about; ``all`` goes on without it."""


@dataclass
class Picture:
    """A figure, and what it shows in words."""

    figure: Figure
    heading: str
    caption: str


@dataclass
class Result:
    """The outcome of one kind of analysis.

    ``pictures`` and ``tables`` are by file name, which begins with the kind; rows of a table are named numbers, their
    units in the names. ``sentences`` say what was found: printed, and put into the report.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)


def write(result: Result, kind: str, folder: Path, **origin: Any) -> list[Path]:
    """Pictures as PNG and PDF, tables as CSV, and ``KIND.json`` for the report, last; returns the PNGs.

    ``origin``: what the kind is about, where the result comes from (command, networks), kept in the JSON, which
    ``report/analyses.py`` reads.
    """
    make_folder(folder)
    old = _files(folder / f"{kind}.json")
    for name, picture in result.pictures.items():
        save(picture.figure, folder / name)
    for name, rows in result.tables.items():
        write_atomically(folder / f"{name}.csv", to_csv(rows))
    captions = {name: {"heading": each.heading, "caption": each.caption} for name, each in result.pictures.items()}
    content = {"kind": kind, "sentences": result.sentences, "pictures": captions, "tables": list(result.tables)}
    write_atomically(folder / f"{kind}.json", json.dumps(content | origin, indent=2) + "\n")
    for name in old - _files(folder / f"{kind}.json"):
        remove(folder / name)
    return [folder / f"{name}.png" for name in result.pictures]


def _files(path: Path) -> set[str]:
    """Names of the pictures and tables of a result, by its JSON; none where that is missing or damaged."""
    try:
        content = json.loads(path.read_text())
        names = [f"{name}{end}" for name in content["pictures"] for end in (".png", ".pdf")]
        names += [f"{name}.csv" for name in content["tables"]]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return {name for name in names if name.startswith(path.stem) and "/" not in name}
