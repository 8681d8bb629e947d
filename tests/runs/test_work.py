"""What is left of a run."""

from pdenet_repro import compose
from pdenet_repro.runs.work import work_left

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


def test_evaluations_that_are_left():
    def left(*words, steps=0):
        return work_left(compose(*SMALL, *words), steps).evaluate

    assert left() == 3 * 1000 + 2000  # at the end: test images three times, and training images
    assert left("evaluation.every=2") == 4 * 1000 + 2000
    assert left("evaluation.every=3") == 4 * 1000 + 2000  # epoch 3 and the last
    assert left("data.validation=0.2", "evaluation.iterate=best", "evaluation.every=2") == 5 * 1000 + 1600 + 4 * 400
    assert left(steps=4 * 63) == 2000  # the last epoch is evaluated with the test images before it is closed
