"""Hold the result of an analysis (pictures, the tables they are drawn from, sentences) and write it to files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.report.files import save_figure
from pdenet_repro.report.tables import to_csv
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.files import make_folder, remove, write_atomically

Row = dict[str, Any]  # a row of a table: names of columns, with a unit of measurement if there is one, to values
LOW, HIGH = 10, 90  # percentiles that tables state and pictures show as edges of bands


def where(rows: Iterable[Row], **equal: Any) -> list[Row]:
    """Return the rows of a table in which each named column has the given value."""
    return [row for row in rows if all(row[name] == value for name, value in equal.items())]


def columns_of(rows: Sequence[Row], *names: str) -> list[list[Any]]:
    """Return the named columns of a table, each as a list."""
    return [[row[name] for row in rows] for name in names]


def joined(values: Iterable[Any], form: str = "") -> str:
    """Return the values in a format like ``.2f``, joined by commas."""
    return ", ".join(f"{value:{form}}" for value in values)


def plain(value: float) -> str:
    """Return a number with two significant digits and without an exponent, like 170."""
    return f"{float(f'{value:.2g}'):g}"


def quantiles(name: str, values: np.ndarray | None) -> Row:
    """Return columns of a table: percentile LOW, median and percentile HIGH of samples (n,); empty columns for None."""
    found = ("", "", "") if values is None else np.nanpercentile(values, [LOW, 50, HIGH]).tolist()
    return dict(zip((f"{name}_p{LOW}", f"{name}_median", f"{name}_p{HIGH}"), found, strict=True))


def extremes(name: str, values: np.ndarray) -> Row:
    """Return columns of a table: minimum, median and maximum of samples (n,)."""
    return {f"{name}_{part}": float(f(values)) for part, f in (("min", np.min), ("median", np.median), ("max", np.max))}


class DoesNotApply(InvalidConfig):
    """A kind of analysis applies to none of the networks; the command ``all`` then continues with the other kinds."""


@dataclass
class Picture:
    """A figure with its heading and its caption."""

    figure: Figure
    heading: str
    caption: str


@dataclass
class Result:
    """The result of one kind of analysis.

    ``pictures`` and ``tables`` are keyed by file name without suffix, which begins with the name of the kind. ``sentences``
    state the main results in words; they are printed and shown in the report.
    """

    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: dict[str, Sequence[Row]] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)


def write(result: Result, kind: str, folder: Path, **origin: Any) -> list[Path]:
    """Write pictures as PNG and PDF, tables as CSV, and last ``KIND.json``, which the report reads; return the PNG paths.

    Files of an older result of this kind that are not written again are deleted. ``origin`` holds further entries of the JSON,
    such as the command and the networks.
    """
    make_folder(folder)
    old = _files(folder / f"{kind}.json")
    for name, picture in result.pictures.items():
        save_figure(picture.figure, folder / name)
    for name, rows in result.tables.items():
        write_atomically(folder / f"{name}.csv", to_csv(rows))
    captions = {name: {"heading": each.heading, "caption": each.caption} for name, each in result.pictures.items()}
    content = {"kind": kind, "sentences": result.sentences, "pictures": captions, "tables": list(result.tables)}
    write_atomically(folder / f"{kind}.json", json.dumps(content | origin, indent=2) + "\n")
    for name in old - _files(folder / f"{kind}.json"):
        remove(folder / name)
    return [folder / f"{name}.png" for name in result.pictures]


def _files(path: Path) -> set[str]:
    """Return the file names of the pictures and tables that a JSON lists; an empty set if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
        names = [f"{name}{end}" for name in content["pictures"] for end in (".png", ".pdf")]
        names += [f"{name}.csv" for name in content["tables"]]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return {name for name in names if name.startswith(path.stem) and "/" not in name}
