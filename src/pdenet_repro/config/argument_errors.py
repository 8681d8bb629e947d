"""Messages about wrong command-line arguments: one sentence that names the key, the value and what is allowed."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdenet_repro.config import presets
from pdenet_repro.config.schema import Config, all_settings, allowed
from pdenet_repro.system.errors import InvalidConfig


def in_one_line(error: Exception) -> str:
    """Return the message of an error of Hydra or OmegaConf in one line, with the key if it is known."""
    said = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, OmegaConfBaseException):
        said = f"{error.full_key}: {str(error).splitlines()[0]}" if error.full_key else str(error).splitlines()[0]
    cause = str(error.__cause__).splitlines()[0] if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return f"{said}: {cause}" if cause and cause not in said else said


def unreadable(argument: str) -> str:
    """Return the message for an argument that does not follow Hydra's grammar."""
    key, equals, _ = argument.partition("=")
    if not equals:
        return f"{argument}: not a setting; write key=value, for example data.fraction=0.1 (all keys: --help)"
    return f"{argument}: the value cannot be read; put quotes around special characters, like {key}=\"'...'\""


def wrong_form(argument: str) -> str | None:
    """Return what is wrong with the form of an argument, whatever its value; None if nothing is.

    Some forms of Hydra's grammar would silently do something unexpected here: ``~key`` would restore the schema's default,
    ``+key`` would add a key that nothing reads, and of a list of presets only the last one would count.
    """
    key, equals, value = argument.partition("=")
    if not key:
        return f"{argument!r}: not a setting; write key=value (all keys: --help)"
    try:
        argument.encode()
    except UnicodeEncodeError:
        return f"{argument!r}: must be text in UTF-8, typed in a locale of UTF-8, for example LC_ALL=C.UTF-8"
    if "@" in key:
        return no_such_key(key)
    if argument.startswith("~"):
        return f"{argument}: a setting cannot be removed; give it another value, or null where --help says so"
    if re.match(r"[+\s]*hydra\b", key):
        return f"{argument}: settings of Hydra cannot be changed; choose a launcher with launcher=local launcher.n=2 (see --help)"
    if argument.startswith("+"):
        key = key.lstrip("+")
        return f"{argument}: {key} exists already; write it without +" if _exists(key) else no_such_key(key)
    if not equals:
        return unreadable(argument)
    if key in presets.GROUPS and (value.startswith("[") or value == "null"):
        return f"{argument}: must be one of {', '.join(presets.choices(key))}"
    if re.match(r"(glob|interval)\(", value):
        return f"{argument}: must be values with commas between them, or range(from,to,step)"
    return None


def no_such_key(key: str, others: Sequence[str] = ()) -> str:
    """Return the message for an unknown key, which suggests the most similar one; ``others``: keys beside those of a run."""
    near = difflib.get_close_matches(key, [*dict(all_settings()), *presets.GROUPS, *others], 1, 0.5)
    return f"{key}: there is no such key; " + (f"did you mean {near[0]}?" if near else "see --help for all keys")


def wrong_setting(argument: str, key: str, values: Sequence[Any], several: bool, sweep: bool) -> str | None:
    """Return what is wrong with the key or the preset of an argument; None if nothing is.

    ``values``: as Hydra parses them; ``several``: whether they are written as the values of a sweep.
    """
    if not _exists(key):
        return no_such_key(key)
    if several and key == "study":
        return f"{argument}: must be one study at a time; study=all has the runs of all figures"
    if several and not sweep:
        is_list = key not in presets.GROUPS and get_origin(dict(all_settings())[key].type) is list
        hint = f"; for a list write {key}=[...]" if is_list else ""
        return f"{argument}: several values make a sweep, which needs -m{hint}"
    if not values:
        return f"{argument}: has no value; must have at least one"
    if key in presets.GROUPS and (wrong := [value for value in values if value not in presets.choices(key)]):
        return f"{key}={wrong[0]}: must be one of {', '.join(presets.choices(key))}"
    return None


def wrong_sweep(parts: Sequence[Any]) -> str | None:
    """Return what is wrong with the entries of a study's ``sweep:``; None if nothing is."""
    if not parts:
        return "sweep: [] in the study's file: must have at least one entry, like {seed: 0}"
    for part in parts:
        if not isinstance(part, Mapping) or not all(isinstance(key, str) for key in part):
            return f"sweep: {part!r} in the study's file: must be entries like {{data.fraction: '0.1,0.2'}}, or a list of such"
        for key, values in part.items():
            if isinstance(values, Mapping):
                return f"sweep: {key}: {values!r} in the study's file: must be values; write KEY.KEY: VALUE in one line"
    return None


def wrong_pair(argument: str, numbers: Mapping[str, int], axes: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return what is wrong with ``pair=KEY,KEY``; None if nothing is.

    ``numbers``: how many values each of the keys has; ``axes``: so far, each key with the keys that vary with it.
    """
    for key, number in numbers.items():
        if not number or axes.get(key) != (key,):
            unpaired = " and no other pair" if number else ""
            return f"{argument}: {key} must be a key that has values in this sweep{unpaired}"
    if len(numbers) < 2:
        return f"{argument}: must name two keys or more, as in pair=network.steps,network.step_size"
    if len(set(numbers.values())) > 1:
        counts = " and ".join(f"{number} of {key}" for key, number in numbers.items())
        return f"{argument}: must name keys with equally many values; there are {counts}"
    return None


def set_value(settings: DictConfig, key: str, value: Any, argument: str, schema: Any = Config) -> None:
    """Set ``key`` in typed settings; raise InvalidConfig, which cites ``argument``, if ``schema`` has another type for it."""
    try:
        OmegaConf.update(settings, key, value)
    except OmegaConfBaseException as error:
        raise InvalidConfig(f"{argument}: must be {allowed(dict(all_settings(schema))[key])}") from error


def _exists(key: str) -> bool:
    return key in presets.GROUPS or key in dict(all_settings())
