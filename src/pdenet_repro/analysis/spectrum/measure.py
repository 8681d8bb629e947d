"""Kind ``spectrum``: compute eigenvalues of every layer's Jacobian at test images, and the step sizes that they allow.

All eigenvalues can be computed for small matrices only, so there are two measurements. A *crop* is a square in the middle of a
layer's features with at most ``--unknowns`` values (channels x height x width). All eigenvalues of the layer's dense Jacobian on
it are computed in float64, with the norm frozen at the statistics of the whole features. At *full size* the eigenvalue of
largest modulus (the largest three if the Jacobian is not symmetric) and the one of largest real part are computed matrix-free in
float32. The asymmetry of a Jacobian with the norm free depends on the number of pixels, so it is estimated on crops of growing
size and at full size.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pdenet_repro.analysis.jacobian import (
    NoEigenvalues,
    asymmetry,
    eigenvalues,
    estimated_asymmetry,
    evaluations,
    extreme_eigenvalues,
)
from pdenet_repro.analysis.options import applicable
from pdenet_repro.analysis.result import Result, Row, where
from pdenet_repro.analysis.spectrum.figures import asymmetry_by_size, eigenvalue_plane, step_sizes
from pdenet_repro.analysis.spectrum.integrators import ROUNDING, Integrator, Wave, combine, integrator_of
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import MAX_BATCH, entering_features, units
from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import IMAGE_SIDE, batch_dependence
from pdenet_repro.networks.layers import SymmetricLayer
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system import device
from pdenet_repro.system.console import progress
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.training.evaluation import largest_batch

COMPARE_WITH_INITIAL_WEIGHTS = True
IMAGES = 16
OPTIONS = {
    "--unknowns": {
        "type": int, "metavar": "N",
        "help": "largest channels x height x width of the crops of which all eigenvalues are computed (default 512, or more "
        "if a unit has so many channels that only one pixel would fit)",
    }
}  # fmt: skip
UNKNOWNS = 512
TOLERANCE = 1e-2  # error of eigenvalues at full size, relative to the largest
COPIES = 6  # of the float64 matrix that are in memory while all its eigenvalues are computed
TREATMENTS = ("frozen", "free")  # the norm's mean and variance are fixed, or follow the features
TOGETHER = " The features of an image depend on the other images of its batch ({}), which had at most {} images."


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Compute the eigenvalues of every layer of every network, with its norm frozen and free."""
    subjects, sentences = applicable(
        subjects, lambda subject: facts_of(subject.dynamic).region is not None,
        "the dynamic states no region of stability of its integrator (facts.region)",
    )  # fmt: skip
    unknowns = _unknowns(subjects, given.unknowns)
    layers: list[Row] = []
    points: list[Row] = []
    trend: list[Row] = []
    result = Result(sentences=sentences)
    for subject in subjects:
        integrator, h = integrator_of(subject.dynamic), subject.config.network.step_size
        together = _together(subject, given.images)
        entering = entering_features(subject, together, given.seed)
        for image in progress(range(given.images), f"eigenvalues, {subject.name}", given.images):
            for unit, (module, features) in enumerate(zip(units(subject.network), entering, strict=True), 1):
                Y = features[image : image + 1]
                place = {"network": subject.name, "image": image, "unit": unit}
                trend += [place | row for row in asymmetries(module, Y)]
                for row, found, tolerance in (
                    *((*each, ROUNDING) for each in cropped_spectra(module, Y, unknowns)),
                    *((*each, TOLERANCE) for each in _full_size(module, Y)),
                ):
                    layers.append(place | row | _summary(found, integrator, h, tolerance))
                    if row["size"] == "crop" or row["norm"] == "free":
                        about = place | {"step": row["step"], "norm": row["norm"]}
                        values = integrator.eigenvalues(found).tolist()
                        points += [about | {"real": value.real, "imaginary": value.imag} for value in values]
        rows, dependence = where(layers, network=subject.name), batch_dependence(subject.config)
        result.sentences.append(
            _sentence(subject.name, integrator, rows, where(trend, network=subject.name))
            + _steps_sentence(integrator, h, rows)
            + _negative_scales(subject.network)
            + (TOGETHER.format(dependence, largest_batch(together, MAX_BATCH)) if dependence else "")
        )
    trained = [subject for subject in subjects if subject.folder] or subjects
    result.pictures["spectrum"] = eigenvalue_plane(trained, points, layers)
    result.pictures["spectrum_steps"] = step_sizes(subjects, layers)
    result.pictures["spectrum_asymmetry"] = asymmetry_by_size(subjects, trend)
    result.tables = {"spectrum_layers": layers, "spectrum": points, "spectrum_asymmetry": trend}
    return result


def _together(subject: Subject, images: int) -> int:
    """Return the number of images whose features are computed: ``images``, or more, as a norm over the batch needs several."""
    others = min(MAX_BATCH, len(subject.dataset.test.labels)) if batch_dependence(subject.config) else 1
    return max(images, others)


def _unknowns(subjects: Sequence[Subject], given: int | None) -> int:
    """Return the largest size of dense matrices; InvalidConfig if the option's value is too small or exceeds the memory."""
    widths = {(IMAGE_SIDE >> i, width) for subject in subjects for i, width in enumerate(subject.config.network.widths)}
    least = max(width * _grids(side)[0] ** 2 for side, width in widths)
    unknowns = max(UNKNOWNS, least) if given is None else given
    if unknowns < least:
        raise InvalidConfig(
            f"--unknowns {unknowns}: must be at least {least}, the channels of the widest unit on more than one pixel"
        )
    available = device.available_memory(torch.device("cpu"))
    if 8 * COPIES * unknowns**2 > available:
        fits = int((available / (8 * COPIES)) ** 0.5)
        raise InvalidConfig(
            f"--unknowns {unknowns}: dense matrices of that size take {8 * COPIES * unknowns**2 / 2**30:.1f} GiB; "
            f"must be at most {fits}, which fit the {available / 2**30:.1f} GiB that are free"
        )
    return unknowns


def _grids(side: int) -> list[int]:
    """Return the divisors of ``side`` from 2 on, the possible sides of crops; a single pixel has no variance."""
    return [n for n in range(2, side + 1) if side % n == 0]


def crop_side(channels: int, side: int, unknowns: int) -> int:
    """Return the largest divisor of ``side`` at which a crop of all channels has at most ``unknowns`` values."""
    return max(n for n in _grids(side) if channels * n**2 <= unknowns)


def cropped_spectra(unit: Unit, Y: Tensor, unknowns: int) -> Iterator[tuple[Row, np.ndarray]]:
    """Yield for each time step a row and all eigenvalues of `combine` on a crop, with the norm frozen at the whole features.

    ``Y``: the features (1, C, H, W) that enter the unit. ``unknowns``: the largest number of values in the crop.
    """
    side = crop_side(Y.shape[1], Y.shape[-1], unknowns)
    for step, layers in enumerate(evaluations(unit, Y), 1):
        linear = [layer.cropped(side, frozen=True).jacobian(frozen=False) for layer in layers]
        dense = [each.dense() for each in linear]
        whole = dense[0] if len(dense) == 1 else combine(linear).dense()
        yield (
            {"step": step, "grid": f"{side}x{side}", "size": "crop", "norm": "frozen",
             "asymmetry": max(map(asymmetry, dense)), "rightmost_found": True},
            eigenvalues(whole),
        )  # fmt: skip


def asymmetries(unit: Unit, Y: Tensor) -> Iterator[Row]:
    """Yield ``|J - J^T| / |J|`` of each time step's first layer, norm free, on crops of growing size and at full size."""
    full = Y.shape[-1]
    for step, (layer, *_) in enumerate(evaluations(unit, Y), 1):
        for side in (*(n for n in (2, 4, 8, 16, 32) if n < full), full):
            one = layer if side == full else layer.cropped(side, frozen=False)
            yield {"step": step, "side": side, "pixels": side**2, "asymmetry": estimated_asymmetry(one)}


def _full_size(unit: Unit, Y: Tensor) -> Iterator[tuple[Row, np.ndarray]]:
    """Yield a row, and the largest and (if it converged) the rightmost eigenvalue of `combine`, for the norm frozen and free.

    A row is for a time step of the unit into which features Y (1, C, H, W) enter. There are three largest eigenvalues if the map
    is not symmetric.
    """
    for step, layers in enumerate(evaluations(unit, Y), 1):
        for norm in TREATMENTS:
            frozen = norm == "frozen"
            linear = combine([layer.jacobian(frozen=frozen) for layer in layers])
            symmetric = frozen and len(layers) == 1 and unit.dynamic.layer is SymmetricLayer
            # without symmetry several eigenvalues can have nearly the largest modulus
            found = extreme_eigenvalues(linear, symmetric=symmetric, count=1 if symmetric else 3, tolerance=TOLERANCE)
            if not len(found):
                raise NoEigenvalues(
                    f"spectrum: the largest eigenvalue of time step {step} of a unit was not found at full size; "
                    "another --seed chooses other images"
                )
            # the rightmost eigenvalue is often 0: with the shift its accuracy is relative to the largest modulus
            rightmost = extreme_eigenvalues(
                linear, symmetric=symmetric, which="LA" if symmetric else "LR", tolerance=TOLERANCE,
                shift=float(np.abs(found).max()),
            )  # fmt: skip
            yield (
                {"step": step, "grid": f"{Y.shape[-1]}x{Y.shape[-1]}", "size": "full", "norm": norm, "asymmetry": "",
                 "rightmost_found": len(rightmost) > 0},
                np.append(found, rightmost),
            )  # fmt: skip


def _summary(q: np.ndarray, integrator: Integrator, h: float, tolerance: float) -> Row:
    """Return the columns of the table for one layer; ``growth`` is the largest factor of a mode in one time step."""
    values = integrator.eigenvalues(q)
    return {
        "eigenvalues": len(values),
        "largest_modulus": float(np.abs(values).max()),
        "smallest_real": float(values.real.min()),
        "largest_real": float(values.real.max()) + 0.0,  # no -0
        "largest_imaginary": float(values.imag.max()),
        "zero_modes": float((np.abs(q) <= tolerance * max(np.abs(q).max(), 1e-300)).mean()),
        "integrator": integrator.name,
        "step_size_allowed": integrator.largest_stable_step(q, tolerance),
        "step_size_used": h,
        "growth": integrator.growth(q, h),
    }


def _sentence(name: str, integrator: Integrator, rows: Sequence[Row], trend: Sequence[Row]) -> str:
    crops, free = where(rows, size="crop"), where(rows, size="full", norm="free")
    wave = isinstance(integrator, Wave)
    off = "largest_real" if wave else "largest_imaginary"
    zero = float(np.median([row["zero_modes"] for row in crops]))
    by_pixels = {
        side: np.median([row["asymmetry"] for row in where(trend, side=side)])
        for side in sorted({row["side"] for row in trend})
    }
    return (
        f"{name}: with the norm frozen the eigenvalues on the crops (up to {max(row['largest_modulus'] for row in crops):.3g}) "
        f"are within {max(row[off] for row in crops):.2g} of the {'imaginary' if wave else 'real'} axis, their real parts at "
        f"most {max(row['largest_real'] for row in crops):.2g}; {zero:.0%} of them are zero (median)"
        + (
            ", where the double root 1 of leapfrog is defective, and that of symplectic Euler may be: powers of such a step grow "
            "like their exponent"
            if wave
            else ""
        )
        + f". With the norm free, at full size, those found are within {max(row[off] for row in free):.2g}, real parts at most "
        f"{max(row['largest_real'] for row in free):.2g}. |J - J^T| / |J| with the norm free is "
        f"{', '.join(f'{value:.2g} on {side}x{side}' for side, value in by_pixels.items())} pixels (medians)."
    )


def _steps_sentence(integrator: Integrator, h: float, rows: Sequence[Row]) -> str:
    """State up to which step size each time step is stable at all images, at full size with the norm frozen."""
    full = where(rows, size="full", norm="frozen")
    allowed: dict[tuple[int, int], float] = {}
    for row in full:
        place = row["unit"], row["step"]
        allowed[place] = min(row["step_size_allowed"], allowed.get(place, np.inf))
    values, images = list(allowed.values()), len({row["image"] for row in full})
    finite = [value for value in values if 0 < value < np.inf]
    cases = {"at no step size": values.count(0), "at any step size": values.count(np.inf)}
    if finite:
        least, most = f"{min(finite):.2g}", f"{max(finite):.2g}"
        cases[f"up to h = {least}" + (f" to {most}" if most != least else "")] = len(finite)
    found = " and ".join(f"{words} in {count} of {len(values)} time steps" for words, count in cases.items() if count)
    more = [place for place, value in allowed.items() if value < h]
    growth = max((row["growth"] for row in full if (row["unit"], row["step"]) in more), default=1.0)
    missing = len({(row["unit"], row["step"]) for row in full if not row["rightmost_found"]})
    return (
        f" At full size, norm frozen{f', at each of {images} images' if images > 1 else ''}, {integrator.name} is stable "
        f"{found}. "
        f"h = {h:g} is used, which "
        + (
            f"is not stable in {len(more)}: one step multiplies a mode by up to {growth:.3g}."
            if more
            else "is within that."
        )
        + (f" In {missing} the search for growing modes did not converge and may have missed one." if missing else "")
    )


def _negative_scales(network: PDENet) -> str:
    scales = torch.cat([value.flatten() for name, value in network.units.named_parameters() if name.endswith("scale")])
    count = int((scales < 0).sum())
    if not count:
        return ""
    return f" {count} of the {len(scales)} scales of its norms are negative, so their channels' part of F has the reversed sign."
