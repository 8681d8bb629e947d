"""Selects the test images of Figure 1, and the few test images that every run folder keeps a copy of."""

import numpy as np

from pdenet_repro.system.seeds import stream

SHOWN = 4  # images in Figure 1
CARRIED_SEEDS = range(4)  # the draws that Figure 1 can show from run folders alone


def drawn(seed: int, images: int) -> np.ndarray:
    """Indices (SHOWN,) of test images drawn at random, the same for every network; ``images``: how many there are."""
    return stream(seed, "figure 1").choice(images, SHOWN, replace=False)


def carried(images: int) -> np.ndarray:
    """Sorted indices of the test images that every run folder keeps: those of the first few draws."""
    return np.unique(np.concatenate([drawn(seed, images) for seed in CARRIED_SEEDS]))
