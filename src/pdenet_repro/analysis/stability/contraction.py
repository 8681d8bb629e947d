"""Theorem 1 on the kernels of a trained network: no norm, constant weights, step sizes around the bound 2 / ||K||^2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from pdenet_repro.analysis.depth_axes import plain_numbers
from pdenet_repro.analysis.operator_norm import euler_bound, operator_norm
from pdenet_repro.analysis.trajectory import euclidean_norms
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm

RELATIVE_STEP_SIZES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0)  # h over the bound


@dataclass(frozen=True)
class Growth:
    """How much two solutions moved apart, at most, in one step of size ``h`` with the kernel of one unit."""

    unit: int
    norm: float  # ||K||
    h: float
    of_images: float  # features of image pairs, every one of the steps
    worst: float  # along the singular vector, all of sigma active

    @property
    def relative_h(self) -> float:
        """``h`` over ``2 / ||K||^2``."""
        return self.h / euler_bound(self.norm)


@torch.no_grad()
def largest_growth(K: Tensor, bias: Tensor, h: float, steps: int, Y: Tensor, Z: Tensor, activation: str) -> float:
    """The largest ``||Y_{j+1} - Z_{j+1}|| / ||Y_j - Z_j||`` of parabolic solutions (7) from pairs (N, C, H, W), N pairs.

    Theorem 1's setting: no norm, the same kernel ``K`` and ``bias`` (C,) at every one of the ``steps``.
    """
    dynamic = Parabolic(h, Norm("none"), activation)
    theta = (SymmetricWeights(K, torch.ones_like(bias), bias),)
    largest, before = 0.0, euclidean_norms(Y - Z)
    for _ in range(steps):
        (Y,), (Z,) = dynamic.step((Y,), theta), dynamic.step((Z,), theta)
        after = euclidean_norms(Y - Z)
        largest, before = max(largest, float((after / before.clamp_min(1e-300)).max())), after
    return largest


def worst_growth(K: Tensor, direction: Tensor, h: float, activation: str) -> float:
    """One step's growth where Theorem 1's bound is reached: ``|1 - h ||K||^2|`` (float64).

    Two features that differ along the first singular vector, with sigma of slope 1 everywhere: ReLU by a bias above
    all preactivations, tanh around 0.
    """
    K = K.detach().cpu().double()
    one_sided = activation == "relu"
    Z = direction * (1.0 if one_sided else 1e-5)
    bias = torch.full((K.shape[0],), float(K.abs().sum((1, 2, 3)).max()) if one_sided else 0.0, dtype=torch.float64)
    return largest_growth(K, bias, h, 1, torch.zeros_like(Z), Z, activation)


def measure_growth(
    kernels: Sequence[Tensor], pairs: Sequence[tuple[Tensor, Tensor]], steps: int, used: float, activation: str
) -> list[Growth]:
    """For each unit: kernel (C, C, 3, 3), and pairs of features (N, C, H, W) twice that start there; all step sizes.

    A unit whose kernel is 0, where nothing moves, is left out. ``used``: the network's own step size, measured at as well.
    """
    found = []
    for unit, (K, (Y, Z)) in enumerate(zip(kernels, pairs, strict=True), start=1):
        norm, direction = operator_norm(K, Y.shape[-1])
        if not norm:
            continue
        for h in sorted({*(relative * euler_bound(norm) for relative in RELATIVE_STEP_SIZES), used}):
            of_images = largest_growth(K.detach(), K.new_zeros(len(K)), h, steps, Y, Z, activation)
            found.append(Growth(unit, norm, h, of_images, worst_growth(K, direction, h, activation)))
    return found


def picture(growths: Sequence[Growth], used: float, colour: str) -> Figure:
    """Growth of distances in one step against the step size over its bound; ``used``: the network's own step size."""
    figure = Figure(figsize=(8.6, 5.2), layout="constrained")
    axis = figure.subplots()
    units = sorted({each.unit for each in growths})
    x = np.geomspace(min(RELATIVE_STEP_SIZES) / 1.2, 1.3 * max(each.relative_h for each in growths), 300)
    axis.axvspan(1, x[-1], color="#fbe9e7", zorder=0)
    axis.axvline(1, color="black", linewidth=1)
    axis.plot(
        x, np.maximum(1, np.abs(1 - 2 * x)), color="#999999", linewidth=5, alpha=0.5, label="theory: largest |1 + h λ|"
    )
    above = [each for each in growths if each.relative_h >= 1]
    axis.plot([each.relative_h for each in above], [each.worst for each in above], "ko", markerfacecolor="none",
              markersize=8, label="pairs along the first singular vector, all of σ active")  # fmt: skip
    for unit, marker in zip(units, "osD^vP*X" * len(units), strict=False):
        of_unit = [each for each in growths if each.unit == unit]
        shade = 0.35 + 0.65 * unit / len(units)
        axis.plot([each.relative_h for each in of_unit], [each.of_images for each in of_unit], marker + "-", color=colour,
                  linewidth=1, markersize=5, alpha=shade,
                  label=f"perturbed images, unit {unit} (2 / ‖K‖² = {euler_bound(of_unit[0].norm):.2g})")  # fmt: skip
        own = next(each for each in of_unit if each.h == used)
        axis.plot([own.relative_h], [own.of_images], "*", color="black", markersize=11, zorder=4,
                  label=f"the network's step size, h = {used:g}" if unit == units[-1] else None)  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    plain_numbers(axis)
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.text(0.95, 0.13, "cannot expand", ha="right", transform=axis.get_xaxis_transform())
    axis.text(0.99, 0.13, "may expand", ha="right", transform=axis.transAxes)
    axis.set_xlabel("step size h over the bound 2 / ‖K‖²")
    axis.set_ylabel("largest growth of a distance in one step")
    axis.set_title("Theorem 1: parabolic kernels without norm, the same at every step", fontsize=11)
    axis.set_xlim(x[0], x[-1])
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, loc="upper left")
    return figure
