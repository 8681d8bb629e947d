"""Pictures of robustness: accuracy against strength, and what the strengths look like."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from pdenet_repro.analysis.attacks import NORMS, attack, judge, scores
from pdenet_repro.analysis.corruptions import CORRUPTIONS
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.figures import MARKERS, Numbers, colours
from pdenet_repro.seeds import stream

WRONG, RIGHT = "#c22f00", "#1d2329"


@dataclass(frozen=True)
class Panel:
    """One damage or attack: its strengths, the first of which changes nothing, and the random change it is held against."""

    heading: str
    unit: str
    strengths: tuple[float, ...]
    control: str = ""


def curves(rows: Numbers, panels: Mapping[str, Panel], chance: float) -> Figure:
    """A panel for each damage and attack, a line with its interval for each network; evenly spaced strengths."""
    figure = Figure(figsize=(13.5, 7), layout="constrained")
    axes = figure.subplots(2, -(-len(panels) // 2), sharey=True)
    colour = colours(list(dict.fromkeys(row["dynamic"] for row in rows)))
    for axis, (name, panel) in zip(axes.flat, panels.items(), strict=True):
        at = {strength: i for i, strength in enumerate(panel.strengths)}
        for network in dict.fromkeys(row["network"] for row in rows):
            own = [row for row in rows if row["network"] == network]
            line = [row for row in own if row["perturbation"] == name]
            shade, marker = colour[line[0]["dynamic"]], MARKERS.get(line[0]["dynamic"], "v")
            x = [at[row["strength"]] for row in line]
            axis.plot(
                x, [row["accuracy"] for row in line], "-" if line[0]["trained"] else "--", color=shade, marker=marker,
                markersize=5, linewidth=1.8, label=network,
            )  # fmt: skip
            low, high = [row["low_95"] for row in line], [row["high_95"] for row in line]
            axis.fill_between(x, low, high, color=shade, alpha=0.13, linewidth=0)
            control = [row for row in own if row["perturbation"] == panel.control]
            axis.plot([at[row["strength"]] for row in control], [row["accuracy"] for row in control], ":", color=shade)
        axis.axhline(chance, color="black", linewidth=0.8, linestyle=(0, (6, 3)))
        axis.set_title(panel.heading, fontsize=12)
        axis.set_xlabel(panel.unit)
        first, *others = panel.strengths
        axis.set_xticks(range(len(at)), [f"clean\n({first:g})", *[f"{value:g}" for value in others]])
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set_ylim(-0.02, min(1, 1.05 * max(row["high_95"] for row in rows)))
        axis.set_ylabel("test accuracy")
    handles, names = axes.flat[0].get_legend_handles_labels()
    handles += [
        Line2D([], [], color="#555555", linestyle=":"),
        Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (6, 3))),
    ]
    figure.legend(handles, [*names, "random change of the same size", "chance"], loc="outside lower center", ncols=6,
                  frameon=False, fontsize=11)  # fmt: skip
    return figure


def gallery(subject: Subject, panels: Mapping[str, Panel], given: argparse.Namespace) -> Figure:
    """The first of the images that the network knows, under each damage and iterated attack at each strength."""
    images, labels = subject.test_images(min(given.images, 50), given.seed)
    with torch.no_grad():
        right, _ = judge(subject.network, images, labels)
    chosen = int(right.int().argmax())  # the first of all, if it knows none
    image, label = images[chosen : chosen + 1], labels[chosen : chosen + 1]
    shown = {name: panel for name, panel in panels.items() if not name.endswith("one-step")}
    columns = max(len(panel.strengths) for panel in shown.values())
    figure = Figure(figsize=(1 + 1.55 * columns, 1.85 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for line, (name, panel) in zip(axes, shown.items(), strict=True):
        for axis in line[len(panel.strengths) :]:
            axis.set_axis_off()
        for axis, strength in zip(line, panel.strengths, strict=False):
            _tile(axis, subject, _changed(subject, image, label, name, strength, given), int(label))
            axis.set_xlabel("clean" if strength == panel.strengths[0] else f"{strength:g}", fontsize=9)
        line[0].set_ylabel(f"{panel.heading}\n{panel.unit}".replace(" (", "\n("), fontsize=9)
    return figure


def _changed(
    subject: Subject, image: Tensor, label: Tensor, name: str, strength: float, given: argparse.Namespace
) -> Tensor:
    random = stream(given.seed, f"robustness {name}", 0)
    if name in CORRUPTIONS:
        unchanged = strength == CORRUPTIONS[name].clean
        return image if unchanged else CORRUPTIONS[name].apply(image, strength, random)
    return attack(subject.network, image, label, NORMS[name.split()[0]], strength, steps=given.steps).images


def _tile(axis: Axes, subject: Subject, image: Tensor, label: int) -> None:
    probabilities = torch.softmax(scores(subject.network, image).detach(), 1)[0]
    guess = int(probabilities.argmax())
    axis.imshow(image[0].permute(1, 2, 0).cpu().numpy() / 255, interpolation="nearest")
    name = subject.dataset.class_names[guess]
    axis.set_title(f"{name} {probabilities[guess]:.0%}", fontsize=9, color=RIGHT if guess == label else WRONG)
    axis.set_xticks([])
    axis.set_yticks([])
