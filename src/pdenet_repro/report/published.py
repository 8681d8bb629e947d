"""The published test accuracies on STL-10, for runs that repeat them."""

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.report.runs import Run

TEST_IMAGES = 8000  # of all published accuracies


def published(run: Run) -> float | None:
    """Published accuracy as a share of the test images; None where the run is not on all of STL-10 or nothing is known."""
    data = run.config.data
    if data.name != "stl10" or data.fraction != 1 or data.fold is not None:
        return None
    percent = facts_of(run.dynamic).published.get(run.config.recipe)
    return None if percent is None else percent / 100
