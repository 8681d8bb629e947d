"""Why Hydra refused a command, in one sentence: the key, the value, what is allowed."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config import presets
from pdenet_repro.config.schema import Config, allowed, knobs


def explain(overrides: list[str], error: Exception, sweep: bool = False) -> str:
    """The first override that is at fault; where none is, what Hydra or OmegaConf said, on one line."""
    for text in overrides:
        if fault := complaint(text, sweep):
            return fault
    said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    cause = str(error.__cause__).splitlines()[0] if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return f"{said}: {cause}" if cause and cause not in said else said


def complaint(text: str, sweep: bool = False) -> str | None:
    """What is wrong with one override, None if nothing can be found."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        if "=" not in text:
            return f"{text}: not a setting; write key=value, for example data.fraction=0.1 (all keys: --help)"
        return f"{text}: the value cannot be read; put quotes around special characters, like {text.split('=')[0]}=\"'...'\""
    key = override.key_or_group
    if key.split(".")[0] == "hydra" or key.startswith("hydra/"):
        return None
    entries = dict(knobs())
    if key not in entries and key not in presets.GROUPS:
        near = difflib.get_close_matches(key, [*entries, *presets.GROUPS], 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "see --help for all keys"
        return f"{key}: there is no such key; {hint}"
    if override.is_add() or override.is_force_add():
        return f"{text}: {key} exists already; write it without +"
    if override.is_sweep_override() and key == "study":
        return f"{text}: must be one study at a time; study=all has the runs of all figures"
    if override.is_sweep_override() and not sweep:
        is_list = key in entries and get_origin(entries[key].type) is list
        return f"{text}: several values make a sweep, which needs -m" + (f"; for a list write {key}=[...]" * is_list)
    return next(filter(None, (_value_complaint(key, part, entries) for part in _single(text, override))), None)


def launcher_complaint(words: Sequence[str]) -> str | None:
    """What is wrong with the first word that sets something of Hydra's own, None if nothing is.

    Only the launcher of a sweep and its fields are the user's. The rest (mode, working folder, sweeper) would lead runs to
    other places, or none, than those in which they are counted, resumed and reported.
    """
    fields = {name: _fields(name) for name in ("basic", *presets.choices("hydra/launcher"))}
    launcher = next((word.partition("=")[2] for word in reversed(words) if word.startswith("hydra/launcher=")), "basic")
    for word in words:
        key, _, value = word.partition("=")
        field = key.removeprefix("hydra.launcher.")
        if key == "hydra/launcher":
            if value not in fields:
                return f"{word}: must be one of {', '.join(fields)}"
        elif field != key:
            if fault := complaint(word) or _field_complaint(word, field, launcher, fields):
                return fault
        elif re.match(r"\++hydra\.launcher\.", key):
            return f"{word}: {key.lstrip('+')} is a setting of its launcher; write it without +"
        elif re.match(r"[+~\s]*hydra\b", key):
            return f"{word}: of Hydra's own settings only hydra/launcher=... and hydra.launcher.* may be given"
    return None


def _field_complaint(word: str, field: str, launcher: str, fields: dict[str, list[str]]) -> str | None:
    if field not in fields.get(launcher, [field]):
        having = [f"hydra/launcher={name}" for name, known in fields.items() if field in known]
        if having:
            return f"{word}: hydra/launcher={launcher} has no {field}; add {' or '.join(having)}"
        return f"{word}: no launcher has {field}; see configs/hydra/launcher for what they have"
    if OverridesParser.create().parse_override(word).is_sweep_override():
        return f"{word}: must be one value; all runs of a sweep go through the same launcher"
    return None


def _fields(launcher: str) -> list[str]:
    """What may be set of a launcher."""
    if launcher == "basic":
        return []
    preset = OmegaConf.load(presets.folder() / "hydra" / "launcher" / f"{launcher}.yaml")
    return [str(key) for key in preset if key not in ("defaults", "_target_")]


def _single(text: str, override: Override) -> list[str]:
    """The override's words with one value each."""
    if override.is_sweep_override():
        return [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]
    return [text]


def _value_complaint(key: str, text: str, entries: dict[str, Any]) -> str | None:
    value = OverridesParser.create().parse_override(text).value()
    if key in presets.GROUPS:
        names = presets.choices(key)
        return None if value in names else f"{text}: must be one of {', '.join(names)}"
    try:
        OmegaConf.update(OmegaConf.structured(Config), key, value)
    except OmegaConfBaseException:
        return f"{text}: must be {allowed(entries[key])}"
    return None
