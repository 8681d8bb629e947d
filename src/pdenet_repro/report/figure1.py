"""Figure 1: test images, and the class probabilities that each network gives them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdenet_repro.report.examples import Example
from pdenet_repro.report.figures import Numbers, run_identity, shown_runs, styles
from pdenet_repro.report.groups import Grouping
from pdenet_repro.report.run import Run
from pdenet_repro.runs.confusion import MANY_CLASSES

NETWORKS = 6  # largest number of networks shown
FIRST = 5  # number of classes shown if there are many


def figure1(grouping: Grouping, examples: Sequence[Example]) -> tuple[Figure, Numbers, list[Run]]:
    """Draw test images and, for each network, class probabilities as bars; return the figure, its numbers and its runs."""
    shown = shown_runs(grouping)[:NETWORKS]
    line_styles = styles(grouping)
    colour = [line_styles[line].colour for line in grouping.comparable]
    names = shown[0][1].class_names
    many = len(names) > MANY_CLASSES
    width, height = 2.4 + (3.2 if many else 2.5) * len(shown), 0.5 + 2.3 * len(examples)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(examples), 1 + len(shown), squeeze=False, width_ratios=[0.9] + [1.0] * len(shown))
    probabilities = [run.probabilities[[example.index for example in examples]] for _, run in shown]
    numbers: Numbers = []
    for i, (row, example) in enumerate(zip(axes, examples, strict=True)):
        truth = int(shown[0][1].labels[example.index])
        row[0].imshow(example.pixels.transpose(1, 2, 0), interpolation="nearest")
        row[0].set_title(names[truth], fontsize=12, fontweight="bold")
        row[0].set_xlabel(f"test image {example.index}", fontsize=8)
        row[0].set_xticks([])
        row[0].set_yticks([])
        for column, (axis, (cell, run)) in enumerate(zip(row[1:], shown, strict=True)):
            values = probabilities[column][i].astype(float)
            kept = np.sort(np.argsort(-values, kind="stable")[:FIRST]) if many else np.arange(len(names))
            _bars(axis, values, names, truth, kept, colour[column], named=many or column == 0)
            if i == 0:
                title = [cell.name.replace(", ", "\n", 1), f"{cell.images:,} images, seed {run.config.seed}"]
                axis.set_title("\n".join(title), fontsize=9)
            if i == len(examples) - 1:
                axis.set_xlabel("class probability", fontsize=9)
            numbers += [
                {**run_identity(cell, run), "test_image": example.index, "true_class": names[truth], "class": name,
                 "probability": float(p)}
                for name, p in zip(names, values, strict=True)
            ]  # fmt: skip
    return figure, numbers, [run for _, run in shown]


def _bars(
    axis: Axes, values: np.ndarray, names: Sequence[str], truth: int, kept: np.ndarray, colour: str, *, named: bool
) -> None:
    """Draw bars of the classes ``kept``, the true one in full colour, and the value of the largest."""
    shades = [colour if i == truth else f"{colour}55" for i in kept]
    axis.barh(range(len(kept)), values[kept], color=shades, height=0.8)
    axis.set_yticks(range(len(kept)), [names[i] for i in kept] if named else [], fontsize=8)
    if named and truth in kept:
        axis.get_yticklabels()[list(kept).index(truth)].set_fontweight("bold")
    axis.invert_yaxis()
    axis.set_xlim(0, 1.18)
    axis.set_xticks([0, 0.5, 1], ["0", "½", "1"], fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    best = int(values[kept].argmax())
    axis.text(values[kept][best] + 0.02, best, f"{values[kept][best]:.2f}", va="center", fontsize=8)
