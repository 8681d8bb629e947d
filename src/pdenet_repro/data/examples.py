"""Draws the test images of Figure 1, and lists the few test images of which every run folder keeps a copy."""

import numpy as np

from pdenet_repro.system.seeds import stream

FIGURE1_IMAGES = 4  # images in Figure 1
SAVED_SEEDS = range(4)  # the seeds whose images Figure 1 can show from run folders alone


def figure1_indices(seed: int, images: int) -> np.ndarray:
    """Draw indices (FIGURE1_IMAGES,) of test images, the same for every network; ``images``: the number of test images."""
    return stream(seed, "figure 1").choice(images, FIGURE1_IMAGES, replace=False)


def saved_indices(images: int) -> np.ndarray:
    """Return the sorted indices of the test images that every run folder keeps: those of all `SAVED_SEEDS`."""
    return np.unique(np.concatenate([figure1_indices(seed, images) for seed in SAVED_SEEDS]))
