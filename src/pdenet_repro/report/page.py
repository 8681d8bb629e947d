"""The report as one web page that needs no network: pictures and style are inside it."""

import base64
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from pdenet_repro.report.analyses import Analysis
from pdenet_repro.version import __version__


def render(title: str, figures: Mapping[str, tuple[str, bytes]], **content: Any) -> str:
    """The page; ``figures``: heading -> (caption, PNG)."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((Path(__file__).parent / "page.html.j2").read_text())
    pictures = [_picture(heading, caption, png) for heading, (caption, png) in figures.items()]
    return template.render(title=title, figures=pictures, version=__version__, **content)


def shown(analysis: Analysis) -> dict[str, Any]:
    """An analysis as the page's template has it."""
    return {**vars(analysis), "pictures": [_picture(*picture) for picture in analysis.pictures]}


def _picture(heading: str, caption: str, png: bytes) -> dict[str, Any]:
    width, height = struct.unpack(">II", png[16:24]) if len(png) >= 24 else (1, 1)
    return {
        "heading": heading,
        "caption": caption,
        "data": base64.b64encode(png).decode(),
        "shape": "short" if width > 2.2 * height else "tall" if height > width else "",
    }


def without(rows: Sequence[Mapping[str, str]], *columns: str) -> list[dict[str, str]]:
    """Rows without some of their columns, and without those that are empty in every row."""
    kept = [name for name in (rows[0] if rows else {}) if name not in columns and any(row[name] for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]
