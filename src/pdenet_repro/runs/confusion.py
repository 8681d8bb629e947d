"""Counts and draws confusion matrices (Figure 3), for run folders, TensorBoard and reports."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY_CLASSES = 20  # with more classes a figure shows neither names nor counts: they would be illegible and slow to draw


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes): entry (i, j) is the number of images of class i predicted as j.

    ``predicted`` and ``labels``: (N,) class numbers from 0 on.
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def draw_confusion_matrix(axis: "Axes", matrix: np.ndarray, largest: int, fontsize: float) -> None:
    """Draw counts as coloured squares with a number in each that is not 0; ``largest``: the count of the darkest colour."""
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=largest)
    if len(matrix) > MANY_CLASSES:
        return
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            shade = "white" if count > largest / 2 else "#333333"
            axis.text(j, i, str(count), ha="center", va="center", fontsize=fontsize, color=shade)
