"""Computes the learning rate of each epoch."""

from collections.abc import Sequence


def learning_rate(epoch: int, initial: float, milestones: Sequence[int], factor: float) -> float:
    """Return the rate in ``epoch`` (1, 2, ...): ``initial``, multiplied by ``factor`` for every milestone before it."""
    return initial * factor ** sum(epoch > milestone for milestone in milestones)
