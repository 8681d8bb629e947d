"""Why Hydra refused a command, in one sentence: the key, the value, what is allowed."""

import difflib
from typing import Any, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro import presets
from pdenet_repro.config import Config, allowed, knobs


def explain(overrides: list[str], error: Exception, sweep: bool = False) -> str:
    """The first override that is at fault; where none is, what Hydra or OmegaConf said, on one line."""
    for text in overrides:
        if fault := complaint(text, sweep):
            return fault
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def complaint(text: str, sweep: bool = False) -> str | None:
    """What is wrong with one override, None if nothing can be found."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        if "=" not in text:
            return f"{text}: not a setting; write key=value, for example data.fraction=0.1 (all keys: --help)"
        return f"{text}: the value cannot be read; put quotes around special characters, like {text.split('=')[0]}=\"'...'\""
    key = override.key_or_group
    if key == "hydra/launcher":
        names = ["basic", *presets.choices(key)]
        return None if str(override.value()) in names else f"{text}: must be one of {', '.join(names)}"
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
