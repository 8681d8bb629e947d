"""Draw robustness: accuracy against strength, and an image at each strength."""

import argparse
from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from pdenet_repro.analysis.drawing import draw_band, legend, styles_of
from pdenet_repro.analysis.result import Row, columns_of, where
from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS, attack, correctness, scores
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.analysis.robustness.panels import Panel
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import batch_dependence
from pdenet_repro.report.figures import draw_grid, percent_axis
from pdenet_repro.system.seeds import stream

WRONG, RIGHT = "#c22f00", "#1d2329"


def curves(rows: Sequence[Row], panels: Mapping[str, Panel], chance: float) -> Figure:
    """Draw a panel for each corruption and attack: the accuracy of each network, with intervals, at evenly spaced strengths."""
    figure = Figure(figsize=(13.5, 7), layout="constrained")
    axes = figure.subplots(2, -(-len(panels) // 2), sharey=True)
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=True):
        for network, how in styles_of(rows).items():
            own = where(rows, network=network)
            strengths, *spread = columns_of(where(own, perturbation=name), "strength", "low_95", "accuracy", "high_95")
            at = [panel.strengths.index(strength) for strength in strengths]
            draw_band(axis, at, spread, how, network, markersize=5, linewidth=1.8)
            strengths, accuracy = columns_of(where(own, perturbation=panel.control), "strength", "accuracy")
            axis.plot([panel.strengths.index(strength) for strength in strengths], accuracy, ":", color=how.colour)
        axis.axhline(chance, color="black", linewidth=0.8, linestyle=(0, (6, 3)))
        axis.set_title(panel.heading, fontsize=12)
        axis.set_xlabel(panel.unit)
        first, *others = panel.strengths
        axis.set_xticks(range(len(panel.strengths)), [f"clean\n({first:g})", *[f"{value:g}" for value in others]])
        draw_grid(axis)
    for axis in axes[:, 0]:
        percent_axis(axis.yaxis)
        axis.set_ylim(-0.02, min(1, 1.05 * max(row["high_95"] for row in rows)))
        axis.set_ylabel("test accuracy")
    further = [
        Line2D([], [], color="#555555", linestyle=":", label="random change of the same size"),
        Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (6, 3)), label="chance"),
    ]
    legend(figure, [axes[0, 0]], further, 11)
    return figure


def gallery(
    subject: Subject, images: Tensor, labels: Tensor, panels: Mapping[str, Panel], given: argparse.Namespace
) -> Figure:
    """Draw the first correctly classified image of a batch (N, 3, H, W) uint8 under each corruption and iterated attack.

    Corruptions are drawn for the whole batch. If scores depend on the batch, they are computed in this one.
    """
    with torch.no_grad():
        right, _ = correctness(subject.network, images, labels)
    chosen = int(right.int().argmax())  # the first image if all are classified wrongly
    shown = {name: panel for name, panel in panels.items() if not name.endswith("one-step")}
    columns = max(len(panel.strengths) for panel in shown.values())
    figure = Figure(figsize=(1 + 1.55 * columns, 1.85 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for line, (name, panel) in zip(axes, shown.items(), strict=True):
        for axis in line[len(panel.strengths) :]:
            axis.set_axis_off()
        for axis, strength in zip(line, panel.strengths, strict=False):
            image, found = _changed(subject, images, labels, chosen, name, strength, given)
            _tile(axis, image, found, subject.dataset.class_names, int(labels[chosen]))
            axis.set_xlabel("clean" if strength == panel.strengths[0] else f"{strength:g}", fontsize=9)
        line[0].set_ylabel(f"{panel.heading}\n{panel.unit}".replace(" (", "\n("), fontsize=9)
    return figure


def _changed(
    subject: Subject, images: Tensor, labels: Tensor, chosen: int, name: str, strength: float, given: argparse.Namespace
) -> tuple[Tensor, Tensor]:
    """Return the chosen image (3, H, W) after the change, and its scores (classes,)."""
    # with a norm over the batch all images that are alone in theirs have the same scores
    batch, at = (slice(None), chosen) if batch_dependence(subject.config) else (slice(chosen, chosen + 1), 0)
    if name in CORRUPTIONS:
        corruption = CORRUPTIONS[name]
        if strength != corruption.clean:
            images = corruption.apply(images, strength, stream(given.seed, f"robustness {name}", 0))
        with torch.no_grad():
            return images[chosen], scores(subject.network, images[batch])[at]
    attack_norm = ATTACK_NORMS[name.split()[0]]
    found = attack(subject.network, images[batch], labels[batch], attack_norm, strength, steps=given.steps)
    return found.images[at], found.scores[at]


def _tile(axis: Axes, image: Tensor, found: Tensor, names: Sequence[str], label: int) -> None:
    probabilities = torch.softmax(found, 0)
    guess = int(probabilities.argmax())
    axis.imshow(image.permute(1, 2, 0).cpu().numpy() / 255, interpolation="nearest")
    axis.set_title(f"{names[guess]} {probabilities[guess]:.0%}", fontsize=9, color=RIGHT if guess == label else WRONG)
    axis.set_xticks([])
    axis.set_yticks([])
