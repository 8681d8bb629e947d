"""Kind ``robustness``: accuracy on corrupted images and under gradient attacks of growing strength.

The paper's claim is that stable dynamics make networks robust (v1, Section 3). The accuracy of each network is measured with its
exact binomial interval, on the same images with the same random draws, in the precision of its training. As networks differ on
clean images already, the share of the images right without change that stay right is given too, and two networks are compared
image by image (McNemar's exact test).
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.options import about_batches, add_images, scores_depend_on_batch
from pdenet_repro.analysis.result import Picture, Result
from pdenet_repro.analysis.robustness.attacks import NORMS, Norm, attack, correctness, perturbed
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.analysis.robustness.figures import Panel, curves, gallery
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.report.figures import Numbers
from pdenet_repro.report.statistics import exact_interval, mcnemar
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.console import progress
from pdenet_repro.system.device import autocast
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.seeds import stream
from pdenet_repro.training.evaluation import batch_count

BATCH = 50  # images at a time; with gradients they take 3 GB in the paper's network
BUDGETS: dict[str, tuple[float, ...]] = {"linf": (1, 4, 8, 16, 32), "l2": (100, 400, 800, 1600, 3200)}  # of 255
NAMES = (*CORRUPTIONS, *NORMS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this kind to its parser."""
    defaults = {name: each.strengths for name, each in CORRUPTIONS.items()} | BUDGETS
    known = "; ".join(f"{name}={','.join(f'{value:g}' for value in values)}" for name, values in defaults.items())
    add_images(parser, 40)
    parser.add_argument(
        "--strengths", type=_strengths, action=_OfAnotherName, default=[], metavar="NAME=A,B,...",
        help=f"strengths of one damage or norm, growing; may be repeated for others; defaults: {known}",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=whole_number(2), default=10, metavar="N", help="of iterated attacks (default 10)"
    )
    parser.add_argument(
        "--restarts", type=whole_number(0), default=2, metavar="N",
        help="iterated attacks start at the image, then N more times at a random change; the best counts (default 2)",
    )  # fmt: skip


class _OfAnotherName(argparse.Action):
    """Appends (name, strengths) to the option's values; refuses a name that has been given before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        (name, _), known = values, dict(before)
        if name in known:
            again, first = (",".join(f"{value:g}" for value in each) for each in (values[1], known[name]))
            raise argparse.ArgumentError(
                self, f"{name}={again}: must name another damage or norm, {name}={first} has been given already"
            )
        setattr(namespace, self.dest, [*before, values])


def _strengths(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, values = text.partition("=")
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"{text}: must be one of {', '.join(NAMES)}, then = and strengths")
    try:
        found = tuple(float(value) for value in values.split(","))
    except ValueError:
        found = ()
    bounds = {"contrast": (1, 1000), "occlusion": (0, IMAGE_SIDE), "blur": (0, 15)}  # blur stays inside
    least, most = bounds.get(name, (0, 1e6))
    growing = all(a < b for a, b in zip(found, found[1:], strict=False))
    if not found or not growing or not least < found[0] or not found[-1] <= most:
        raise argparse.ArgumentTypeError(
            f"{text}: strengths of {name} must be growing numbers above {least} and at most {most:g}, like {name}=2,4,8"
        )
    return name, found


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the accuracy of each network under each corruption and attack at each strength.

    Raises
    ------
    InvalidConfig
        The networks are of different data sets, there are fewer test images, or a single image is given for a network whose
        scores depend on the batch.
    """
    if len({each.config.data.name for each in subjects}) > 1:
        raise InvalidConfig("robustness: the networks must be of one data set, to be shown the same images")
    batches = about_batches(subjects, given.images, BATCH)
    panels = _panels(given)
    right = {subject: _right(subject, panels, given) for subject in subjects}
    rows = [row for subject in subjects for row in _rows(subject, right[subject], panels, given)]
    pairs = [
        row for one, other in combinations(subjects, 2) for row in _pair_rows(one, other, right[one], right[other])
    ]
    return Result(
        pictures={
            "robustness": Picture(
                curves(rows, panels, 1 / len(subjects[0].dataset.class_names)),
                "Accuracy under damage and attack",
                f"Share of {given.images} test images classified rightly (line) and its exact 95 % interval (band), the same "
                "images for all networks; the leftmost point is the clean image. Strengths are in pixel values of 0 to "
                "255, or in pixels. The standardisation undoes low contrast up to rounding. Attacks: images that are wrong "
                "without one count as wrong, under iterated attacks also those that are wrong at a smaller budget. Dotted: "
                "a random change of the same size, to compare an attack with.",
            ),
            "robustness_images": Picture(
                gallery(subjects[0], *_batches(subjects[0], given)[0], panels, given),
                "An image at each strength",
                f"A test image and its predicted class ({subjects[0].name}); red: wrong.",
            ),
        },
        tables={"robustness": rows, **({"robustness_pairs": pairs} if pairs else {})},
        sentences=[*batches, *_sentences(rows, panels, given), *_relative_sentences(rows, panels)],
    )


def _panels(given: argparse.Namespace) -> dict[str, Panel]:
    """The corruptions and attacks that are measured, by their names in the table."""
    chosen = dict(given.strengths)
    panels = {
        name: Panel(each.heading, each.unit, (each.clean, *chosen.get(name, each.strengths)))
        for name, each in CORRUPTIONS.items()
    }
    for name, norm in NORMS.items():
        budgets = (0, *chosen.get(name, BUDGETS[name]))
        panels[f"{name} one-step"] = Panel(f"attack, {norm.heading}: one step", norm.unit, budgets, f"{name} random")
        heading = f"attack, {norm.heading}: {given.steps} steps"
        panels[f"{name} iterated"] = Panel(heading, norm.unit, budgets, f"{name} random")
    return panels


def _batches(subject: Subject, given: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """Images (N, 3, H, W) uint8 and labels (N,) of each batch; N is nearly equal, so that no batch has a single image."""
    parts = (
        part.tensor_split(batch_count(given.images, BATCH)) for part in subject.test_images(given.images, given.seed)
    )
    return list(zip(*parts, strict=True))


Right = dict[
    tuple[str, float], np.ndarray
]  # by perturbation and strength: whether predictions are right, (images,) bool


def _right(subject: Subject, panels: dict[str, Panel], given: argparse.Namespace) -> Right:
    found: dict[tuple[str, float], list[np.ndarray]] = defaultdict(list)
    batches = progress(_batches(subject, given), f"robustness of {subject.name}, {given.images} images")
    for number, (pixels, truth) in enumerate(batches):
        context = autocast(pixels.device, subject.config.precision)
        batch = _Batch(subject.network, pixels, truth, number, given, scores_depend_on_batch(subject), context)
        parts = [batch.damaged(name, panels[name].strengths) for name in CORRUPTIONS]
        parts += [batch.attacked(name, panels[f"{name} iterated"].strengths) for name in NORMS]
        for part in parts:
            for place, right in part.items():
                found[place].append(right.cpu().numpy())
    return {place: np.concatenate(each) for place, each in found.items()}


def _rows(subject: Subject, found: Right, panels: dict[str, Panel], given: argparse.Namespace) -> Numbers:
    units = {panel.control: panel.unit for panel in panels.values()} | {n: panel.unit for n, panel in panels.items()}
    rows: Numbers = []
    clean = found["noise", 0]
    for (name, strength), right in found.items():
        low, high = exact_interval(float(right.mean()), given.images)
        kept, of = int((right & clean).sum()), int(clean.sum())
        relative_low, relative_high = exact_interval(kept / of, of) if of else (0.0, 1.0)
        rows.append(
            {"network": subject.name, "dynamic": subject.dynamic, "trained": subject.folder is not None,
             "perturbation": name, "strength": strength, "unit": units[name], "images": given.images, "right": int(right.sum()),
             "accuracy": float(right.mean()), "low_95": low, "high_95": high, "right_clean": of, "still_right": kept,
             "share_still_right": kept / of if of else "", "share_low_95": relative_low, "share_high_95": relative_high}
        )  # fmt: skip
    return rows


def _pair_rows(one: Subject, other: Subject, right: Right, of_other: Right) -> Numbers:
    """Rows that compare two networks on the images that both classify rightly without change (McNemar)."""
    both = right["noise", 0] & of_other["noise", 0]
    rows: Numbers = []
    for (name, strength), found in right.items():
        only_first, only_second, p = mcnemar(found[both], of_other[name, strength][both])
        rows.append(
            {"first": one.name, "second": other.name, "perturbation": name, "strength": strength,
             "images_right_clean_in_both": int(both.sum()), "right_only_in_first": only_first,
             "right_only_in_second": only_second, "mcnemar_p": p}
        )  # fmt: skip
    return rows


@dataclass
class _Batch:
    """A batch of images (N, 3, H, W) uint8; the methods give by (name, strength) which predictions are right, (N,) bool."""

    network: PDENet
    images: Tensor
    labels: Tensor
    number: int
    given: argparse.Namespace
    depends_on_batch: bool  # scores of an image depend on the others, so that no image may be left out
    context: Callable[[], AbstractContextManager[None]]  # of a forward pass in the precision of training

    @torch.no_grad()
    def damaged(self, name: str, strengths: Sequence[float]) -> dict[tuple[str, float], Tensor]:
        corruption, found = CORRUPTIONS[name], {}
        for strength in strengths:
            random = stream(self.given.seed, f"robustness {name}", self.number)
            images = corruption.apply(self.images, strength, random) if strength != corruption.clean else self.images
            with self.context():
                found[name, strength] = correctness(self.network, images, self.labels)[0]
        return found

    def attacked(self, name: str, budgets: Sequence[float]) -> dict[tuple[str, float], Tensor]:
        """Only images that are still right are attacked: no change, and a smaller one, are within every budget too."""
        norm, images, labels = NORMS[name], self.images.float(), self.labels
        random = stream(self.given.seed, f"robustness {name}", self.number)
        draw = norm.steepest(torch.from_numpy(random.standard_normal(images.shape)).to(images))
        with torch.no_grad(), self.context():
            clean, _ = correctness(self.network, images, labels)
        left, found = clean, {}
        for budget in budgets:
            for kind in ("random", "one-step", "iterated"):
                right = left if kind == "iterated" else clean
                if budget:
                    starts = [None, *[random] * self.given.restarts] if kind == "iterated" else [None]
                    for start in starts:
                        right = right.clone()
                        on = torch.ones_like(right) if self.depends_on_batch else right.clone()
                        if right.any():
                            right[on] &= self._right_after(kind, images[on], labels[on], norm, budget, draw[on], start)
                if kind == "iterated":
                    left = right
                found[f"{name} {kind}", budget] = right
        return found

    def _right_after(
        self, kind: str, images: Tensor, labels: Tensor, norm: Norm, budget: float, draw: Tensor,
        start: np.random.RandomState | None,
    ) -> Tensor:  # fmt: skip
        with self.context():
            if kind == "random":
                with torch.no_grad():
                    return correctness(self.network, perturbed(images, budget * draw, norm, budget), labels)[0]
            options: dict[str, Any] = {}
            if kind == "iterated":
                options = {"steps": self.given.steps, "random": start, "until_wrong": not self.depends_on_batch}
            return attack(self.network, images, labels, norm, budget, **options).right


def _relative_sentences(rows: Numbers, panels: dict[str, Panel]) -> list[str]:
    """Sentences on the images right without change that stay right under the iterated attacks of the smallest budget."""
    sentences = []
    for name in (name for name in panels if name.endswith("iterated")):
        strength = panels[name].strengths[1]
        kept = [
            row for row in rows if row["perturbation"] == name and row["strength"] == strength and row["right_clean"]
        ]
        shares = ", ".join(
            f"{row['network']} {row['share_still_right']:.0%} ({row['share_low_95']:.0%} to {row['share_high_95']:.0%}) of "
            f"{row['right_clean']}"
            for row in kept
        )
        if shares:
            sentences.append(
                f"Of the images right without change stay right under {panels[name].heading}, {strength:g}: {shares}."
            )
    return sentences


def _sentences(rows: Numbers, panels: dict[str, Panel], given: argparse.Namespace) -> list[str]:
    accuracy = {(row["perturbation"], row["strength"], row["network"]): row["accuracy"] for row in rows}
    networks = list(dict.fromkeys(row["network"] for row in rows))

    def listed(name: str, strength: float) -> str:
        return ", ".join(f"{network} {accuracy[name, strength, network]:.0%}" for network in networks)

    sentences = [f"Of {given.images} clean test images are classified rightly: {listed('noise', 0)}."]
    able = [network for network in networks if accuracy["noise", 0, network]]
    for name, panel in panels.items():
        clean, *strengths = panel.strengths
        halved = (
            strength
            for strength in strengths
            if any(accuracy[name, strength, each] <= accuracy[name, clean, each] / 2 for each in able)
        )
        strength = next(halved, strengths[-1])
        sentence = f"{panel.heading[0].upper()}{panel.heading[1:]}, {panel.unit} {strength:g}: {listed(name, strength)}"
        if panel.control:
            sentence += f"; a random change of that size: {listed(panel.control, strength)}"
        sentences.append(sentence + ".")
    largest = {name: panel.strengths[-1] for name, panel in panels.items() if name.endswith("iterated")}
    left = max(accuracy[name, budget, each] for name, budget in largest.items() for each in networks)
    budgets = " and ".join(f"{budget:g} ({NORMS[name.split()[0]].heading})" for name, budget in largest.items())
    sentences.append(
        f"At the largest budgets, {budgets}, the iterated attacks leave at most {left:.0%}: "
        + (
            "near 0, as it must be where gradients are not masked; this alone does not show that they are not."
            if left <= 0.05
            else "not near 0, which it comes to where gradients are not masked; see larger ones with --strengths."
        )
    )
    return sentences
