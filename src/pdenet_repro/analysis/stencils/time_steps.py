"""Find how many time steps must replace one when a network is moved to another mesh (the CFL condition of explicit schemes)."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pdenet_repro.analysis.operator_norm import operator_norm
from pdenet_repro.analysis.trajectory import units
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.pdenet import PDENet

TOLERANCE = 0.01  # by which a limit may fall without another time step; norms are computed to about 0.1 %


def steps_for_one(network: PDENet, moved: PDENet, side: int) -> int:
    """Return how many time steps must replace one in ``moved``, ``network`` with other stencils, on images of ``side`` pixels.

    It is the largest factor by which `stiffness` grows in a step of a unit, rounded up, so that every step of the linear
    equation is as far below its limit as before; at least 1. On a coarser mesh, too, stencils of several orders may grow.
    """
    pairs = zip(stiffness(network, side), stiffness(moved, side), strict=True)
    growth = max((after / before for before, after in pairs if before), default=1.0)
    return max(1, math.ceil(growth - TOLERANCE))


def stiffness(network: PDENet, side: int) -> Iterator[float]:
    """Yield for each step (and layer) of each unit the number whose product with h is limited, for linear layers without a norm.

    Forward Euler for (7) needs ``h |K|^2 <= 2``, leapfrog for (8) ``h |K| < 2``, and ``h |K1| |K2| < 2`` suffices for the
    Hamiltonian scheme (5). A dynamic without ``facts.equation`` is taken as forward Euler: ``|K|^2``, or ``|K1| |K2|`` of a
    residual layer. ``side``: of the images; pooling halves it from unit to unit.
    """
    for i, unit in enumerate(units(network)):
        equation = unit.dynamic.facts.equation
        for theta in unit.thetas():
            of_layers = [_norms(weights, side >> i) for weights in theta]
            if equation == "hamiltonian":
                yield math.prod(norm for norms in of_layers for norm in norms)
            elif equation == "second_order":
                yield from (norms[0] for norms in of_layers if norms)
            else:
                yield from (norms[0] * norms[-1] for norms in of_layers if norms)


def _norms(weights: Any, side: int) -> Sequence[float]:
    """Return the operator norms of a layer's kernels on ``side`` x ``side`` pixels."""
    kernels = (getattr(weights, name) for name in weights._fields if is_kernel(name))
    return [operator_norm(kernel, side, tolerance=1e-3)[0] for kernel in kernels]
