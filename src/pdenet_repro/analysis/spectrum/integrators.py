"""The time integrators as linear stability theory sees them: which eigenvalues they meet, which step sizes they allow.

A step linearised at its features belongs to ``y' = L y``. Forward Euler multiplies a mode of eigenvalue ``lambda`` by
``1 + h lambda``. For the two hyperbolic dynamics ``L^2`` is what the layers give: with ``q = lambda^2`` the modes of one
step of leapfrog, and of symplectic Euler, are multiplied by the roots of ``g^2 - (2 + h^2 q) g + 1``.

Where eigenvalues are known up to an error, no test tells an eigenvalue on the edge of the region of stability from one
beside it, so the limits take a tolerance. Growth weaker than that passes them; ``growth`` counts every mode at hand.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from pdenet_repro.analysis.jacobian import Linear
from pdenet_repro.config.dynamics import facts_of

ROUNDING = 1e-6  # error of all eigenvalues of a dense matrix in float64, relative to the largest; double ones included


class Integrator(ABC):
    """An integrator with step size ``h``; ``q`` are the eigenvalues of the matrix ``combine`` makes of the layers'."""

    name: str
    region: str  # of stability, in words

    @abstractmethod
    def eigenvalues(self, q: np.ndarray) -> np.ndarray:
        """Those of ``y' = L y``, from q."""

    @abstractmethod
    def growth(self, q: np.ndarray, h: float) -> float:
        """Largest factor by which one step multiplies a mode; at most 1: stable."""

    @abstractmethod
    def limit(self, q: np.ndarray, tolerance: float = ROUNDING) -> float:
        """Largest step size at which none of the modes at hand grows; 0: there is none, inf: at any.

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
        """``min -2 Re(lambda) / |lambda|^2``, 0 where a real part is not negative.

        Eigenvalues that are smaller than their error have no phase and are left out: a kernel of ``L`` does not count.
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
        """``2 / |lambda|`` of the largest, 0 where a q is not real and negative: one of its two modes grows at every h.

        The tolerance is one of q: what passes has ``|Re lambda|`` of at most the root of it times the largest ``|lambda|``.
        """
        largest = np.abs(q).max()
        if not largest:
            return np.inf
        off = max(q.real.max(), np.abs(q.imag).max())
        return float(2 / np.sqrt(largest)) if off <= tolerance * largest else 0.0


def integrator_of(dynamic: str) -> Integrator:
    """The integrator of a dynamic, by its facts; KeyError where its region of stability is not known."""
    facts = facts_of(dynamic)
    return {"disc": ForwardEuler(), "imaginary_interval": Wave(facts.integrator)}[str(facts.region)]


def combine(layers: Sequence[Linear]) -> Linear:
    """The map whose eigenvalues are q: the layer's Jacobian, or of ``L = [0 A; -B 0]`` (Hamiltonian) the block ``-A B``.

    ``layers``: the Jacobians in the order of their evaluation in the step; A of ``F(Z; theta1)``, B of ``F(Y; theta2)``.
    Where A and B are symmetric and negative semidefinite, ``A B`` has real eigenvalues >= 0, so lambda is imaginary.
    """
    if len(layers) == 1:
        return layers[0]
    A, B = layers
    return Linear(lambda V: -A.product(B.product(V)), B.like)
