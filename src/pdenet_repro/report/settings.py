"""Settings as a command writes them, and the values that a recipe gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pdenet_repro.config.compose import compose
from pdenet_repro.config.schema import value_of
from pdenet_repro.report.run import RESULT_KEYS, Run
from pdenet_repro.system.errors import UserError

# by recipe, dynamic and SHA-256 of the dynamic's file, because composing takes a tenth of a second
_of_recipes: dict[tuple[str, str, str | None], Mapping[str, str] | None] = {}


def format_value(value: Any) -> str:
    """Return a setting's value as it is written on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def recipe_settings(run: Run) -> Mapping[str, str] | None:
    """Return all settings that can change a result, as the run's recipe gives them to its dynamic, by dotted key.

    None if this version has no such recipe, or the file of the user's own dynamic is missing.
    """
    config = run.config
    place = config.recipe, config.dynamic, config.dynamic_sha256
    if place not in _of_recipes:
        dynamic = config.dynamic
        if config.dynamic_file:  # in quotes: its path may contain commas
            dynamic = "'" + f"{config.dynamic_file}:{dynamic}".replace("'", r"\'") + "'"
        try:
            composed = compose(f"recipe={config.recipe}", f"dynamic={dynamic}")
        except UserError:
            _of_recipes[place] = None
        else:
            _of_recipes[place] = {key: format_value(value_of(composed, key)) for key in RESULT_KEYS}
    return _of_recipes[place]


def rules_by_dynamic(runs: Sequence[Run], keys: set[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Return the settings that a recipe gives different values for the dynamics of ``runs``.

    The result is {(recipe, key): {dynamic: value}} for those of ``keys`` that the recipe sets by the dynamic. A setting for
    which one dynamic has two values, as the SHA-256 of its file may have, is left out.
    """
    if not keys or len({run.dynamic for run in runs}) < 2:
        return {}  # without composing, which takes time
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for run in runs:
        settings = recipe_settings(run) or {}
        for key in keys & settings.keys():
            of_dynamics = found.setdefault((run.config.recipe, key), {})
            of_dynamics.setdefault(run.dynamic, set()).add(settings[key])
    rules = {}
    for place, of_dynamics in found.items():
        if all(len(values) == 1 for values in of_dynamics.values()):
            rule = {dynamic: value for dynamic, (value,) in of_dynamics.items()}
            if len(set(rule.values())) > 1:
                rules[place] = rule
    return rules
