"""Confusion matrices (Figure 3): counted in one place, and drawn in one place."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (classes, classes): entry (i, j) is the number of images of class i predicted as j.

    ``probabilities``: (N, classes), the largest of a row is the prediction; ``labels``: (N,) from 0 on.
    """
    classes = probabilities.shape[1]
    return np.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)


def draw_confusion_matrix(axis: "Axes", matrix: np.ndarray, largest: int, fontsize: float) -> None:
    """Draw counts as a picture with a number in each square that is not 0; ``largest``: the count of the darkest colour."""
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=largest)
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            shade = "white" if count > largest / 2 else "#333333"
            axis.text(j, i, str(count), ha="center", va="center", fontsize=fontsize, color=shade)
