"""The presets: YAML files in ``configs/``, in groups that a command chooses from."""

from pathlib import Path

GROUPS = ("recipe", "data", "network", "schedule", "study")


def folder() -> Path:
    """The presets: inside an installed package, or at the top of the repository it runs from."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def choices(group: str) -> list[str]:
    """Names of a group's presets."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))
