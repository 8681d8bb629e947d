"""The learning rate of each epoch."""

from collections.abc import Sequence


def learning_rate(epoch: int, initial: float, milestones: Sequence[int], factor: float) -> float:
    """Rate in ``epoch`` (1, 2, ...): ``initial`` times ``factor`` for every milestone that has passed."""
    return initial * factor ** sum(epoch > milestone for milestone in milestones)


def scaled_milestones(milestones: Sequence[int], reference_epochs: int, epochs: int) -> list[int]:
    """Milestones of a schedule of ``reference_epochs`` for one of ``epochs``: the same shape, rounded, at least 1."""
    return [max(1, int(milestone * epochs / reference_epochs + 0.5)) for milestone in milestones]
