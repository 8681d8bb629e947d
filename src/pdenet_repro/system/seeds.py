"""Makes independent streams of random numbers from the one ``seed`` of a run.

A stream is a function of seed, purpose and numbers such as the epoch, never of earlier draws: a run that is resumed in
the middle of an epoch needs no saved generator state. NumPy keeps ``RandomState`` and ``SeedSequence`` unchanged between
versions, so subsets and batch orders are the same everywhere.
"""

from zlib import crc32

import numpy as np


def stream(seed: int, purpose: str, *numbers: int) -> np.random.RandomState:
    """Return the random generator for one purpose, for example ``stream(0, "order", epoch)``."""
    return np.random.RandomState(np.random.MT19937(_sequence(seed, purpose, *numbers)))


def torch_seed(seed: int, purpose: str) -> int:
    """Return the seed of a ``torch.Generator`` for one purpose."""
    return int(_sequence(seed, purpose).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _sequence(seed: int, purpose: str, *numbers: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, crc32(purpose.encode()), *numbers])
