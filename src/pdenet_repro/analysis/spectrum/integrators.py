"""Analyse the linear stability of the time integrators: growth factors of modes, and stable step sizes.

One step, linearised at its features, is a step for ``y' = L y``. Forward Euler multiplies a mode with eigenvalue ``lambda`` by
``1 + h lambda``. For the two hyperbolic dynamics the Jacobians of the layers give ``L^2``: with ``q = lambda^2`` one step of
leapfrog, or of symplectic Euler, multiplies its modes by the roots g of ``g^2 - (2 + h^2 q) g + 1``.

Eigenvalues have an error, so one on the edge of the region of stability cannot be distinguished from one beside it.
``largest_stable_step`` therefore has a tolerance and ignores weaker growth; ``growth`` has none.
"""

from collections.abc import Sequence

import numpy as np

from pdenet_repro.analysis.jacobian import LinearMap
from pdenet_repro.config.dynamics import facts_of

ROUNDING = 1e-6  # relative error of the eigenvalues of a dense matrix in float64, double ones included


class ForwardEuler:
    """Forward Euler, stable for ``|1 + h lambda| <= 1``, a disc around -1: ``h <= 2/|lambda|`` for real negative lambda."""

    name = "forward Euler"

    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """Return the eigenvalues lambda of L, which here are the q themselves."""
        return q

    def growth(self, q: np.ndarray, h: float) -> float:
        """Return the largest factor by which one step of size h multiplies a mode, ``max |1 + h lambda|``."""
        return float(np.abs(1 + h * q).max())

    def largest_stable_step(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """Return the largest step size at which no mode grows, ``min -2 Re(lambda) / |lambda|^2``.

        The result is 0 if a real part is not negative. ``tolerance`` is the error of q relative to the largest ``|q|``; smaller
        eigenvalues count as 0 and are left out. If none is left, the result is inf.
        """
        moduli = np.abs(q)
        known = moduli > tolerance * moduli.max()
        if not known.any():
            return np.inf
        return max(0.0, float((-2 * q[known].real / moduli[known] ** 2).min()))


class Wave:
    """Leapfrog or symplectic Euler, stable for ``h lambda`` between -2i and 2i, that is for q real, ``-4 <= h^2 q <= 0``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """Return the eigenvalues lambda of L, which are both square roots of each q."""
        root = np.sqrt(q.astype(complex))
        return np.concatenate([root, -root])

    def growth(self, q: np.ndarray, h: float) -> float:
        """Return the largest factor by which one step of size h multiplies a mode: a root of ``g^2 - (2 + h^2 q) g + 1``."""
        middle = 1 + h**2 * q.astype(complex) / 2
        root = np.sqrt(middle**2 - 1)
        return float(np.maximum(np.abs(middle + root), np.abs(middle - root)).max())

    def largest_stable_step(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """Return the largest step size at which no mode grows, ``2 / max |lambda|``.

        The result is 0 if a q is not real and at most 0, since one of its modes then grows at every h, and inf if all q are 0.
        With a ``tolerance`` t for q, lambda counts as imaginary if ``|Re lambda| <= sqrt(t) max |lambda|``.
        """
        largest = np.abs(q).max()
        if not largest:
            return np.inf
        off = max(q.real.max(), np.abs(q.imag).max())
        return float(2 / np.sqrt(largest)) if off <= tolerance * largest else 0.0


Integrator = ForwardEuler | Wave  # their q, (n,) complex, are the eigenvalues of the map that `combine` returns


def integrator_of(dynamic: str) -> Integrator:
    """Return the integrator of a dynamic; raises KeyError if the dynamic's facts state no region of stability."""
    facts = facts_of(dynamic)
    wave = Wave(facts.integrator or "the integrator")
    by_region: dict[str, Integrator] = {"disc": ForwardEuler(), "imaginary_interval": wave}
    return by_region[str(facts.region)]


def combine(layers: Sequence[LinearMap]) -> LinearMap:
    """Return the map with eigenvalues q: the Jacobian of a single layer, or the block ``-A B`` of ``L^2``, ``L = [0 A; -B 0]``.

    ``layers`` has the Jacobians in the order in which a step evaluates them; the Hamiltonian step has two, A of ``F(Z; theta1)``
    and B of ``F(Y; theta2)``. If both are symmetric and negative semidefinite, ``A B`` has real eigenvalues >= 0, and lambda is
    imaginary.
    """
    if len(layers) == 1:
        return layers[0]
    A, B = layers
    return LinearMap(lambda V: -A.product(B.product(V)), B.like)
