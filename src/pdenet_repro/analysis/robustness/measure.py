"""Kind ``robustness``: measure accuracy on corrupted images and under gradient attacks of growing strength.

The paper claims that stable dynamics make networks robust (v1, Section 3). The accuracy of each network is measured with its
exact binomial interval, on the same images with the same random draws, in the precision of its training. Since networks differ
on clean images already, a second number is the share of correctly classified clean images that stay correct, and two networks
are compared image by image (McNemar's exact test).
"""

import argparse
from collections.abc import Sequence
from itertools import combinations

from torch import Tensor

from pdenet_repro.analysis.options import batch_dependence_note
from pdenet_repro.analysis.result import Picture, Result, Row, where
from pdenet_repro.analysis.robustness.accuracy import Right, right_predictions
from pdenet_repro.analysis.robustness.attacks import ATTACK_NORMS
from pdenet_repro.analysis.robustness.figures import curves, gallery
from pdenet_repro.analysis.robustness.panels import KNOWN, AddStrengths, Panel, panels_of
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.statistics import exact_interval, mcnemar
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.training.evaluation import batch_count

IMAGES = 40
OPTIONS = {
    "--strengths": {
        "action": AddStrengths, "default": {}, "metavar": "NAME=A,B,...",
        "help": f"increasing strengths of one corruption or attack norm; repeat the option for others; defaults: {KNOWN}",
    },
    "--steps": {
        "type": whole_number(2), "default": 10, "metavar": "N", "help": "steps of iterated attacks (default %(default)s)",
    },
    "--restarts": {
        "type": whole_number(0), "default": 2, "metavar": "N",
        "help": "iterated attacks start at the image, then N times at random changes of it; the most successful counts "
        "(default %(default)s)",
    },
}  # fmt: skip
BATCH = 50  # images that are computed together; with gradients they take 3 GB in the paper's network


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the accuracy of each network under each corruption and attack at each strength.

    Raises
    ------
    InvalidConfig
        The networks have different data sets, ``--images`` exceeds the test images, or it is 1 although the scores of a
        network depend on the batch.
    """
    if len({each.config.data.name for each in subjects}) > 1:
        found = " and ".join(f"{each.name} has data.name={each.config.data.name}" for each in subjects)
        raise InvalidConfig(
            f"robustness: all networks must have one data set, to classify the same images, but {found}"
        )
    batches = batch_dependence_note(subjects, given.images, BATCH)
    panels = panels_of(given)
    right = {subject: right_predictions(subject, _batches(subject, given), panels, given) for subject in subjects}
    rows = [row for subject in subjects for row in _rows(subject, right[subject], panels, given)]
    pairs = [
        row for one, other in combinations(subjects, 2) for row in _pair_rows(one, other, right[one], right[other])
    ]
    return Result(
        pictures={
            "robustness": Picture(
                curves(rows, panels, 1 / len(subjects[0].dataset.class_names)),
                "Accuracy under corruptions and attacks",
                f"Share of {given.images} test images that are classified correctly (line) and its exact 95 % interval (band), "
                "the same images for all networks; the leftmost point is the clean image. Each axis names the unit of the "
                "strength. The standardisation undoes low contrast up to rounding. Under an attack, images that are wrong "
                "without it count as wrong; under an iterated one also those that are wrong at a smaller budget. "
                "Dotted: a random change of the same size, for comparison.",
            ),
            "robustness_images": Picture(
                gallery(subjects[0], *_batches(subjects[0], given)[0], panels, given),
                "An image at each strength",
                f"A test image and its predicted class ({subjects[0].name}); wrong predictions are red.",
            ),
        },
        tables={"robustness": rows, **({"robustness_pairs": pairs} if pairs else {})},
        sentences=[*batches, *_sentences(rows, panels, given), *_relative_sentences(rows, panels)],
    )


def _batches(subject: Subject, given: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """Return batches of images (N, 3, H, W) uint8 and labels (N,) of nearly equal size, so that none has a single image."""
    parts = (
        part.tensor_split(batch_count(given.images, BATCH)) for part in subject.test_images(given.images, given.seed)
    )
    return list(zip(*parts, strict=True))


def _rows(subject: Subject, found: Right, panels: dict[str, Panel], given: argparse.Namespace) -> list[Row]:
    units = {panel.control: panel.unit for panel in panels.values()} | {n: panel.unit for n, panel in panels.items()}
    rows = []
    clean = found["noise", 0]
    for (name, strength), right in found.items():
        low, high = exact_interval(float(right.mean()), given.images)
        kept, of = int((right & clean).sum()), int(clean.sum())
        relative_low, relative_high = exact_interval(kept / of, of) if of else (0.0, 1.0)
        rows.append(
            {**subject.columns, "trained": subject.folder is not None, "perturbation": name, "strength": strength,
             "unit": units[name], "images": given.images, "right": int(right.sum()), "accuracy": float(right.mean()),
             "low_95": low, "high_95": high, "right_clean": of, "still_right": kept,
             "share_still_right": kept / of if of else "", "share_low_95": relative_low, "share_high_95": relative_high}
        )  # fmt: skip
    return rows


def _pair_rows(one: Subject, other: Subject, right: Right, of_other: Right) -> list[Row]:
    """Compare two networks on the images that both classify correctly without change (McNemar's test)."""
    both = right["noise", 0] & of_other["noise", 0]
    rows = []
    for (name, strength), found in right.items():
        only_first, only_second, p = mcnemar(found[both], of_other[name, strength][both])
        rows.append(
            {"first": one.name, "second": other.name, "perturbation": name, "strength": strength,
             "images_right_clean_in_both": int(both.sum()), "right_only_in_first": only_first,
             "right_only_in_second": only_second, "mcnemar_p": p}
        )  # fmt: skip
    return rows


def _relative_sentences(rows: Sequence[Row], panels: dict[str, Panel]) -> list[str]:
    """State how many correctly classified images stay correct under iterated attacks with the smallest budget."""
    sentences = []
    for name in (name for name in panels if name.endswith("iterated")):
        strength = panels[name].strengths[1]
        kept = [row for row in where(rows, perturbation=name, strength=strength) if row["right_clean"]]
        shares = ", ".join(
            f"{row['network']} {row['share_still_right']:.0%} ({row['share_low_95']:.0%} to {row['share_high_95']:.0%}) of "
            f"{row['right_clean']}"
            for row in kept
        )
        if shares:
            sentences.append(
                f"Share of the correctly classified clean images that stay correct under {panels[name].heading}, {strength:g}: "
                f"{shares}."
            )
    return sentences


def _sentences(rows: Sequence[Row], panels: dict[str, Panel], given: argparse.Namespace) -> list[str]:
    accuracy = {(row["perturbation"], row["strength"], row["network"]): row["accuracy"] for row in rows}
    networks = list(dict.fromkeys(row["network"] for row in rows))

    def listed(name: str, strength: float) -> str:
        return ", ".join(f"{network} {accuracy[name, strength, network]:.0%}" for network in networks)

    sentences = [f"Share of the {given.images} clean test images that are classified correctly: {listed('noise', 0)}."]
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
    budgets = " and ".join(f"{budget:g} ({ATTACK_NORMS[name.split()[0]].heading})" for name, budget in largest.items())
    sentences.append(
        f"At the largest budgets, {budgets}, the accuracy under iterated attacks is at most {left:.0%}. "
        + (
            "It is near 0, as it must be if gradients are not masked, but this does not prove that they are not."
            if left <= 0.05
            else "It is not near 0, as it must be at large budgets if gradients are not masked; --strengths takes larger ones."
        )
    )
    return sentences
