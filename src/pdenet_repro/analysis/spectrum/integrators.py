"""Linear stability of the time integrators: the factor by which one step multiplies a mode, and the stable step sizes.

One step, linearised at its features, is a step for ``y' = L y``. Forward Euler multiplies a mode with eigenvalue ``lambda`` by
``1 + h lambda``. For the two hyperbolic dynamics the Jacobians of the layers give ``L^2``: with ``q = lambda^2`` one step of
leapfrog, or of symplectic Euler, multiplies its modes by the roots of ``g^2 - (2 + h^2 q) g + 1``.

Eigenvalues are known up to an error, so an eigenvalue on the edge of the region of stability cannot be distinguished from one
beside it. ``limit`` therefore has a tolerance, and does not see weaker growth; ``growth`` has none.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from pdenet_repro.analysis.jacobian import Linear
from pdenet_repro.config.dynamics import facts_of

ROUNDING = 1e-6  # relative error of the eigenvalues of a dense matrix in float64, double ones included


class Integrator(ABC):
    """A time integrator. ``q``, (n,) complex: eigenvalues of the map that `combine` makes of the layers' Jacobians."""

    name: str
    region: str  # of stability, in words

    @abstractmethod
    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """The eigenvalues lambda of L, from q."""

    @abstractmethod
    def growth(self, q: np.ndarray, h: float) -> float:
        """The largest factor by which one step of size h multiplies a mode; the step is stable if it is at most 1."""

    @abstractmethod
    def limit(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """The largest step size at which no mode grows; 0 if a mode grows at every step size, inf if none does at any.

        ``tolerance``: error of q, relative to the largest ``|q|``.
        """


class ForwardEuler(Integrator):
    """``|1 + h lambda| <= 1``: a disc around -1; real negative lambda: ``h <= 2/|lambda|``."""

    name = "forward Euler"
    region = "|1 + h lambda| <= 1"

    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """The values q themselves."""
        return q

    def growth(self, q: np.ndarray, h: float) -> float:
        """``max |1 + h lambda|``."""
        return float(np.abs(1 + h * q).max())

    def limit(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """``min -2 Re(lambda) / |lambda|^2``, or 0 where a real part is not negative.

        Eigenvalues below the tolerance count as 0 and are left out.
        """
        moduli = np.abs(q)
        known = moduli > tolerance * moduli.max()
        if not known.any():
            return np.inf
        return max(0.0, float((-2 * q[known].real / moduli[known] ** 2).min()))


class Wave(Integrator):
    """Leapfrog or symplectic Euler: ``h lambda`` on the segment from -2i to 2i, that is q real, ``-4 <= h^2 q <= 0``."""

    region = "h lambda in [-2i, 2i]"

    def __init__(self, name: str) -> None:
        self.name = name

    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """Both square roots of each q."""
        root = np.sqrt(q.astype(complex))
        return np.concatenate([root, -root])

    def growth(self, q: np.ndarray, h: float) -> float:
        """The larger root of ``g^2 - (2 + h^2 q) g + 1``."""
        middle = 1 + h**2 * q.astype(complex) / 2
        root = np.sqrt(middle**2 - 1)
        return float(np.maximum(np.abs(middle + root), np.abs(middle - root)).max())

    def limit(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """``2 / max |lambda|``, or 0 where a q is not real and negative: then one of its two modes grows at every h.

        With a tolerance t for q, ``|Re lambda| <= sqrt(t) max |lambda|`` counts as imaginary.
        """
        largest = np.abs(q).max()
        if not largest:
            return np.inf
        off = max(q.real.max(), np.abs(q.imag).max())
        return float(2 / np.sqrt(largest)) if off <= tolerance * largest else 0.0


def integrator_of(dynamic: str) -> Integrator:
    """The integrator of a dynamic; KeyError where the dynamic's facts state no region of stability."""
    facts = facts_of(dynamic)
    return {"disc": ForwardEuler(), "imaginary_interval": Wave(facts.integrator)}[str(facts.region)]


def combine(layers: Sequence[Linear]) -> Linear:
    """The map with eigenvalues q: the Jacobian of a single layer, or the block ``-A B`` of ``L^2``, ``L = [0 A; -B 0]``.

    ``layers``: the Jacobians in the order in which a step evaluates them, two for Hamiltonian: A of ``F(Z; theta1)``, B of
    ``F(Y; theta2)``.
    Where A and B are symmetric and negative semidefinite, ``A B`` has real eigenvalues >= 0, so lambda is imaginary.
    """
    if len(layers) == 1:
        return layers[0]
    A, B = layers
    return Linear(lambda V: -A.product(B.product(V)), B.like)
