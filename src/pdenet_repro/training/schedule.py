"""The learning rate of each epoch."""

from collections.abc import Sequence


def learning_rate(epoch: int, initial: float, milestones: Sequence[int], factor: float) -> float:
    """Rate in ``epoch`` (1, 2, ...): ``initial`` times ``factor`` for every milestone that has passed."""
    return initial * factor ** sum(epoch > milestone for milestone in milestones)
