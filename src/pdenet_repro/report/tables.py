"""Tables: rows of values for CSV files, and the same rows formatted as strings for Markdown, a terminal and the page."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.system.formatting import aligned

Row = Mapping[str, Any]
FormattedRow = Mapping[str, str]  # a formatted row: heading -> entry
Format = Callable[[Any], str]


@dataclass(frozen=True)
class Column:
    """A column of a formatted table: its heading, the keys whose values it shows (two: an interval), and their format."""

    heading: str
    keys: tuple[str, ...]
    write: Format

    def __call__(self, row: Row) -> str:
        """Return the formatted entry of a row, a dynamic by its label; empty if a value is missing."""
        values = [row.get(key) for key in self.keys]
        if any(value is None or value == "" for value in values):
            return ""
        return " to ".join(self.write(facts_of(value).label if isinstance(value, str) else value) for value in values)


def format_rows(rows: Sequence[Row], columns: Sequence[Column]) -> list[FormattedRow]:
    """Return the formatted rows, without the columns that are empty in every row."""
    formatted = [{column.heading: column(row) for column in columns} for row in rows]
    kept = [column.heading for column in columns if any(row[column.heading] for row in formatted)]
    return [{heading: row[heading] for heading in kept} for row in formatted]


def percent(digits: int) -> Format:
    """Return a format that writes a fraction as per cent."""
    return lambda share: f"{100 * share:.{digits}f}"


def points(digits: int) -> Format:
    """Return a format that writes a difference of fractions in percentage points, with its sign."""
    return lambda share: f"{100 * share:+.{digits}f}"


def number(digits: int) -> Format:
    """Return a format that writes a number with so many decimals."""
    return lambda value: f"{value:,.{digits}f}"


def probability(p: float) -> str:
    """Format a p-value."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def to_csv(rows: Sequence[Row]) -> str:
    """Return header and rows as CSV, None as an empty entry; an empty string without rows."""
    file = io.StringIO()
    if rows:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return file.getvalue()


def to_markdown(rows: Sequence[FormattedRow]) -> str:
    """Return a Markdown table."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *[list(row.values()) for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def to_text(rows: Sequence[FormattedRow]) -> str:
    """Return a table for a terminal."""
    return "\n".join(aligned([list(rows[0]), *[list(row.values()) for row in rows]], left=(0,))) if rows else ""
