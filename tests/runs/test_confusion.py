"""Confusion matrices: counted as Figure 3 has them, and drawn with a number for every count."""

import numpy as np
from matplotlib.figure import Figure

from pdenet_repro.runs.confusion import confusion_matrix, draw_confusion_matrix


def test_rows_are_true_classes_and_columns_predicted_ones():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]], dtype=np.float32)
    found = confusion_matrix(probabilities.argmax(1), np.array([0, 1, 1, 2]), 3)
    assert found.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


def test_every_count_but_zero_is_written():
    axis = Figure().add_subplot()
    draw_confusion_matrix(axis, np.array([[3, 0], [1, 7]]), largest=10, fontsize=8)
    assert {(text.get_position(), text.get_text()) for text in axis.texts} == {
        ((0, 0), "3"),
        ((0, 1), "1"),
        ((1, 1), "7"),
    }
    assert axis.images[0].get_clim() == (0, 10)
