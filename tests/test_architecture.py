"""The rooms of the package stand on floors: a module imports from its own room and from rooms below, never in a circle.

Imports under ``TYPE_CHECKING`` and inside functions count too: both are ways in which a module knows another.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pdenet_repro"

# Each room with the rooms that it may import from. `version` is one string, which every room may import.
ROOMS = {
    "system": set(),
    "config": {"system"},
    "data": {"system", "config"},
    "networks": {"system", "config", "data"},
    "training": {"system", "config", "data", "networks"},
    "runs": {"system", "config", "data", "networks", "training"},
    "report": {"system", "config", "data", "networks", "runs"},
    "analysis": {"system", "config", "data", "networks", "training", "runs", "report"},
    "sweeps": {"system", "config", "data", "networks", "training", "runs", "report"},
    "cli": {"system", "config", "data", "networks", "training", "runs", "report", "analysis", "sweeps"},
}
# The package's own __init__ is its public face: it leads to functions of several rooms, and no room imports from it.
PUBLIC = "__init__"


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str) -> set[str]:
    """Modules of this package that a module imports, by their names without ``pdenet_repro.``."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, line {node.lineno}"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == "pdenet_repro":
                found.add(_longest_module(parts[1:]))
    return found - {module}


def _longest_module(parts: list[str]) -> str:
    """``networks.layers`` of ``networks.layers.conv``; the room of ``config.presets`` where that is a module."""
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in MODULES:
            return name
        if f"{name}.__init__" in MODULES:
            return f"{name}.__init__"
    return "__init__"


def room(module: str) -> str:
    return module.split(".")[0]


def is_entry(module: str) -> bool:
    """Whether a module is what ``python -m`` starts: a ``__main__``, or a file beside the rooms."""
    return module.endswith("__main__") or ("." not in module and module not in ("version", PUBLIC))


def permitted(module: str) -> set[str]:
    if is_entry(module):
        return {"cli", "system", "version"}  # it hands the words of a command to cli
    if module == PUBLIC:
        return {"config", "networks", "runs", "version"}
    return ROOMS[room(module)] | {room(module), "version"} if module != "version" else set()


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - set(ROOMS) == set(), "name the new room in ROOMS, with the rooms that it stands on"


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_from_its_own_room_and_from_below(module):
    elsewhere = {target for target in imports(module) if room(target) not in permitted(module)}
    assert not elsewhere, f"{module} may import from {sorted(permitted(module))} only, and imports {sorted(elsewhere)}"


def test_modules_import_in_no_circle():
    try:
        TopologicalSorter({module: imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other in a circle: {' -> '.join(error.args[1])}")


def importing(which: str) -> list[str]:
    """The words that have Python import every module of a room, but its ``__main__``."""
    names = [module for module in MODULES if room(module) == which and "__" not in module]
    return ["-c", "import " + ", ".join(f"pdenet_repro.{name}" for name in names)]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-m", "pdenet_repro", "--help"], id="help"),
        pytest.param(["-c", "import pdenet_repro.report.__main__, pdenet_repro.cli.report"], id="report command"),
        pytest.param(importing("report"), id="report"),
        pytest.param(importing("config"), id="config"),
    ],
)
def test_torch_is_not_imported(words):
    """Help, a refused setting and a report must not wait seconds for PyTorch, nor need it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, timeout=300, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "pdenet_repro" in imported
    assert "torch" not in imported
