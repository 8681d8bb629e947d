"""Formats durations and tables for people."""

from collections.abc import Collection, Sequence


def duration(seconds: float) -> str:
    """Return seconds as ``2:03``, as ``1:02:03``, or from two days on as ``13 days 3 h``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """Return the rows of a table as lines; the columns 0, 1, ... in ``left`` are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
