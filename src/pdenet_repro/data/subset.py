"""Selects the training images of a run: class-balanced nested fractions, official folds, images held out for validation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pdenet_repro.config.schema import DataConfig
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.seeds import stream


@dataclass(frozen=True)
class Subset:
    """Sorted indices (n,) int64 of the training images to learn from, and of those held out for validation."""

    train: np.ndarray
    validation: np.ndarray

    @property
    def digest(self) -> str:
        """The SHA-256 of the indices, which a run records with its provenance."""
        parts = (self.train.astype("<i8").tobytes(), b"|", self.validation.astype("<i8").tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()


def draw_subset(labels: np.ndarray, config: DataConfig, seed: int, folds: Sequence[np.ndarray] = ()) -> Subset:
    """Draw the subset of a configuration: the first part of each class in a seeded random order (docs/spec.md, section 1).

    The end of the permutation is held out for validation. Subsets of one seed are nested (10 % inside 20 % inside ...),
    and the held-out images are the same for every fraction; ``fraction`` is a share of the images that are not held out.
    ``labels``: (N,) of all training images; ``folds``: the indices of each official fold.

    Raises
    ------
    InvalidConfig
        A share is not a whole number of images in each class, or there is no image to learn from.
    """
    pool = np.arange(len(labels)) if config.fold is None else np.sort(folds[config.fold])
    train, validation = [], []
    for label in np.unique(labels):
        members = pool[labels[pool] == label]
        members = members[stream(seed, "subset", int(label)).permutation(len(members))]
        learned, held_out = counts(config, len(members))
        train.append(members[:learned])
        validation.append(members[len(members) - held_out :])
    return Subset(np.sort(np.concatenate(train)), np.sort(np.concatenate(validation)))


def counts(config: DataConfig, per_class: int) -> tuple[int, int]:
    """Return how many of the ``per_class`` images of a class are learned from and held out; errors as in `draw_subset`."""
    held_out = _whole("data.validation", config.validation, per_class)
    learned = _whole("data.fraction", config.fraction, per_class - held_out)
    if not learned:
        raise InvalidConfig(
            f"data.fraction={config.fraction}: must give at least one of {per_class - held_out} images a class"
        )
    return learned, held_out


def _whole(key: str, share: float, images: int) -> int:
    count = share * images
    if abs(count - round(count)) > 1e-6:
        step = Fraction(1, images)
        raise InvalidConfig(
            f"{key}={share}: gives {count:.6g} of {images} images a class; must be a multiple of {step} ({float(step):.6g})"
        )
    return round(count)
