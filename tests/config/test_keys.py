"""The keys of the command line, which scripts and saved configurations of users depend on, change only on purpose."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pdenet_repro import compose

FROZEN = Path(__file__).with_name("keys.txt")
RENEW = "python tests/config/test_keys.py"


def keys(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key, as a command writes it, in the order of the configuration."""
    for key, value in settings.items():
        yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]


def test_the_keys_of_the_command_line_are_the_frozen_ones():
    now, frozen = list(keys(asdict(compose()))), FROZEN.read_text().split()
    assert now == frozen, (
        f"gone: {sorted(set(frozen) - set(now))}; new: {sorted(set(now) - set(frozen))}. A key that goes or is renamed "
        f"breaks the commands of users and the run folders that they have: say so in CHANGELOG.md. Then renew {FROZEN.name} "
        f"with: {RENEW}"
    )


if __name__ == "__main__":
    FROZEN.write_text("".join(f"{key}\n" for key in keys(asdict(compose()))))
