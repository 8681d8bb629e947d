"""The published test accuracies on STL-10, for runs that repeat the published experiment, and for no others."""

from collections.abc import Sequence
from functools import cache

from pdenet_repro.config.compose import compose
from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import value_of
from pdenet_repro.report.groups import shown
from pdenet_repro.report.run import RESULT_KEYS, Run
from pdenet_repro.system.errors import UserError

# A run may differ from its recipe in these and still repeat it: the seed, and where and how it ran.
FREE = ("seed", "precision", "deterministic")
# Readings of a text that leaves them open: they do not take the published value away, and are named beside it.
READINGS = ("schedule.last_batch", "evaluation.statistics")


def published(run: Run) -> float | None:
    """Published accuracy as a share of the test images; None where the run does not repeat it or nothing is known."""
    percent = facts_of(run.dynamic).published.get(run.config.recipe)
    if percent is None or departures(run):
        return None
    return percent / 100


def departures(run: Run) -> list[str]:
    """Settings that keep a run from repeating its recipe: ``network.widths=[8,16] (recipe: [16,64,128,256])``."""
    free = [*FREE, *READINGS]
    if not run.test_images_share_statistics:  # otherwise the size of its batches changes a prediction
        free.append("evaluation.batch_size")
    return _differences(run, [key for key in RESULT_KEYS if key not in free])


def readings(run: Run) -> list[str]:
    """Settings in which a run reads the text otherwise than its recipe, and repeats it all the same."""
    return _differences(run, READINGS)


def _differences(run: Run, keys: Sequence[str]) -> list[str]:
    recipe = _recipe(run.config.recipe, run.dynamic)
    if recipe is None:
        return [f"recipe={run.config.recipe} (not a recipe of this version)"]
    pairs = [(key, shown(value_of(run.config, key)), recipe[key]) for key in keys]
    return [f"{key}={ours} (recipe: {theirs})" for key, ours, theirs in pairs if ours != theirs]


@cache
def _recipe(name: str, dynamic: str) -> dict[str, str] | None:
    try:
        config = compose(f"recipe={name}", f"dynamic={dynamic}")
    except UserError:
        return None
    return {key: shown(value_of(config, key)) for key in RESULT_KEYS}
