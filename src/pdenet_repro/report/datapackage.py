"""``datapackage.json``: the caption, columns and origin of each CSV file of a report.

A comment line inside a CSV file stops many readers, so the captions stand in a file beside them, in the form of a
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
    """The rows of a CSV file, what they are, the line about their runs, and where they come from."""

    rows: Sequence[Row]
    meaning: str
    line: str
    origin: Sequence[tuple[str, str]]


def data_package(title: str, tables: Mapping[str, Table]) -> str:
    """The JSON that describes ``NAME.csv`` for each table by name; the file of a table without rows is empty, and left out."""
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
