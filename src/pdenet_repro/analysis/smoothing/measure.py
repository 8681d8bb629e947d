"""Kind ``smoothing``: measure the energy of the features by frequency band, and their gradient, at every time step.

A heat equation damps high frequencies: their energy falls, not only their share, which also falls where low ones grow. The
parabolic equation (7) without normalisation and bias decreases the Euclidean norm of the features, but its kernels and activation
decide which frequencies it damps. Frequencies are those of the orthonormal discrete cosine transform, which needs no periodic
images. The Nyquist frequency is half a period per pixel of the unit's grid.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.fft import dctn
from torch import Tensor

from pdenet_repro.analysis import depth_axes
from pdenet_repro.analysis.drawing import draw_band, legend, panels, plain_numbers
from pdenet_repro.analysis.result import HIGH, LOW, Picture, Result, Row, columns_of, plain, quantiles, where
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import Place, batch_slices, places, state_features, states
from pdenet_repro.report.figures import percent_axis
from pdenet_repro.system.console import progress

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 16
BANDS = (0.0, 1 / 8, 1 / 4, 1 / 2, 1.0)  # edges of the bands, as shares of the Nyquist frequency
UPPER, GRADIENT = "share_0.5_to_1_nyquist", "gradient_over_norm"
UPPER_GROWTH = "energy_0.5_to_1_nyquist_over_unit_start"
LABELS = {
    UPPER: "energy above half\nthe Nyquist frequency",
    UPPER_GROWTH: "this energy over that\nat the start of the unit",
    GRADIENT: "‖∇Y‖ over ‖Y‖\n(pixels of the unit's grid)",
}


def band_energies(Y: Tensor) -> np.ndarray:
    """Return the part of ``|Y|^2`` in each band, (bands, N), for each example of features Y (N, C, H, W).

    The larger of a mode's two frequencies, ``max(k_y / H, k_x / W)`` in units of Nyquist's, decides its band.
    """
    energy = np.square(dctn(Y.double().cpu().numpy(), axes=(2, 3), norm="ortho"))
    frequency = np.maximum(*np.meshgrid(*(np.arange(n) / n for n in Y.shape[2:]), indexing="ij"))
    return np.array([energy[..., (low <= frequency) & (frequency < high)].sum((1, 2)) for low, high in pairwise(BANDS)])


def gradient_norm(Y: Tensor) -> np.ndarray:
    """Return ``|grad Y|`` of each example of features Y (N, C, H, W), (N,), with forward differences as gradient."""
    return np.sqrt(sum(Y.double().diff(dim=d).square().flatten(1).sum(1).cpu().numpy() for d in (2, 3)))


@torch.no_grad()
def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the features of test images at every time step of every network."""
    rows: list[Row] = []
    names = [f"share_{low:g}_to_{high:g}_nyquist" for low, high in pairwise(BANDS)]
    for subject in progress(subjects, "frequencies of the features"):
        pixels, _ = subject.test_images(given.images, given.seed)
        found: dict[Place, list[tuple[np.ndarray, np.ndarray]]] = {}
        for part in batch_slices(subject, given.images):
            for place, state in states(subject.network, subject.network.standardize(pixels[part])):
                Y = state_features(subject.network, place, state)
                if Y.ndim == 4:
                    found.setdefault(place, []).append((band_energies(Y), gradient_norm(Y)))
        start: dict[int, np.ndarray] = {}  # the energy of high frequencies with which a unit begins
        for place, measured in found.items():
            energies, gradients = (np.concatenate(each, axis=-1) for each in zip(*measured, strict=True))
            squares = energies.sum(0).clip(1e-300)
            shares = energies / squares
            if place.step == 0:
                start[place.unit] = np.where(energies[-1] > 0, energies[-1], np.nan)
            rows.append(
                {**subject.columns, "unit": place.unit, "step": place.step, "images": given.images}
                | {name: float(np.median(share)) for name, share in zip(names, shares, strict=True)}
                | quantiles(UPPER, shares[-1])
                | quantiles(GRADIENT, gradients / np.sqrt(squares))
                | quantiles(UPPER_GROWTH, energies[-1] / start[place.unit])
            )
    result = Result(tables={"smoothing": rows})
    for subject in subjects:
        own = [row for row in where(rows, network=subject.name) if row["unit"]]
        ends = {(row["unit"], row["step"] > 0): row for row in own}  # keeps step 0 and the last step
        changes = "; ".join(
            f"unit {unit} {ends[unit, False][f'{UPPER}_median']:.1%} to {ends[unit, True][f'{UPPER}_median']:.1%} "
            f"(energy times {plain(ends[unit, True][f'{UPPER_GROWTH}_median'])})"
            for unit in dict.fromkeys(row["unit"] for row in own)
        )
        result.sentences.append(
            f"{subject.name}: share of the features' energy above half the Nyquist frequency, from the start to the end of the "
            f"units, and the factor of this energy (medians over {given.images} test images): {changes}."
        )
    result.pictures["smoothing"] = Picture(
        picture(rows, places(*(subject.config.network for subject in subjects))[1:-1]),
        "Frequencies of the features",
        "Above: share of the features' energy above half the Nyquist frequency of their grid. Middle: this energy over that at "
        "the start of the unit. Below: norm of the gradient over that of the features. Medians over "
        f"{given.images} test images, bands from {LOW} to {HIGH} %; "
        "networks as they are, in evaluation mode. A flow that damps high frequencies lowers all three; "
        "where low ones grow more, the first and the last fall too.",
    )
    return result


def picture(rows: Sequence[Row], path: Sequence[Place]) -> Figure:
    """Draw the share and the energy of high frequencies, and the relative gradient, at every place of ``path``."""
    groups = panels(rows)
    figure = Figure(figsize=(10.5, 1.8 + 2.2 * len(LABELS) * len(groups)), layout="constrained")
    axes = figure.subplots(len(LABELS) * len(groups), 1)
    drawn = [(name, group) for name in LABELS for group in groups]
    for i, (axis, (name, group)) in enumerate(zip(axes, drawn, strict=True)):
        depth_axes.prepare(axis, path, named=not i, labelled=axis is axes[-1])
        for network, how in group.items():
            for unit, at in enumerate(depth_axes.unit_indices(path), start=1):
                own = where(rows, network=network, unit=unit)
                spread = columns_of(own, *quantiles(name, None))
                draw_band(axis, [at[0] + row["step"] for row in own], spread, how, network if unit == 1 else None, 0.1,
                          markersize=4.5, linewidth=1.8)  # fmt: skip
        if name == UPPER_GROWTH:
            axis.set_yscale("log")
            axis.axhline(1, color="black", linewidth=0.8, zorder=1)
            plain_numbers(axis)
        else:
            axis.set_ylim(0, 1.08 * max(row[f"{name}_p{HIGH}"] for row in rows if row["unit"]))
        axis.set_ylabel(LABELS[name])
        if name == UPPER:
            percent_axis(axis.yaxis)
    legend(figure)
    return figure
