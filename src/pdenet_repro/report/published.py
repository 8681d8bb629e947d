"""The published test accuracies on STL-10, for runs that repeat them."""

from pdenet_repro.report.runs import Run

# (%): arXiv 1804.04272v1, Section 4 (recipes paper and authors); JMIV 2019, Table 1 (recipe jmiv). All on 8,000 images.
V1 = {"parabolic": 74.85, "hamiltonian": 74.78, "second_order": 75.08}
JMIV = {"parabolic": 77.0, "hamiltonian": 78.3, "second_order": 74.3}
PUBLISHED = {"paper": V1, "authors": V1, "jmiv": JMIV}
TEST_IMAGES = 8000


def published(run: Run) -> float | None:
    """Published accuracy as a share of the test images; None where the run is not on all of STL-10 or nothing is known."""
    data = run.config.data
    if data.name != "stl10" or data.fraction != 1 or data.fold is not None:
        return None
    percent = PUBLISHED.get(run.config.recipe, {}).get(run.dynamic)
    return None if percent is None else percent / 100
