"""Imports a program of the folder scripts/ as a module."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

SCRIPTS = str(Path(__file__).parents[2] / "scripts")


def load(name: str) -> ModuleType:
    """Return ``scripts/NAME.py`` as a module; its ``main`` is not run. It may import others of the folder, as in a command."""
    if SCRIPTS not in sys.path:
        sys.path.append(SCRIPTS)
    return importlib.import_module(name)
