"""Draws the test images of Figure 1, and lists the few test images of which every run folder keeps a copy."""

import numpy as np

from pdenet_repro.system.seeds import stream

SHOWN = 4  # images in Figure 1
CARRIED_SEEDS = range(4)  # the seeds whose images Figure 1 can show from run folders alone


def drawn(seed: int, images: int) -> np.ndarray:
    """Draw indices (SHOWN,) of test images, the same for every network; ``images``: the number of test images."""
    return stream(seed, "figure 1").choice(images, SHOWN, replace=False)


def carried(images: int) -> np.ndarray:
    """Return the sorted indices of the test images that every run folder keeps: those of all `CARRIED_SEEDS`."""
    return np.unique(np.concatenate([drawn(seed, images) for seed in CARRIED_SEEDS]))
