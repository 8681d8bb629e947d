"""Write the last column of the table in docs/readings.md: the measured effect of each reading of the paper on test accuracy.

The numbers come from docs/results/readings/effects.csv, which `python -m pdenet_repro.report STUDY --publish` writes.
"""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "readings.md"
EFFECTS = ROOT / "docs" / "results" / "readings" / "effects.csv"
LINK = "results/readings/results.md#effects"


def published() -> list[dict[str, str]]:
    """Return the rows of the published effects, or none if nothing is published."""
    if not EFFECTS.is_file():
        return []
    with EFFECTS.open(newline="") as file:
        return list(csv.DictReader(file))


def with_effects(page: str, effects: list[dict[str, str]]) -> str:
    """Return the page with the effects of the variations that each row of its table names, or "not run yet"."""
    return "\n".join(_row(line, effects) for line in page.split("\n"))


def _row(line: str, effects: list[dict[str, str]]) -> str:
    cells = line.split(" | ")
    names = re.findall(r"`([^`]+)`", cells[-2]) if line.startswith("| ") and len(cells) == 7 else []
    if not names:
        return line
    found = {name: [_words(row) for row in effects if row["variation"] == name and row["difference"]] for name in names}
    one = len(names) == 1
    parts = [("" if one else f"{name}: ") + (" and ".join(words) or "not run yet") for name, words in found.items()]
    text = "; ".join(parts) if any(found.values()) else "not run yet"
    return " | ".join([*cells[:-1], f"[{text}]({LINK}) |" if any(found.values()) else f"{text} |"])


def _words(row: dict[str, str]) -> str:
    effect, low, high = (f"{100 * float(row[key]):+.2f}" if row[key] else "" for key in (
        "difference", "difference_95_low", "difference_95_high"))  # fmt: skip
    interval = f"{low} to {high}; " if low else ""
    return f"{effect} ({interval}{row['dynamic']}, {row['images']} images, {row['about']})"


def main() -> None:
    """Write the effects into the page."""
    PAGE.write_text(with_effects(PAGE.read_text(), published()))


if __name__ == "__main__":
    main()
