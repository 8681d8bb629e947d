"""What a command asks for: images and numbers in its options, and the networks to which its question applies.

Also, which networks cannot be asked about one image alone.
"""

import argparse
import math
from collections.abc import Callable, Sequence

from pdenet_repro.analysis.result import DoesNotApply
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.training.evaluation import largest_batch


def add_images(parser: argparse.ArgumentParser, default: int) -> None:
    """The option ``--images``: how many random test images are looked at. `Subject.test_images` knows how many there are."""
    words = f"random test images (default {default})"
    parser.add_argument("--images", type=whole_number(1), default=default, metavar="N", help=words)


def numbers(option: str, words: str, low: float, high: float, *, whole: bool = False) -> list[float]:
    """The numbers of an option like ``--sizes 0.01,0.1``, each above ``low`` and at most ``high``, growing.

    Raises
    ------
    InvalidConfig
        A word that is no number, or out of range.
    """
    found = []
    for word in words.split(","):
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not low < value <= high or (whole and value % 1):
            kind = "whole numbers" if whole else "numbers"
            raise InvalidConfig(
                f"{option} {words}: must be {kind} above {low:g} and at most {high:g}, with commas; {word!r} is not one"
            )
        found.append(value)
    return sorted(set(found))


def applicable(
    subjects: Sequence[Subject], applies: Callable[[Subject], bool], why_not: str
) -> tuple[list[Subject], list[str]]:
    """The networks to which the question applies, and a sentence on those left out (none: no sentence).

    ``why_not`` goes on after their names.

    Raises
    ------
    DoesNotApply
        It applies to none.
    """
    kept = [subject for subject in subjects if applies(subject)]
    others = ", ".join(subject.name for subject in subjects if not applies(subject))
    if not kept:
        raise DoesNotApply(f"{others}: {why_not}")
    return kept, [f"Left out: {others}, {why_not}."] if others else []


def scores_depend_on_batch(subject: Subject) -> bool:
    """Whether a network's scores of an image depend on the others of its batch: it has norms over the examples."""
    return subject.config.network.connector_norm == "batch_per_pixel"


def about_batches(subjects: Sequence[Subject], images: int, most: int) -> list[str]:
    """A sentence on the networks judged together, if there are any: ``images`` in equal batches of at most ``most``.

    Raises
    ------
    InvalidConfig
        There are some, and only one image: a norm over the examples makes the same of every image that is alone.
    """
    names = " and ".join(subject.name for subject in subjects if scores_depend_on_batch(subject))
    if not names:
        return []
    if images < 2:
        raise InvalidConfig(
            f"--images {images}: must be at least 2 for {names}; network.connector_norm=batch_per_pixel makes the same "
            "of every image that is alone in its batch"
        )
    return [
        f"{names}: the scores of an image depend on the others of its batch (network.connector_norm=batch_per_pixel); "
        f"they come from nearly equal batches of at most {largest_batch(images, most)} images."
    ]
