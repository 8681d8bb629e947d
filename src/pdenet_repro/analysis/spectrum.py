"""Eigenvalues of the Jacobians of every layer (each unit, each time step) at test images, and the step sizes they allow.

Two ways, because all eigenvalues are to be had only of small matrices. *Exact*: the features that enter a unit are
averaged over squares of pixels to a grid so small that channels x height x width is at most ``--unknowns``; the unit runs
on that grid, and all eigenvalues of its dense Jacobians are computed in float64. *Full size*: the largest eigenvalue of
the layers as they are (the largest three where the Jacobian is not symmetric), matrix-free, in the network's own precision.
"""

import argparse
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro import device
from pdenet_repro.analysis.asked import add_images
from pdenet_repro.analysis.finding import DoesNotApply, Finding
from pdenet_repro.analysis.integrators import INTEGRATORS, Integrator, Wave, combine
from pdenet_repro.analysis.jacobian import (
    asymmetry,
    eigenvalues,
    evaluations,
    extreme_eigenvalues,
    unit_inputs,
)
from pdenet_repro.analysis.spectrum_pictures import in_the_plane, step_sizes
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.config import IMAGE_SIDE
from pdenet_repro.errors import InvalidConfig, UserError
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.unit import Unit
from pdenet_repro.tracking import progress

Row = dict[str, Any]
UNKNOWNS = 512
TOLERANCE = 1e-2  # relative, of the largest eigenvalues at full size
COPIES = 6  # of a dense float64 matrix that its eigenvalues take, workspace included
NORMS = ("frozen", "free")  # its mean and variance held, or following the features


class NotConverged(UserError):
    """An iteration for eigenvalues that did not come to its end."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of this kind."""
    add_images(parser, 1)
    parser.add_argument(
        "--unknowns", type=int, metavar="N",
        help="channels x height x width at most of the small grids whose eigenvalues are all computed (default 512, more "
        "where a unit has so many channels that this leaves one pixel)",
    )  # fmt: skip


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Finding:
    """Every layer of every network, norm frozen and with the norm's contribution."""
    unknowns = _unknowns(subjects, given.unknowns)
    layers: list[Row] = []
    points: list[Row] = []
    finding = Finding()
    for subject in subjects:
        integrator, h = INTEGRATORS[subject.dynamic], subject.config.network.step_size
        images, _ = subject.test_images(given.images, given.seed)
        for image, pixels in enumerate(progress(images.split(1), f"eigenvalues, {subject.name}", len(images))):
            for unit, (module, Y) in enumerate(
                zip(subject.network.units, unit_inputs(subject.network, pixels), strict=True), 1
            ):
                assert isinstance(module, Unit)
                place = {"network": subject.name, "image": image, "unit": unit}
                for row, found in _small(subject.dynamic, module, Y, unknowns):
                    layers.append(place | row | _summary(found, integrator, h))
                    points += [
                        place | {"step": row["step"], "norm": row["norm"], "real": value.real, "imaginary": value.imag}
                        for value in integrator.eigenvalues(found).tolist()
                    ]
                for row, found in _full_size(subject.dynamic, module, Y):
                    layers.append(place | row | _summary(found, integrator, h))
        finding.sentences.append(
            _sentence(subject.name, integrator, h, [row for row in layers if row["network"] == subject.name])
            + _negative_scales(subject.network)
        )
    finding.pictures["spectrum"] = in_the_plane(subjects, points, layers)
    finding.pictures["spectrum_steps"] = step_sizes(subjects, layers)
    finding.tables = {"spectrum_layers": layers, "spectrum": points}
    return finding


def _unknowns(subjects: Sequence[Subject], asked: int | None) -> int:
    """The size of dense matrices; DoesNotApply for dynamics that are not known, InvalidConfig for sizes that cannot be."""
    for subject in subjects:
        if subject.dynamic not in INTEGRATORS:
            known = ", ".join(INTEGRATORS)
            raise DoesNotApply(f"spectrum: dynamic={subject.dynamic} has no known region of stability; must be {known}")
    widths = {(IMAGE_SIDE >> i, width) for subject in subjects for i, width in enumerate(subject.config.network.widths)}
    least = max(width * _grids(side)[0] ** 2 for side, width in widths)
    unknowns = max(UNKNOWNS, least) if asked is None else asked
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
    """Sides of the grids that squares of pixels divide ``side`` into, but a single pixel, which has no variance."""
    return [n for n in range(2, side + 1) if side % n == 0]


def coarsened(Y: Tensor, unknowns: int) -> Tensor:
    """Features averaged over squares of pixels, as few as leave at most ``unknowns`` numbers of an example; float64."""
    channels, side = Y.shape[1], Y.shape[-1]
    return F.avg_pool2d(Y.double(), side // max(n for n in _grids(side) if channels * n**2 <= unknowns))


def _small(dynamic: str, unit: Unit, Y: Tensor, unknowns: int) -> Iterator[tuple[Row, np.ndarray]]:
    """All q of each time step on the small grid."""
    unit, Y = copy.deepcopy(unit).double().cpu(), coarsened(Y, unknowns).cpu()
    for step, layers in enumerate(evaluations(unit, Y), 1):
        for norm in NORMS:
            linear = [layer.jacobian(frozen=norm == "frozen") for layer in layers]
            dense = [each.dense() for each in linear]
            whole = dense[0] if len(dense) == 1 else combine(dynamic, linear).dense()
            yield (
                {"step": step, "grid": f"{Y.shape[-1]}x{Y.shape[-1]}", "norm": norm,
                 "asymmetry": max(map(asymmetry, dense))},
                eigenvalues(whole),
            )  # fmt: skip


def _full_size(dynamic: str, unit: Unit, Y: Tensor) -> Iterator[tuple[Row, np.ndarray]]:
    """The largest q of each time step, at the unit's own resolution."""
    for step, layers in enumerate(evaluations(unit, Y), 1):
        for norm in NORMS:
            frozen = norm == "frozen"
            linear = combine(dynamic, [layer.jacobian(frozen=frozen) for layer in layers])
            symmetric = frozen and dynamic in ("parabolic", "second_order")
            # off the axes several can be about as large as the largest
            found = extreme_eigenvalues(linear, symmetric=symmetric, count=1 if symmetric else 3, tolerance=TOLERANCE)
            if not len(found):
                raise NotConverged(
                    f"spectrum: the largest eigenvalue of time step {step} of a unit was not found at full size; "
                    "another --seed chooses other images"
                )
            yield {"step": step, "grid": f"{Y.shape[-1]}x{Y.shape[-1]}", "norm": norm, "asymmetry": ""}, found


def _summary(q: np.ndarray, integrator: Integrator, h: float) -> Row:
    """What the table says of one layer; ``growth``: of the eigenvalues at hand, a factor a time step."""
    values = integrator.eigenvalues(q)
    return {
        "eigenvalues": len(values),
        "largest_modulus": float(np.abs(values).max()),
        "smallest_real": float(values.real.min()),
        "largest_real": float(values.real.max()),
        "largest_imaginary": float(values.imag.max()),
        "integrator": integrator.name,
        "step_size_allowed": integrator.limit(q),
        "step_size_used": h,
        "growth": integrator.growth(q, h),
    }


def _sentence(name: str, integrator: Integrator, h: float, rows: Sequence[Row]) -> str:
    small, full = ([row for row in rows if (row["asymmetry"] == "") is matrix_free] for matrix_free in (False, True))
    frozen, free = ([row for row in small if row["norm"] == norm] for norm in NORMS)
    wave = isinstance(integrator, Wave)

    def off(chosen: Sequence[Row]) -> float:
        return max(row["largest_real" if wave else "largest_imaginary"] for row in chosen)

    allowed = [row["step_size_allowed"] for row in full if row["norm"] == "frozen"]
    return (
        f"{name}: with the norm frozen the eigenvalues (up to {max(row['largest_modulus'] for row in frozen):.3g}) are within "
        f"{off(frozen):.1g} of the {'imaginary' if wave else 'real'} axis, their real parts at most "
        f"{max(row['largest_real'] for row in frozen):.1g}; with the norm free, within {off(free):.2g}, real parts at most "
        f"{max(row['largest_real'] for row in free):.2g}. At full size {integrator.name} allows steps of {min(allowed):.2f} "
        f"to {max(allowed):.2f}; {h:g} is used, more than allowed in {sum(value < h for value in allowed)} of "
        f"{len(allowed)} layers, where one step multiplies a mode by up to {max(row['growth'] for row in full):.3g}."
    )


def _negative_scales(network: PDENet) -> str:
    scales = torch.cat([value.flatten() for name, value in network.units.named_parameters() if name.endswith("scale")])
    count = int((scales < 0).sum())
    if not count:
        return ""
    return f" {count} of the {len(scales)} scales of its norms are negative: those channels' part of F is of the other sign."
