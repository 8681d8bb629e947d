"""Kind ``stencils``: describe kernels as differential operators, and measure networks at other image resolutions.

The symbols of a unit's 3x3 kernels say how large the kernels are at low and at high frequencies, and which share of them is odd
like a first derivative. Then images are resampled to coarser and finer meshes, and every 3x3 kernel (opening and units) is
replaced by the stencil of the same differential operator at the new mesh size. Where the norms of these operators grow, above all
on a finer mesh, the time steps are refined as the CFL condition of explicit schemes requires (`steps_for_one`). Pooling, the mean
over pixels and 1x1 kernels do not depend on the mesh. The statistics of batch norms are computed again on training images at the
new mesh, for unchanged stencils too.
"""

import argparse
import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.options import batch_dependence_note
from pdenet_repro.analysis.result import Result, Row, where
from pdenet_repro.analysis.stencils.differential import BANDS, ODD_OF_NOISE, coefficients, rescaled, symbol_shares
from pdenet_repro.analysis.stencils.figures import accuracies, mean_symbol, symbols
from pdenet_repro.analysis.stencils.time_steps import steps_for_one
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.weight_variants import (
    STATISTICS_IMAGES,
    accuracy_columns,
    predictions,
    refined,
    renew_statistics,
)
from pdenet_repro.config.schema import IMAGE_SIDE, batch_dependence
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.report.statistics import mcnemar
from pdenet_repro.system.console import progress
from pdenet_repro.system.errors import InvalidConfig

IMAGES = 1000
OPTIONS = {
    "--sides": {
        "default": "48,72,144", "metavar": "N,N", "help": "sides of the resized images in pixels (default %(default)s)",
    }
}  # fmt: skip
BATCH_VALUES = 2**22  # in the largest features of a batch: 16 MiB in float32; about ten of that size are in memory
LEAST_BATCH = 32  # images, for a norm over the batch; they take 3 GB in the paper's network at the largest side


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure the symbols of the kernels, and the accuracy at every resolution for unchanged and for rescaled stencils."""
    sides = _sides(given.sides, max(len(subject.config.network.widths) for subject in subjects))
    batch = _batch(subjects, sides)
    result = Result(sentences=batch_dependence_note(subjects, given.images, batch))
    terms: list[Row] = []
    resolutions: list[Row] = []
    for subject in subjects:
        terms += _terms(subject)
        resolutions += _resolutions(subject, sides, batch, given.images, given.seed)
        result.sentences += _sentences(subject.name, terms, resolutions)
    result.pictures["stencils"] = symbols(subjects, terms)
    result.tables["stencils"] = terms
    result.pictures["stencils_resolution"] = accuracies(subjects, resolutions)
    result.tables["stencils_resolution"] = resolutions
    return result


def _sides(value: str, units: int) -> list[int]:
    """Parse the sides in the option's value, leaving out the images' own; InvalidConfig for one that pooling cannot halve."""
    step = 2 ** (units - 1)
    try:
        sides = sorted({int(part) for part in value.split(",")})
    except ValueError:
        sides = [0]
    if any(side < 2 * step or side % step or side > 4 * IMAGE_SIDE for side in sides):
        raise InvalidConfig(
            f"--sides {value}: must be numbers of pixels separated by commas, multiples of {step} from {2 * step} to "
            f"{4 * IMAGE_SIDE}, for example 48,192"
        )
    others = [side for side in sides if side != IMAGE_SIDE]
    if not others:
        raise InvalidConfig(
            f"--sides {value}: must name other sides than {IMAGE_SIDE}, at which every network is measured anyway"
        )
    return others


def _batch(subjects: Sequence[Subject], sides: Sequence[int]) -> int:
    """Return the number of images in a batch: one for all networks and sides, because scores may depend on it."""
    width = max(subject.config.network.widths[0] for subject in subjects)
    batch = BATCH_VALUES // (width * max(IMAGE_SIDE, *sides) ** 2)
    return max(batch, LEAST_BATCH if any(batch_dependence(subject.config) for subject in subjects) else 1)


def _terms(subject: Subject) -> list[Row]:
    """Return a row for each unit, time step and kernel; coefficients have a pixel of the images as unit of length."""
    rows: list[Row] = []
    for unit, module in enumerate(subject.network.units):
        h = 2.0**unit  # each pooling doubles the mesh
        for step, theta in enumerate(module.thetas(), 1):  # type: ignore[operator]
            for number, weights in enumerate(theta, 1):
                for name in filter(is_kernel, weights._fields):
                    K = getattr(weights, name).detach().cpu().double()
                    size = coefficients(K, h).square().mean((0, 1)).sqrt()
                    rows.append(
                        {**subject.columns, "unit": unit + 1, "step": step, "layer": number, "kernel": name,
                         "mesh_size_pixels": h, "squared_norm": K.square().sum().item()}
                        | {f"symbol_{band}": value for band, value in symbol_shares(K).items()}
                        | {f"rms_beta_d{i}y_d{j}x": size[i, j].item() for i in range(3) for j in range(3)}
                    )  # fmt: skip
    return rows


def resized(images: Tensor, side: int) -> Tensor:
    """Resample images (N, 3, H, W) to ``side`` x ``side`` pixels: by averages over areas (coarser), bilinearly (finer)."""
    if side <= images.shape[-1]:
        return F.interpolate(images, size=(side, side), mode="area")
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def with_rescaled_stencils(network: PDENet, factor: float) -> PDENet:
    """Return a copy whose 3x3 kernels are the same differential operators on a mesh of ``factor`` times the size."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            # the shape does not suffice: scales (steps, channels) of three steps and three channels are 3x3 too
            if is_kernel(name) and parameter.shape[-2:] == (3, 3):
                parameter.copy_(rescaled(parameter, factor))
    return other


def _resolutions(subject: Subject, sides: Sequence[int], batch: int, count: int, seed: int) -> list[Row]:
    """Return a row for the images' own side, then two for each other side: for unchanged and for rescaled stencils."""
    network, (images, labels) = subject.network, subject.test_images(count, seed)
    truth = labels.cpu().numpy()

    def at(side: int) -> Callable[[Tensor], Tensor]:  # standardised first, so that all sides sample one function
        return lambda part: resized(network.standardize(part), side)

    def row(side: int, stencils: str, steps: int, predicted: np.ndarray) -> Row:
        return {
            "network": subject.name, "side_pixels": side, "stencils": stencils, "steps_for_one": steps,
            **accuracy_columns(predicted == truth), "same_class_as_native": float((predicted == native).mean()),
            "right_only_rescaled": "", "right_only_unchanged": "", "mcnemar_p": "",
        }  # fmt: skip

    native = predictions(subject, network, images, batch, at(IMAGE_SIDE))
    rows = [row(IMAGE_SIDE, "native", 1, native)]
    for side in progress(sides, f"other resolutions, {subject.name}"):
        moved = with_rescaled_stencils(network, IMAGE_SIDE / side)
        steps = steps_for_one(network, moved, side)
        found = []
        for changed in (copy.deepcopy(network), refined(moved, steps)):
            renew_statistics(subject, changed, STATISTICS_IMAGES, seed, at(side))
            found.append(predictions(subject, changed, images, batch, at(side)))
        unchanged, rescaled = found
        more, less, p = mcnemar(rescaled == truth, unchanged == truth)
        paired = {"right_only_rescaled": more, "right_only_unchanged": less, "mcnemar_p": p}
        rows += [row(side, "unchanged", 1, unchanged), row(side, "rescaled", steps, rescaled) | paired]
    return rows


def _sentences(name: str, terms: Sequence[Row], resolutions: Sequence[Row]) -> list[str]:
    kept = [row for row in where(terms, network=name) if row["squared_norm"] > 0]
    native, *others = where(resolutions, network=name)
    if not kept:
        sentences = [f"{name}: the kernels are zero."]
    else:
        of = {kind: mean_symbol(kept, kind) for kind in (*BANDS, "odd")}
        shares = ", ".join(f"{of[band]:.2f} ({band})" for band in BANDS)
        sentences = [
            f"{name}: by frequency the kernels' squared symbols are {shares} times their mean (independent entries: 1), "
            f"{of['odd']:.0%} of the kernels is odd (independent entries: {ODD_OF_NOISE:.0%})."
        ]
    for unchanged, changed in zip(others[::2], others[1::2], strict=True):
        sentences.append(
            f"{name}: test accuracy {_percent(native)} at {IMAGE_SIDE} pixels; at {changed['side_pixels']} pixels "
            f"{_percent(unchanged)} with unchanged, {_percent(changed)} with rescaled stencils and {changed['steps_for_one']} "
            f"time steps in place of one, both with renewed batch statistics; {changed['right_only_rescaled']} images are right "
            f"only with rescaled, {changed['right_only_unchanged']} only with unchanged ones (McNemar p = "
            f"{changed['mcnemar_p']:.2g})."
        )
    return sentences


def _percent(row: Row) -> str:
    return f"{100 * row['test_accuracy']:.1f} % ({100 * row['low_95']:.1f} to {100 * row['high_95']:.1f})"
