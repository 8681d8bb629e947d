"""Decide whether a run repeats the published experiment on STL-10 and may be compared with the published accuracy."""

from collections.abc import Sequence

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import value_of
from pdenet_repro.report.run import RESULT_KEYS, Run
from pdenet_repro.report.settings import format_value, recipe_settings

# Settings in which a run may differ from its recipe and still repeat it: the seed, and how it was computed.
FREE = ("seed", "precision", "deterministic")
# Of the settings that the paper's text leaves open (docs/readings.md) those in which a run may differ from its recipe and
# still repeat it; the report names the difference.
READINGS = ("schedule.last_batch", "evaluation.statistics")


def published_accuracy(run: Run) -> float | None:
    """Return the published accuracy, a fraction, or None if there is none or the run does not repeat its experiment."""
    percent = facts_of(run.dynamic).published.get(run.config.recipe)
    if percent is None or departures(run):
        return None
    return percent / 100


def departures(run: Run) -> list[str]:
    """Return the settings that keep a run from repeating its recipe: ``network.widths=[8,16] (recipe: [16,64,128,256])``."""
    free = [*FREE, *READINGS]
    if not run.test_images_share_statistics:  # otherwise the size of its batches changes a prediction
        free.append("evaluation.batch_size")
    return _differences(run, [key for key in RESULT_KEYS if key not in free])


def readings(run: Run) -> list[str]:
    """Return the settings in `READINGS` in which a run differs from its recipe."""
    return _differences(run, READINGS)


def _differences(run: Run, keys: Sequence[str]) -> list[str]:
    recipe = recipe_settings(run)
    if recipe is None:
        return [f"recipe={run.config.recipe} (not a recipe of this version)"]
    pairs = [(key, format_value(value_of(run.config, key)), recipe[key]) for key in keys]
    return [f"{key}={ours} (recipe: {theirs})" for key, ours, theirs in pairs if ours != theirs]
