"""Kernels of networks as differential operators, and the same networks on other meshes.

The 3x3 kernels of a unit are split into reaction, convection, diffusion and higher terms. Then the images are put on
coarser and finer meshes, and the network is moved there through the coefficients: every 3x3 kernel (opening and units)
becomes the stencil of the same differential operator at the new mesh size. Norms, pooling and the mean over pixels are
averages and stay as they are, 1x1 kernels have no mesh.
"""

import argparse
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.options import about_batches, add_images, judged_together
from pdenet_repro.analysis.result import Finding
from pdenet_repro.analysis.stencils.differential import GROUPS, coefficients, rescaled, shares
from pdenet_repro.analysis.stencils.figures import accuracies, parts, share_in_all
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.report.statistics import exact_interval
from pdenet_repro.system.console import progress
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.training.evaluation import batch_count

Row = dict[str, Any]
VALUES = 2**22  # of the largest features of a batch: 16 MiB in float32, some ten of them at a time
TOGETHER = 32  # images at least, for a norm over them; 3 GB of the paper's network at the largest side allowed


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of this kind."""
    add_images(parser, 100)
    parser.add_argument(
        "--sides",
        default="48,72,144",
        metavar="N,N",
        help="pixels of a side of the resized images (default 48,72,144)",
    )


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Finding:
    """Shares of the terms; accuracy at every resolution with unchanged and with rescaled stencils."""
    sides = _sides(given.sides, max(len(subject.config.network.widths) for subject in subjects))
    batch = _batch(subjects, sides)
    finding = Finding(sentences=about_batches(subjects, given.images, batch))
    terms: list[Row] = []
    moved: list[Row] = []
    for subject in subjects:
        terms += _terms(subject)
        moved += _moved(subject, sides, batch, given.images, given.seed)
        finding.sentences += _sentences(subject.name, terms, moved)
    finding.pictures["stencils"] = parts(subjects, terms)
    finding.tables["stencils"] = terms
    finding.pictures["stencils_resolution"] = accuracies(subjects, moved)
    finding.tables["stencils_resolution"] = moved
    return finding


def _sides(words: str, units: int) -> list[int]:
    """The resolutions asked for; those that the poolings between ``units`` units can halve."""
    step = 2 ** (units - 1)
    try:
        sides = sorted({int(word) for word in words.split(",")})
    except ValueError:
        sides = [0]
    if any(side < 2 * step or side % step or side > 4 * IMAGE_SIDE for side in sides):
        raise InvalidConfig(
            f"--sides {words}: must be numbers of pixels with commas between, multiples of {step} from {2 * step} to "
            f"{4 * IMAGE_SIDE}, for example 48,192"
        )
    others = [side for side in sides if side != IMAGE_SIDE]
    if not others:
        raise InvalidConfig(
            f"--sides {words}: must name other sides than {IMAGE_SIDE}, at which every network is looked at anyway"
        )
    return others


def _batch(subjects: Sequence[Subject], sides: Sequence[int]) -> int:
    """Images at a time: the same for all networks and sides, for what a norm makes of an image may depend on it."""
    width = max(subject.config.network.widths[0] for subject in subjects)
    batch = VALUES // (width * max(IMAGE_SIDE, *sides) ** 2)
    return max(batch, TOGETHER if any(map(judged_together, subjects)) else 1)


def _terms(subject: Subject) -> list[Row]:
    """A row for each unit, time step and kernel; coefficients with the pixel of the images as unit of length."""
    rows: list[Row] = []
    for unit, module in enumerate(subject.network.units):
        h = 2.0**unit  # each pooling doubles the mesh
        for step, theta in enumerate(module.thetas(), 1):  # type: ignore[operator]
            for number, weights in enumerate(theta, 1):
                for name in (name for name in weights._fields if name.startswith("kernel")):
                    K = getattr(weights, name).detach().cpu().double()
                    share = shares(K)
                    size = coefficients(K, h).square().mean((0, 1)).sqrt()
                    rows.append(
                        {"network": subject.name, "unit": unit + 1, "step": step, "layer": number, "kernel": name,
                         "mesh_size_pixels": h, "squared_norm": K.square().sum().item()}
                        | {f"share_{group}": sum(share[term] for term in GROUPS[group]) for group in GROUPS}
                        | {f"share_{term}": value for term, value in share.items()}
                        | {f"rms_beta_d{i}y_d{j}x": size[i, j].item() for i in range(3) for j in range(3)}
                    )  # fmt: skip
    return rows


def resized(images: Tensor, side: int) -> Tensor:
    """Images (N, 3, H, W) on another mesh of the same square: averages over areas (coarser), bilinear (finer)."""
    if side <= images.shape[-1]:
        return F.interpolate(images, size=(side, side), mode="area")
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def moved(network: PDENet, factor: float) -> PDENet:
    """A copy whose 3x3 kernels are the same differential operators on a mesh of ``factor`` times the size."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            # by name too: scales (steps, channels) of three steps and three channels have that shape as well
            if name.rpartition(".")[2].startswith("kernel") and parameter.shape[-2:] == (3, 3):
                parameter.copy_(rescaled(parameter, factor))
    return other


@torch.no_grad()
def _predictions(network: PDENet, images: Tensor, side: int, batch: int) -> np.ndarray:
    """Classes (N,) of raw images standardised at their own resolution, then resized: the function stays the same."""
    parts = images.tensor_split(batch_count(len(images), batch))
    found = [
        network(resized(standardize(part, network.standardization, network.dtype), side)).argmax(1) for part in parts
    ]
    return torch.cat(found).cpu().numpy()


def _moved(subject: Subject, sides: Sequence[int], batch: int, count: int, seed: int) -> list[Row]:
    images, labels = subject.test_images(count, seed)
    truth = labels.cpu().numpy()
    native = _predictions(subject.network, images, IMAGE_SIDE, batch)
    found = [(IMAGE_SIDE, "native", native)]
    for side in progress(sides, f"other resolutions, {subject.name}"):
        network = moved(subject.network, IMAGE_SIDE / side)
        found.append((side, "unchanged", _predictions(subject.network, images, side, batch)))
        found.append((side, "rescaled", _predictions(network, images, side, batch)))
    rows = []
    for side, stencils, predicted in found:
        share = float((predicted == truth).mean())
        low, high = exact_interval(share, count)
        rows.append(
            {"network": subject.name, "side_pixels": side, "stencils": stencils, "test_images": count,
             "test_accuracy": share, "low_95": low, "high_95": high,
             "same_class_as_native": float((predicted == native).mean())}
        )  # fmt: skip
    return rows


def _sentences(name: str, terms: Sequence[Row], moved: Sequence[Row]) -> list[str]:
    terms, moved = ([row for row in rows if row["network"] == name] for rows in (terms, moved))
    of = {group: share_in_all(terms, group) for group in GROUPS}
    said = ", ".join(f"{100 * share:.0f} % {group}" for group, share in of.items() if share is not None)
    native, others = moved[0], moved[1:]
    sentences = [f"{name}: the kernels are {said or 'zero, of no kind of operator'}."]
    for unchanged, changed in zip(others[::2], others[1::2], strict=True):
        sentences.append(
            f"{name}: test accuracy {_percent(native)} at {IMAGE_SIDE} pixels; at {changed['side_pixels']} pixels "
            f"{_percent(unchanged)} with unchanged, {_percent(changed)} with rescaled stencils; the class is the one "
            f"given at {IMAGE_SIDE} pixels for {unchanged['same_class_as_native']:.0%} and "
            f"{changed['same_class_as_native']:.0%} of the images."
        )
    return sentences


def _percent(row: Row) -> str:
    return f"{100 * row['test_accuracy']:.1f} % ({100 * row['low_95']:.1f} to {100 * row['high_95']:.1f})"
