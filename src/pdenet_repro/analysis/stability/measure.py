"""Kind ``stability``: measure the distance of two solutions at every time step of a network.

Distances are measured in the networks as they are, over longer times with and without normalisation (`longtime`), and in
parabolic units with frozen normalisation, to which Theorem 1 applies (`contraction`). Networks are in evaluation mode, in which
batch norms use running statistics (with ``evaluation.statistics=batch`` those of the batch). Distances are Euclidean, over
channels and pixels, unless an energy norm is named.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.drawing import legend, line_styles, plain_numbers
from pdenet_repro.analysis.options import parse_numbers
from pdenet_repro.analysis.result import HIGH, LOW, Picture, Result, Row, joined, quantiles
from pdenet_repro.analysis.stability import contraction, longtime
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import (
    Place,
    batch_slices,
    entering_features,
    euclidean_norms,
    places,
    state_features,
    states,
    units,
)  # fmt: skip
from pdenet_repro.networks.dynamics import ResidualLayer
from pdenet_repro.system.console import progress
from pdenet_repro.system.seeds import stream, torch_seed

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 32
OPTIONS = {
    "--sizes": {
        "default": "0.01,0.1,0.5", "metavar": "A,B,...",
        "help": "norms of the perturbations, each over the norm of the image (default %(default)s)",
    }
}  # fmt: skip
PAIRS = 16  # largest number of pairs that are measured over long times and for Theorem 1
LEAST = 1e-5  # norm of a perturbation over that of the image; float32 rounds smaller perturbations off
SAME_CLASS = "another image of the class"


@dataclass(frozen=True)
class Distances:
    """The distances of two solutions at every place for every image, as arrays (places, images)."""

    distance: np.ndarray
    feature_norm: np.ndarray  # of the features of the first solution

    def growth(self, path: Sequence[Place]) -> np.ndarray:
        """Return the distance over that at the start of the unit, (places, images); NaN outside of units."""
        found = np.full_like(self.distance, np.nan)
        for at in depth_axes.unit_indices(path):
            start = self.distance[at[0]]
            found[at] = self.distance[at] / np.where(start, start, np.nan)
        return found

    @property
    def relative(self) -> np.ndarray:
        """The distance over the norm of the first solution's features, (places, images)."""
        return np.asarray(self.distance / self.feature_norm)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the distances of test images and their perturbations in every network, and test Theorem 1."""
    sizes = parse_numbers("--sizes", given.sizes, LEAST, 10)
    result, drawn, rows = Result(), [], []
    for subject in progress(subjects, "distances of solutions"):
        path = places(subject.config.network)
        by_start = distances(subject, given.images, sizes, given.seed)
        drawn.append((subject, path, by_start))
        rows += _rows(subject, path, by_start)
        result.sentences.append(_sentence(subject, path, by_start, given.images))
    if not any(issubclass(units(subject.network)[0].dynamic.layer, ResidualLayer) for subject in subjects):
        result.sentences.append(
            "The unrestricted control is not among the networks: it is trained with dynamic=resnet."
        )
    result.tables["stability"] = rows
    result.pictures["stability"] = Picture(
        _picture(drawn),
        "How far two solutions move apart",
        "Above: Euclidean distance of two solutions over their distance at the start of the unit, median over "
        f"{given.images} test images and all perturbations, bands from {LOW} to {HIGH} %; above 1 the flow "
        "expands (Theorem 1 promises at most 1 to the parabolic flow without norm and with small steps; a hyperbolic one may "
        "expand, linearly in time or faster). Random perturbations show the mean gain, not the largest (kind sensitivity). "
        "Below: the "
        "distance over the norm of the features, from the images to the classifier, medians. Networks as "
        "they are, with their norms, in evaluation mode; opening, connectors and pooling (grey) do not belong to the flow.",
    )
    pairs = {subject: _perturbed_features(subject, given) for subject in subjects}
    each_subject = progress(subjects, "distances over a long time")
    result.tables["stability_long"] = [row for each in each_subject for row in longtime.rows(each, pairs[each])]
    result.sentences += longtime.sentences(result.tables["stability_long"])
    result.pictures["stability_long"] = Picture(
        longtime.picture(result.tables["stability_long"], {subject.config.network.steps for subject in subjects}),
        "Two solutions over a long time",
        f"Distance of two solutions over that at the start when the units go on for {longtime.LONGER} times as long with the "
        f"weights of their first step, {min(given.images, PAIRS)} pairs: median of the units, bands over the units. From "
        "the left: the network's norm and step size; the theorems' setting, without norm, the time steps below the bound "
        "2 / ‖K‖² (and 2 / ‖K‖ for leapfrog); for hyperbolic dynamics the same of the velocity and σ(K Y), which H bounds. "
        "Both axes are logarithmic: a straight line is growth like a power of time.",
    )
    contraction.measure(subjects, pairs, result)
    return result


@torch.no_grad()
def _perturbed_features(subject: Subject, given: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """Return for each unit the features (N, C, H, W) of test images that enter it, and these with random perturbations.

    The norm of a perturbation is a tenth of that of the features.
    """
    generator = torch.Generator().manual_seed(torch_seed(given.seed, "theorem"))
    pairs = []
    for Y in entering_features(subject, min(given.images, PAIRS), given.seed):
        D = torch.randn(Y.shape, generator=generator).to(Y)
        pairs.append((Y, Y + D * (0.1 * euclidean_norms(Y) / euclidean_norms(D)).to(Y)[:, None, None, None]))
    return pairs


@torch.no_grad()
def distances(subject: Subject, images: int, sizes: Sequence[float], seed: int) -> dict[float | str, Distances]:
    """Compute the distances between test images and their perturbations; the result is keyed by the perturbation.

    A key is a size, the norm of a random change over that of the standardised image, or `SAME_CLASS`, for another image of the
    class; images without one are left out of it. Random directions are the same for all sizes and networks.
    """
    pixels, labels = subject.test_images(images, seed)
    generator = torch.Generator().manual_seed(torch_seed(seed, "perturbation"))
    partner = partners(labels.cpu().numpy(), seed)
    starts: list[float | str] = [*sizes, SAME_CLASS]
    parts = []
    for part in batch_slices(subject, images, solutions=len(sizes) + 2):
        X = subject.network.standardize(pixels[part])
        D = torch.randn(X.shape, generator=generator).to(X.device)
        D *= (euclidean_norms(X) / euclidean_norms(D)).to(X.dtype)[:, None, None, None]
        others = subject.network.standardize(pixels[partner[part]])
        solutions = [states(subject.network, start) for start in (X, *(X + size * D for size in sizes), others)]
        found = []
        for (place, state), *perturbed in zip(*solutions, strict=True):
            Y = state_features(subject.network, place, state)
            distance = [euclidean_norms(state_features(subject.network, place, other) - Y) for _, other in perturbed]
            found.append(torch.stack([torch.stack(distance), euclidean_norms(Y).expand(len(starts), -1)]))
        parts.append(torch.stack(found, dim=2).cpu().numpy())  # (distance and norm, starts, places, images)
    by_start = {
        start: Distances(*each) for start, each in zip(starts, np.concatenate(parts, 3).swapaxes(0, 1), strict=True)
    }
    paired, last = partner != np.arange(images), by_start.pop(SAME_CLASS)
    if paired.any():
        by_start[SAME_CLASS] = Distances(last.distance[:, paired], last.feature_norm[:, paired])
    return by_start


def partners(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return for each label (N,) the index of another image of the class, or the image's own index if there is none."""
    partner = np.arange(len(labels))
    for label in np.unique(labels):
        of_class = stream(seed, "partners", int(label)).permutation(np.flatnonzero(labels == label))
        partner[of_class] = np.roll(of_class, 1)
    return partner


def _rows(subject: Subject, path: Sequence[Place], by_start: dict[float | str, Distances]) -> list[Row]:
    rows = []
    for start, found in by_start.items():
        growth, relative = found.growth(path), found.relative
        for i, place in enumerate(path):
            row = {
                "network": subject.name, "perturbation": start, "place": place.name or f"unit {place.unit}",
                "unit": place.unit if place.in_unit else "", "step": place.step if place.in_unit else "",
                "images": relative.shape[1], **quantiles("relative_distance", relative[i]),
            }  # fmt: skip
            rows.append(row | quantiles("distance_over_unit_start", growth[i] if place.in_unit else None))
    return rows


def _together(path: Sequence[Place], by_start: dict[float | str, Distances]) -> np.ndarray:
    """Return `Distances.growth` of all perturbations together, (places, images x perturbations)."""
    return np.concatenate([found.growth(path) for found in by_start.values()], axis=1)


def _sentence(subject: Subject, path: Sequence[Place], by_start: dict[float | str, Distances], images: int) -> str:
    ends = _together(path, by_start)[[at[-1] for at in depth_axes.unit_indices(path)]]
    factors = joined(map(np.nanmedian, ends), ".2f")
    return (
        f"{subject.name}: the units multiply the distance of two solutions by {factors} (medians over {images} test "
        f"images, {len(by_start)} perturbations each; norm {subject.config.network.norm}, h = "
        f"{subject.config.network.step_size:g}); {np.nanmean(ends > 1):.0%} of the distances grow in a unit, at most by a "
        f"factor of {np.nanmax(ends):.2f}."
    )


def _picture(drawn: Sequence[tuple[Subject, Sequence[Place], dict[float | str, Distances]]]) -> Figure:
    longest = places(*(subject.config.network for subject, _, _ in drawn))
    style = line_styles((subject.name, subject.dynamic) for subject, _, _ in drawn)
    figure = Figure(figsize=(10.5, 7.6), layout="constrained")
    above, below = figure.subplots(2, 1)
    depth_axes.prepare(above, longest, labelled=False)
    depth_axes.prepare(below, longest, named=False)
    above.axhline(1, color="black", linewidth=1)
    for subject, path, by_start in drawn:
        how = style[subject.name]
        growth, x = _together(path, by_start), np.array(depth_axes.positions(longest, path))
        for i, at in enumerate(depth_axes.unit_indices(path)):
            depth_axes.draw(above, x[at], growth[at], how, None if i else subject.name)
        for found in by_start.values():
            depth_axes.draw(below, x, found.relative, how, band=False, marker=None)
    for start, found in drawn[0][2].items():
        name = f"perturbed by\n{start:g}" if isinstance(start, float) else start.replace(" of", "\nof")
        below.text(-0.15, np.median(found.relative[0]), name, fontsize=8, ha="right", va="center")
    for axis in (above, below):
        axis.set_yscale("log")
        axis.set_xlim(left=-2.0)
    plain_numbers(above)
    below.yaxis.set_major_formatter("{x:g}")
    above.set_ylabel("distance of two solutions\nover that at the start of the unit")
    above.text(
        0.004, 1.0, "expands ↑\ncontracts ↓", fontsize=8, va="center", transform=above.get_yaxis_transform(),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=2.2,  # above the line at 1, below the frame
    )  # fmt: skip
    below.set_ylabel("distance over\nnorm of the features")
    legend(figure)
    return figure
