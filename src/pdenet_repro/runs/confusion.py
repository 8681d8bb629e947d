"""Confusion matrices (Figure 3): counted in one place, and drawn in one place."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY_CLASSES = 20  # above, a figure has no names and numbers of classes: they would be illegible, and slow to draw


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): entry (i, j) is the number of images of class i predicted as j.

    ``predicted`` and ``labels``: (N,) whole numbers from 0 on.
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def draw_confusion_matrix(axis: "Axes", matrix: np.ndarray, largest: int, fontsize: float) -> None:
    """Draw counts as a picture with a number in each square that is not 0; ``largest``: the count of the darkest colour."""
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=largest)
    if len(matrix) > MANY_CLASSES:
        return
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            shade = "white" if count > largest / 2 else "#333333"
            axis.text(j, i, str(count), ha="center", va="center", fontsize=fontsize, color=shade)
