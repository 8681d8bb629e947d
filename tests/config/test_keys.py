"""What a command line may hold, on which users' scripts and saved configurations depend, changes only on purpose."""

from collections.abc import Iterator
from pathlib import Path

from pdenet_repro.config import presets
from pdenet_repro.config.compose import PAIR
from pdenet_repro.config.launchers import LAUNCHERS
from pdenet_repro.config.schema import all_settings

FROZEN = Path(__file__).with_name("keys.txt")
RENEW = "python tests/config/test_keys.py"


def keys() -> Iterator[str]:
    """Yield every key of a run and of a sweep, and every preset and launcher with its keys, as a command writes them."""
    yield from (key for key, _ in all_settings())
    yield PAIR
    for group in presets.GROUPS:
        yield from (f"{group}={preset}" for preset in presets.choices(group))
    for launcher, settings in LAUNCHERS.items():
        yield f"launcher={launcher}"
        yield from (f"launcher={launcher} launcher.{key}" for key, _ in all_settings(settings))


def test_the_keys_of_the_command_line_are_the_frozen_ones():
    now, frozen = list(keys()), FROZEN.read_text().splitlines()
    assert now == frozen, (
        f"gone: {sorted(set(frozen) - set(now))}; new: {sorted(set(now) - set(frozen))}. A name that goes or changes "
        f"breaks the commands of users and the run folders that they have: say so in CHANGELOG.md. Then renew {FROZEN.name} "
        f"with: {RENEW}"
    )


if __name__ == "__main__":
    FROZEN.write_text("".join(f"{key}\n" for key in keys()))
