"""Which of the training images a run learns from: class-balanced nested fractions, official folds, a held-out part."""

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
    """Sorted indices into the training images, (n,) int64 each: learned from, and held out for validation."""

    train: np.ndarray
    validation: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of the chosen indices, the provenance of a run."""
        parts = (self.train.astype("<i8").tobytes(), b"|", self.validation.astype("<i8").tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()


def draw_subset(labels: np.ndarray, config: DataConfig, seed: int, folds: Sequence[np.ndarray] = ()) -> Subset:
    """Per class a seeded random permutation; its first part is learned from, its end held out (docs/spec.md, section 1).

    Subsets of one seed are nested (10 % inside 20 % inside ...) and the held-out images the same for every fraction.
    ``fraction`` is the share of what is not held out.

    Raises
    ------
    InvalidConfig
        A share that is no whole number of images in each class.
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
    """How many of ``per_class`` images of a class are (learned from, held out); InvalidConfig if not whole numbers."""
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
