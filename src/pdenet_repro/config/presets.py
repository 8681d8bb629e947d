"""Finds the presets: YAML files in ``configs/``, one folder for each group (``recipe=``, ``data=``, ...)."""

from pathlib import Path

GROUPS = ("recipe", "data", "network", "schedule", "study")


def folder() -> Path:
    """Return the folder of the presets: inside the installed package, or at the top of the repository."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def choices(group: str) -> list[str]:
    """Return the names of the presets in a group, sorted."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))
