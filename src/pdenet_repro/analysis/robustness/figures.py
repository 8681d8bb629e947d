"""Pictures of robustness: accuracy against strength, and an image at each strength."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from pdenet_repro.analysis.options import scores_depend_on_batch
from pdenet_repro.analysis.robustness.attacks import NORMS, attack, correctness, scores
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.analysis.styles import draw_grid, legend_columns, line_styles
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.figures import Numbers
from pdenet_repro.system.seeds import stream

WRONG, RIGHT = "#c22f00", "#1d2329"


@dataclass(frozen=True)
class Panel:
    """One corruption or attack: its strengths, the first of which changes nothing, and the random change of the same size."""

    heading: str
    unit: str
    strengths: tuple[float, ...]
    control: str = ""


def curves(rows: Numbers, panels: Mapping[str, Panel], chance: float) -> Figure:
    """A panel for each corruption and attack, in it a line with its interval for each network; strengths are evenly spaced."""
    figure = Figure(figsize=(13.5, 7), layout="constrained")
    axes = figure.subplots(2, -(-len(panels) // 2), sharey=True)
    style = line_styles((row["network"], row["dynamic"]) for row in rows)
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=True):
        at = {strength: i for i, strength in enumerate(panel.strengths)}
        for network, how in style.items():
            own = [row for row in rows if row["network"] == network]
            line = [row for row in own if row["perturbation"] == name]
            x = [at[row["strength"]] for row in line]
            axis.plot(
                x, [row["accuracy"] for row in line], how.line, color=how.colour, marker=how.marker, markersize=5,
                linewidth=1.8, label=network,
            )  # fmt: skip
            low, high = [row["low_95"] for row in line], [row["high_95"] for row in line]
            axis.fill_between(x, low, high, color=how.colour, alpha=0.13, linewidth=0)
            control = [row for row in own if row["perturbation"] == panel.control]
            x, y = [at[row["strength"]] for row in control], [row["accuracy"] for row in control]
            axis.plot(x, y, ":", color=how.colour)
        axis.axhline(chance, color="black", linewidth=0.8, linestyle=(0, (6, 3)))
        axis.set_title(panel.heading, fontsize=12)
        axis.set_xlabel(panel.unit)
        first, *others = panel.strengths
        axis.set_xticks(range(len(at)), [f"clean\n({first:g})", *[f"{value:g}" for value in others]])
        draw_grid(axis)
    for axis in axes[:, 0]:
        axis.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percentages, as they are written
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_ylim(-0.02, min(1, 1.05 * max(row["high_95"] for row in rows)))
        axis.set_ylabel("test accuracy")
    handles, names = axes.flat[0].get_legend_handles_labels()
    handles += [
        Line2D([], [], color="#555555", linestyle=":"),
        Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (6, 3))),
    ]
    names += ["random change of the same size", "chance"]
    figure.legend(
        handles, names, loc="outside lower center", ncols=legend_columns(names, figure, 11), frameon=False, fontsize=11
    )
    return figure


def gallery(
    subject: Subject, images: Tensor, labels: Tensor, panels: Mapping[str, Panel], given: argparse.Namespace
) -> Figure:
    """The first image of a batch (N, 3, H, W) uint8 that is classified rightly, under each corruption and iterated attack.

    Corruptions are drawn for the whole batch. Where scores depend on the batch, they are those of the image in this batch.
    """
    with torch.no_grad():
        right, _ = correctness(subject.network, images, labels)
    chosen = int(right.int().argmax())  # the first of the batch, if all are classified wrongly
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
    """The chosen image (3, H, W) as it is shown, and its scores (classes,)."""
    # a norm over the examples gives the same scores for every image that is alone in its batch
    batch, at = (slice(None), chosen) if scores_depend_on_batch(subject) else (slice(chosen, chosen + 1), 0)
    if name in CORRUPTIONS:
        corruption = CORRUPTIONS[name]
        if strength != corruption.clean:
            images = corruption.apply(images, strength, stream(given.seed, f"robustness {name}", 0))
        with torch.no_grad():
            return images[chosen], scores(subject.network, images[batch])[at]
    norm = NORMS[name.split()[0]]
    found = attack(subject.network, images[batch], labels[batch], norm, strength, steps=given.steps)
    return found.images[at], found.scores[at]


def _tile(axis: Axes, image: Tensor, found: Tensor, names: Sequence[str], label: int) -> None:
    probabilities = torch.softmax(found, 0)
    guess = int(probabilities.argmax())
    axis.imshow(image.permute(1, 2, 0).cpu().numpy() / 255, interpolation="nearest")
    axis.set_title(f"{names[guess]} {probabilities[guess]:.0%}", fontsize=9, color=RIGHT if guess == label else WRONG)
    axis.set_xticks([])
    axis.set_yticks([])
