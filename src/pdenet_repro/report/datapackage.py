"""``datapackage.json``: the caption, columns and origin of each CSV file of a report.

Many programs cannot read a CSV file with comment lines, so the captions are in this separate file, in the format of a
Frictionless Data Package (https://specs.frictionlessdata.io/data-package/), which data tools read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdenet_repro.report.tables import Row

FILE = "datapackage.json"


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file, their meaning, the line about their runs, and their origin as (term, description) pairs."""

    rows: Sequence[Row]
    meaning: str
    line: str
    origin: Sequence[tuple[str, str]]


def data_package(title: str, tables: Mapping[str, Table]) -> str:
    """Return the JSON that describes ``NAME.csv`` for each table with rows (without rows, that file is empty)."""
    content = {
        "profile": "tabular-data-package",
        "name": "report",
        "title": title,
        "resources": [_resource(name, table) for name, table in tables.items() if table.rows],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _resource(name: str, table: Table) -> dict[str, Any]:
    return {
        "profile": "tabular-data-resource",
        "name": name.replace("_", "-"),
        "path": f"{name}.csv",
        "description": f"{table.meaning} {table.line}.",
        "schema": {
            "fields": [{"name": key, "type": _type([row[key] for row in table.rows])} for key in table.rows[0]],
            "missingValues": [""],
        },
        "sources": [{"title": f"{term}: {words}"} for term, words in table.origin],
    }


def _type(values: Sequence[Any]) -> str:
    known = {type(value) for value in values if value is not None}
    if known and known <= {int, float}:
        return "number" if float in known else "integer"
    return "string"
