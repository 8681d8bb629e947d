"""Define and parse the options that several kinds of analysis have, and select the networks to which a kind applies."""

import argparse
import math
from collections.abc import Callable, Sequence
from types import ModuleType

from pdenet_repro.analysis.result import DoesNotApply
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import batch_dependence
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.training.evaluation import largest_batch


def add_options(parser: argparse.ArgumentParser, kind: ModuleType) -> None:
    """Add the options of a kind to the parser: ``--images``, whose default is the kind's ``IMAGES``, and its ``OPTIONS``.

    ``OPTIONS`` maps the name of an option to the keyword arguments of argparse. `Subject.test_images` checks that the data set
    has as many images.
    """
    parser.add_argument(
        "--images", type=whole_number(1), default=kind.IMAGES, metavar="N",
        help="number of random test images (default %(default)s)",
    )  # fmt: skip
    for name, arguments in getattr(kind, "OPTIONS", {}).items():
        parser.add_argument(name, **arguments)


def parse_numbers(option: str, value: str, low: float, high: float, *, whole: bool = False) -> list[float]:
    """Parse the value of an option like ``--sizes 0.01,0.1`` to sorted numbers, each above ``low`` and at most ``high``.

    Raises
    ------
    InvalidConfig
        A part of the value is not a number, is not whole although ``whole`` is true, or is out of range.
    """
    found = set()
    for part in value.split(","):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not low < number <= high or (whole and number % 1):
            kind = "whole numbers" if whole else "numbers"
            raise InvalidConfig(
                f"{option} {value}: must be {kind} above {low:g} and at most {high:g}, separated by commas; {part!r} is not one"
            )
        found.add(number)
    return sorted(found)


def applicable(
    subjects: Sequence[Subject], applies: Callable[[Subject], bool], why_not: str
) -> tuple[list[Subject], list[str]]:
    """Return the networks for which ``applies`` is true, and a list with one sentence that names the others, if any.

    ``why_not`` ends that sentence: it says why those networks are left out.

    Raises
    ------
    DoesNotApply
        ``applies`` is false for all networks.
    """
    kept = [subject for subject in subjects if applies(subject)]
    others = ", ".join(subject.name for subject in subjects if not applies(subject))
    if not kept:
        raise DoesNotApply(f"{others}: {why_not}")
    return kept, [f"Left out: {others}, because {why_not}."] if others else []


def batch_dependence_note(subjects: Sequence[Subject], images: int, most: int) -> list[str]:
    """Return a list with one sentence that names the networks whose scores depend on the batch, if there are any.

    The sentence states the size of the batches: ``images`` are divided into nearly equal ones of at most ``most``.

    Raises
    ------
    InvalidConfig
        There is such a network but only one image, which would be a batch of its own.
    """
    settings = {subject.name: setting for subject in subjects if (setting := batch_dependence(subject.config))}
    if not settings:
        return []
    names, reason = " and ".join(settings), " or ".join(sorted(set(settings.values())))
    if images < 2:
        raise InvalidConfig(
            f"--images {images}: must be at least 2 for {names}; with {reason} the scores of an image depend on the others of "
            "its batch"
        )
    return [
        f"{names}: the scores of an image depend on the others of its batch ({reason}); "
        f"they come from nearly equal batches of at most {largest_batch(images, most)} images."
    ]
