"""Kind ``reversibility``: measure how exactly hyperbolic networks run backwards, in several floating-point precisions.

In exact arithmetic the inverse steps (Section 4 of the paper, "Computational benefits") undo the forward steps. In floating
point each step has a rounding error, which the following steps may enlarge.
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.analysis.options import applicable, parse_numbers
from pdenet_repro.analysis.result import Picture, Result, Row, where
from pdenet_repro.analysis.reversibility import figures
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.analysis.trajectory import entering_features, state_norms, units
from pdenet_repro.config.dynamics import reversible_names
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system.console import progress
from pdenet_repro.system.device import autocast

IMAGES = 32
OPTIONS = {
    "--refine": {
        "default": "1,2,4,8,16", "metavar": "A,B,...",
        "help": "numbers m of time steps that replace one, of size h / m, in float32 (default %(default)s)",
    }
}  # fmt: skip
BATCH = 4  # images that are computed together; refined time grids and gradients are measured on one batch


@dataclass(frozen=True)
class Precision:
    """The floating-point types of the state (and the weights) and of the arithmetic inside the layers."""

    name: str
    state: torch.dtype
    layers: torch.dtype

    @property
    def roundoff(self) -> float:
        """The unit roundoff of the state's type: half the distance from 1 to the next larger number."""
        return torch.finfo(self.state).eps / 2

    def context(self, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
        """Return the context of a forward pass, which is autocast if the layers have another type than the state."""
        return autocast(device, "float32" if self.layers == self.state else "bfloat16")


PRECISIONS = (
    Precision("float64", torch.float64, torch.float64),
    Precision("float32", torch.float32, torch.float32),
    Precision("bfloat16 layers, float32 state", torch.float32, torch.bfloat16),  # as in a run with precision=bfloat16
    Precision("bfloat16", torch.bfloat16, torch.bfloat16),  # shows why runs keep the state in float32
)


def measure(subjects: Sequence[Subject], given: argparse.Namespace) -> Result:
    """Measure for every reversible network the units in all precisions and on refined time grids, and the gradients."""
    subjects, sentences = applicable(
        subjects, lambda subject: bool(units(subject.network)[0].dynamic.facts.reversible),
        f"the dynamic cannot be run backwards ({reversible_names()} can)",
    )  # fmt: skip
    result = Result(sentences=sentences)
    refinements = [int(value) for value in parse_numbers("--refine", given.refine, 0, 1024, whole=True)]
    by_unit, refined, gradients = [], [], []
    for subject in progress(subjects, "running units backwards"):
        for number, (unit, Y) in enumerate(
            zip(units(subject.network), entering_features(subject, given.images, given.seed), strict=True), start=1
        ):
            about = subject.columns | {"unit": number}
            for precision in PRECISIONS:
                found = _columns(errors(unit, Y, precision))
                by_unit.append(about | {"precision": precision.name} | found | {"unit_roundoff": precision.roundoff})
            for m in refinements:
                steps = {"steps": m * subject.config.network.steps, "step_size": subject.config.network.step_size / m}
                refined.append(about | steps | _columns(errors(unit, Y[:BATCH], PRECISIONS[1], m)))
        gradients += gradient_rows(subject, min(BATCH, given.images), given.seed)
        result.sentences.append(_sentence(subject.name, by_unit, gradients))
    result.tables |= {"reversibility": by_unit, "reversibility_steps": refined, "reversibility_gradients": gradients}
    result.pictures["reversibility"] = Picture(
        figures.picture(by_unit, refined, gradients),
        "How exactly the hyperbolic networks run backwards",
        f"Left: relative error ‖Y₀ found - Y₀‖ / ‖Y₀‖ of each unit's first state after running it forward and back, median "
        f"of {given.images} test images, lines up to the largest, in four precisions; ticks on the left: the precisions' "
        "unit roundoff. Middle: the same in float32 on refined time grids (the same time in more and "
        "shorter steps), median of the units, band over them. Right: "
        "relative difference of the gradient of the cross-entropy, float32, with respect to each unit's weights: of "
        f"memory=reverse from memory=store, and (open) of memory=store from float64; {min(BATCH, given.images)} images.",
    )
    return result


@torch.no_grad()
def errors(unit: Unit, Y: Tensor, precision: Precision, refine: int = 1) -> np.ndarray:
    """Run a unit forwards and then backwards, and return the relative error (N,) of its first state in Euclidean norm.

    Features Y (N, C, H, W) enter the unit. They and the weights are rounded to the precision first, so that the error is due to
    running backwards alone. ``refine`` steps of size ``h / refine`` replace each time step.
    """
    unit = copy.deepcopy(unit).to(precision.state)
    dynamic = copy.copy(unit.dynamic)
    dynamic.h /= refine
    thetas = [theta for theta in unit.thetas() for _ in range(refine)]
    found = []
    for some in Y.split(BATCH):
        first = state = dynamic.start(some.to(precision.state))
        with precision.context(Y.device)():
            for theta in thetas:
                state = dynamic.step(state, theta)
            for theta in reversed(thetas):
                state = dynamic.inverse_step(state, theta)
        difference = [a.double() - b.double() for a, b in zip(state, first, strict=True)]
        found.append(state_norms(difference) / state_norms(first))
    return torch.cat(found).cpu().numpy()


def _columns(found: np.ndarray) -> Row:
    return {
        "images": len(found),
        "relative_error_median": float(np.median(found)),
        "relative_error_max": float(found.max()),
    }


def gradient_rows(subject: Subject, images: int, seed: int) -> list[Row]:
    """Return for each unit relative differences of its gradient: memory=reverse from store, float32 from float64."""
    pixels, labels = subject.test_images(images, seed)
    X = subject.network.standardize(pixels)
    stored, reverse = (unit_gradients(subject, X, labels, memory) for memory in ("store", "reverse"))
    exact = unit_gradients(subject, X.double(), labels, "store")
    return [
        {
            **subject.columns, "unit": number, "images": images,
            "relative_difference_reverse_store": float((b - a).norm() / a.norm()),
            "relative_difference_store_float64": float((a - c).norm() / c.norm()),
        }
        for number, (a, b, c) in enumerate(zip(stored, reverse, exact, strict=True), start=1)
    ]  # fmt: skip


def unit_gradients(subject: Subject, X: Tensor, labels: Tensor, memory: str) -> list[Tensor]:
    """Return for each unit the gradient of the cross-entropy of standardised images X by its weights, (weights,) float64."""
    network = copy.deepcopy(subject.network).to(X.dtype)
    for unit in units(network):
        unit.memory = memory
    F.cross_entropy(network.forward_standardized(X), labels.long()).backward()
    return [
        torch.cat([p.grad.double().flatten() for p in unit.parameters() if p.grad is not None])
        for unit in units(network)
    ]


def _sentence(name: str, by_unit: Sequence[Row], gradients: Sequence[Row]) -> str:
    largest = {
        precision.name: max(row["relative_error_max"] for row in where(by_unit, network=name, precision=precision.name))
        for precision in PRECISIONS
    }
    gradient, own = (
        max(row[f"relative_difference_{kind}"] for row in where(gradients, network=name))
        for kind in ("reverse_store", "store_float64")
    )
    return (
        f"{name}: after running forwards and backwards, the first states of the units have relative errors of "
        f"{', '.join(f'{error:.1e} ({precision})' for precision, error in largest.items())} at most; gradients with "
        f"memory=reverse differ from those with memory=store by at most {gradient:.1e} in float32, and these differ from "
        f"gradients in float64 by at most {own:.1e}."
    )
