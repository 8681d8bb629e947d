"""Facts about each dynamic other than its arithmetic: name, label and colour, integrator, published accuracies.

Code that treats dynamics differently (configuration, cost, figures, analyses) reads the facts here; the time steps are the
classes of networks/dynamics.py. This module imports no torch and executes no user's file: the facts of a user's own dynamic
are parsed from the text of its file.
"""

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pdenet_repro.system.errors import InvalidConfig

MARKERS = "osD^vPX*p<>hdH8"  # codes of matplotlib
REGIONS = ("disc", "imaginary_interval")  # regions of stability in the complex plane, where a step does not amplify
EQUATIONS = ("parabolic", "hamiltonian", "second_order")  # schemes about which analyses have a theorem or an energy


@dataclass(frozen=True)
class Facts:
    """Facts about one dynamic.

    Raises
    ------
    ValueError
        A value is not allowed; the message names the fact, the value and what is allowed.
    """

    label: str  # the name in figures and tables
    name: str = ""  # the name in configurations and folders; for a user's own dynamic the name of its class
    colour: str | None = None  # "#rrggbb" of its lines; None: the next unused colour
    marker: str = "v"  # one of `MARKERS`, for its points
    reversible: bool = False  # whether a step can be undone exactly; then the class has an `inverse_step`
    layers: int = 1  # the number of layers in one step; each acts on an equal part of the channels
    integrator: str | None = None  # the name of the time integrator; None: unknown
    order: int | None = None  # order of convergence in h at a fixed final time; None: unknown
    region: str | None = None  # region of stability, one of `REGIONS`; None: unknown, and `analysis spectrum` omits it
    equation: str | None = None  # one of `EQUATIONS`, only if a step is exactly that of this built-in dynamic
    published: Mapping[str, float] = field(default_factory=dict)  # test accuracy in % on all of STL-10, by recipe

    def __post_init__(self) -> None:
        rules = {
            "label": (isinstance(self.label, str) and bool(self.label), "text"),
            "colour": (self.colour is None or _matches(r"#[0-9a-fA-F]{6}", self.colour), 'like "#cc79a7"'),
            "marker": (_matches(f"[{re.escape(MARKERS)}]", self.marker), f"one of {' '.join(MARKERS)}"),
            "reversible": (isinstance(self.reversible, bool), "True or False"),
            "layers": (type(self.layers) is int and self.layers >= 1, "a whole number of at least 1"),
            "integrator": (self.integrator is None or _matches(".+", self.integrator), "text or None"),
            "order": (self.order is None or (type(self.order) is int and self.order >= 1), "1, 2, ... or None"),
            "region": (self.region is None or self.region in REGIONS, f"{', '.join(REGIONS)} or None"),
            "equation": (
                self.equation is None
                or (self.equation in EQUATIONS and self.layers == 1 + (self.equation == "hamiltonian")),
                f"{', '.join(EQUATIONS)} or None; hamiltonian has layers=2, the others layers=1",
            ),
            "published": (
                isinstance(self.published, Mapping)
                and all(type(value) in (int, float) and 0 <= value <= 100 for value in self.published.values()),
                'percentages by recipe, like {"paper": 74.85}',
            ),
        }
        for name, (fits, allowed) in rules.items():
            if not fits:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be {allowed}")


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


# Every table and figure has this order. The colours can be distinguished with a colour-vision deficiency too (Okabe & Ito).
# Published accuracies: arXiv 1804.04272v1, Section 4 (recipes paper and authors); JMIV 2019, Table 1 (recipe jmiv).
# All four schemes are of first order: what the papers call Verlet is symplectic Euler, because both halves are known at the
# same time, and the start of leapfrog, Y_{-1} = Y_0, has an error of order h.
BUILT_IN: dict[str, Facts] = {
    facts.name: facts
    for facts in (
        Facts(
            "parabolic", "parabolic", "#d55e00", "o", integrator="forward Euler", order=1, region="disc",
            equation="parabolic", published={"paper": 74.85, "authors": 74.85, "jmiv": 77.0},
        ),
        Facts(
            "Hamiltonian", "hamiltonian", "#0072b2", "s", reversible=True, layers=2, integrator="symplectic Euler", order=1,
            region="imaginary_interval", equation="hamiltonian",
            published={"paper": 74.78, "authors": 74.78, "jmiv": 78.3},
        ),
        Facts(
            "second-order", "second_order", "#009e73", "D", reversible=True, integrator="leapfrog", order=1,
            region="imaginary_interval", equation="second_order",
            published={"paper": 75.08, "authors": 75.08, "jmiv": 74.3},
        ),
        Facts("ResNet", "resnet", "#666666", "^", integrator="forward Euler", order=1, region="disc"),
    )
}  # fmt: skip

ALLOWED = f"one of {', '.join(BUILT_IN)}, or FILE.py:CLASS for one of your own"  # values of the key dynamic
_read: dict[str, Facts] = {}  # by name, the facts that this process last read from users' files


def facts_of(name: str, file: str | None = None) -> Facts:
    """Return the facts of a dynamic: a built-in one by its name, a user's own one by its name and file.

    Without ``file``, a name that is not built in has the facts that this process last read for it, or else the defaults.

    Raises
    ------
    InvalidConfig
        The file cannot be read, does not define the class, or states facts that are not allowed.
    """
    if file is not None:
        _read[name] = read_facts(read_source(Path(file), name), name, file, name)
    return BUILT_IN.get(name) or _read.get(name) or Facts(name, name)


def sort_key(name: str) -> tuple[int, str]:
    """Return the sort key of a dynamic: the built-in ones come first, in their order, then the others by name."""
    names = list(BUILT_IN)
    return names.index(name) if name in names else len(names), name


def reversible_names() -> str:
    """Return the names of the built-in reversible dynamics, joined by "and", for messages."""
    return " and ".join(facts.name for facts in BUILT_IN.values() if facts.reversible)


def locate(dynamic: str, file: str | None = None, sha256: str | None = None) -> tuple[str, str | None, str | None]:
    """Return the name of a dynamic, the absolute path of its file and the file's SHA-256; None for both if it is built in.

    ``dynamic``: a built-in name, ``FILE.py:CLASS``, or the name of a class in ``file``. A relative path starts at the
    working directory. The file is read, not executed.

    Raises
    ------
    InvalidConfig
        The dynamic, file or class does not exist, or the file's SHA-256 is not ``sha256``.
    """
    path, _, name = dynamic.rpartition(":") if not dynamic.endswith(".py") else (dynamic, "", "")
    if file is None and not path:
        if sha256 is not None:
            raise InvalidConfig(f"dynamic_sha256={sha256}: must be left out for dynamic={dynamic}, which has no file")
        if dynamic not in BUILT_IN:
            raise InvalidConfig(f"dynamic={dynamic}: must be {ALLOWED}")
        return dynamic, None, None
    try:
        source = Path(path or file or "").expanduser().absolute()
    except RuntimeError:
        raise InvalidConfig(
            f"dynamic={dynamic}: there is no user {path.split('/')[0][1:]}; must be FILE.py:CLASS"
        ) from None
    content = read_source(source, dynamic)
    _read[name] = read_facts(content, name, str(source), dynamic)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise InvalidConfig(changed_file_message(name, str(source), found, sha256))
    return name, str(source), found


def changed_file_message(name: str, file: str, found: str, expected: str) -> str:
    """Return the message for a dynamic whose file has changed since the configuration was made."""
    return (
        f"dynamic={name}: {file} has the SHA-256 {found[:12]}..., expected {expected[:12]}...: it has changed; restore it "
        f"(the folder of a run keeps a copy, dynamic.py), or give the changed one a run of its own with name=..."
    )


def read_source(path: Path, dynamic: str) -> bytes:
    """Return the content of a dynamic's file; raise InvalidConfig if it cannot be read.

    ``dynamic``, for the message: the value of the key, ``FILE.py:CLASS`` as typed, or the name of the class in a saved run.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        reason = "is missing" + " (the folder of a run keeps a copy, dynamic.py)" * dynamic.isidentifier()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    raise InvalidConfig(f"dynamic={dynamic}: its file {path} {reason}; must be FILE.py:CLASS, an existing file")


def read_facts(content: bytes, name: str, file: str, dynamic: str) -> Facts:
    """Return the facts that class ``name`` states as ``facts = Facts(...)``, parsed from the ``content`` of a file.

    A class that states none is labelled with its name and has the defaults of `Facts`. ``dynamic`` is as in `read_source`.

    Raises
    ------
    InvalidConfig
        The file is not valid Python, does not define the class, or has facts that are not allowed or not literal values; or
        ``name`` is that of a built-in dynamic.
    """
    if name in BUILT_IN:
        raise InvalidConfig(f"{file}: the class {name} must have another name; dynamic={name} is built in")
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = f"is not valid Python ({getattr(error, 'msg', error)})"
        raise InvalidConfig(f"{file}{where}: {reason}; must define the class {name or 'of the dynamic'}") from error
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if not name and classes:
        raise InvalidConfig(f"dynamic={dynamic}: must be FILE.py:CLASS, for example {dynamic}:{next(iter(classes))}")
    if name not in classes:
        which = f"no class {name!r}, but these: {', '.join(classes)}" if classes else "no class"
        raise InvalidConfig(f"dynamic={dynamic}: must be FILE.py:CLASS; {file} defines {which}")
    value = _facts_value(classes[name])
    if value is None:
        return Facts(name, name)
    try:
        if not (isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] == "Facts"):
            raise ValueError("they must be written as facts = Facts(...)")
        given: dict[str, Any] = dict(
            zip((each.name for each in fields(Facts)), map(_literal, value.args), strict=False)
        )
        given |= {str(keyword.arg): _literal(keyword.value) for keyword in value.keywords}
        return replace(Facts(**given), name=name)
    except (ValueError, TypeError) as error:
        raise InvalidConfig(f"{file}, line {value.lineno}: the facts of {name} cannot be read: {error}") from error


def _facts_value(cls: ast.ClassDef) -> ast.expr | None:
    """The expression that the body of a class assigns to ``facts``, or None."""
    for statement in cls.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == "facts" for each in targets):
            return getattr(statement, "value", None)
    return None


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(f"{ast.unparse(value)} must be a plain value, like 2 or 'text'") from None
