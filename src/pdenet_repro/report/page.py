"""Render a report as one web page that works offline, because it contains its pictures and styles."""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from pdenet_repro.report.analyses import Analysis, PageFigure
from pdenet_repro.report.content import SECTIONS, Content, warnings
from pdenet_repro.report.groups import counted
from pdenet_repro.report.tables import Row, number, percent
from pdenet_repro.system.formatting import duration
from pdenet_repro.version import __version__


def render(
    content: Content, figures: Sequence[PageFigure], analyses: Sequence[Analysis], unreadable: Sequence[str]
) -> str:
    """Return the HTML of the page; ``unreadable`` has a sentence for each analysis that cannot be shown."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html.j2").read_text("utf-8"))
    tables = [
        (name, heading, content.formatted[name], legend)
        for name, (heading, legend) in SECTIONS.items()
        if content.formatted[name]
    ]
    return template.render(
        version=__version__,
        content=content,
        warnings=warnings(content),
        tables=tables,
        runs=[_run(row) for row in content.rows["runs"]],
        figures=list(map(_picture, figures)),
        analyses=[{**vars(each), "pictures": list(map(_picture, each.pictures))} for each in analyses],
        unreadable=unreadable,
    )


def _picture(shown: PageFigure) -> dict[str, Any]:
    width, height = struct.unpack(">II", shown.png[16:24]) if len(shown.png) >= 24 else (1, 1)
    shape = "short" if width > 2.2 * height else "tall" if height > width else ""
    return {**vars(shown), "data": base64.b64encode(shown.png).decode(), "shape": shape}


def _run(row: Row) -> dict[str, Any]:
    """Return the headline of a run and, as formatted entries, what unfolds below it."""
    fold = "" if row["fold"] is None else f", fold {row['fold']}"
    formats = {
        "test_accuracy": percent(2), "train_accuracy": percent(2), "training_seconds": duration, "wall_seconds": duration,
        "images_per_second_median": number(1), "first_epoch_extra_seconds": duration,
    }  # fmt: skip
    known = {key: value for key, value in row.items() if value is not None and value != ""}
    words = {key.replace("_", " "): formats.get(key, str)(value) for key, value in known.items()}
    return {
        "line": f"{row['dynamic']}, {counted(row['images'], 'image')}, seed {row['seed']}{fold}: "
        f"{100 * row['test_accuracy']:.2f} %",
        "entries": words,
    }
