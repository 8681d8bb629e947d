"""Compute Jacobians of layers at given features: products with directions, dense matrices and eigenvalues.

Here "norm" is the normalisation in a layer. A *frozen* norm keeps the mean and variance that it has at the given features, so
it is an affine map. The Jacobian of the symmetric layer (6) is then ``-K^T diag(sigma' s / std) K``, with the norm's scale s:
it is symmetric, and negative semidefinite if no s is negative. With a *free* norm, whose mean and variance follow the
features, it need be neither.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs, eigsh
from torch import Tensor

from pdenet_repro.networks.norms import NORMS, Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system.errors import UserError

Product = Callable[[Tensor], Tensor]
CHUNK = 128  # columns of a dense Jacobian that are computed together
SYMMETRIC = 1e-10  # a float64 matrix of at most this `asymmetry` counts as symmetric up to rounding
KRYLOV = 24  # dimension of the Krylov spaces, which is the number of stored vectors
NOT_FINITE = "the Jacobian of a layer has entries that are not finite numbers: it has no eigenvalues"


class NoEigenvalues(UserError):
    """Eigenvalues or singular values cannot be computed; the message says why."""


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A linear map of features (C, H, W); ``product`` applies it to each of B directions (B, C, H, W)."""

    product: Product
    like: Tensor  # (1, C, H, W) with arbitrary values: shape, type and device of one direction

    @property
    def size(self) -> int:
        """Number of rows of the matrix, C H W."""
        return self.like.numel()

    def dense(self) -> np.ndarray:
        """Return the matrix (size, size) of the map, column by column from the unit vectors, in the type of ``like``."""
        unit = torch.eye(self.size, dtype=self.like.dtype, device=self.like.device)
        columns = [self.product(part.reshape(-1, *self.like.shape[1:])) for part in unit.split(CHUNK)]
        return torch.cat(columns).reshape(self.size, self.size).T.cpu().numpy()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation ``F(Y; theta)`` of a layer F with weights theta at features Y (N, C, H, W)."""

    F: Any  # SymmetricLayer or ResidualLayer
    Y: Tensor
    theta: Any

    def jacobian(self, *, frozen: bool, batched: bool = False) -> LinearMap:
        """Return the Jacobian ``dF/dY`` at Y, with a frozen or a free norm.

        If ``batched``, its product takes N directions and multiplies the n-th by the Jacobian at example n; the map is then
        good for its product alone. Otherwise Y must have N = 1, and the product takes any number of directions.
        """
        F = self.frozen() if frozen else self.F

        @torch.no_grad()
        def product(V: Tensor) -> Tensor:
            # a layer treats examples independently, so each copy of Y can have a direction of its own
            copies = self.Y if batched else self.Y.repeat(len(V), 1, 1, 1)
            return forward_product(lambda Y: F(Y, self.theta), copies, V)

        return LinearMap(product, self.Y)

    def cropped(self, side: int, *, frozen: bool) -> "Evaluation":
        """Return the evaluation at the ``side`` x ``side`` pixels in the middle of Y, zero-padded, in float64 on the CPU.

        A ``frozen`` norm keeps the mean and variance of the whole features; a free one has those of the crop.
        """
        top, left = ((n - side) // 2 for n in self.Y.shape[2:])

        def crop(values: Tensor) -> Tensor:
            whole = values.shape[2:] == self.Y.shape[2:]
            return values[..., top : top + side, left : left + side] if whole else values

        F = copy.copy(self.F)
        if frozen:
            norm = self.frozen().norm
            F.norm = partial(norm, crop=crop)
        theta = type(self.theta)(*(value.detach().double().cpu() for value in self.theta))
        return Evaluation(F, crop(self.Y).double().cpu(), theta)

    def transposed(self) -> Product:
        """Return the function that multiplies direction n of (N, C, H, W) by ``(dF/dY)^T`` at example n, the norm free."""
        pullback = torch.func.vjp(lambda Y: self.F(Y, self.theta), self.Y)[1]
        return lambda V: pullback(V)[0]

    def frozen(self) -> Any:
        """Return the layer with its norm frozen at Y, with a mean and variance for each example."""
        F = copy.copy(self.F)

        def freezing(Z: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
            F.norm = freeze(self.F.norm, Z)
            normed: Tensor = F.norm(Z, scale, shift)
            return normed

        F.norm = freezing
        with torch.no_grad():
            F(self.Y, self.theta)
        return F


def forward_product(function: Product, Y: Tensor, V: Tensor) -> Tensor:
    """Return the derivative of ``function`` at Y in the direction V, which has the shape of Y (forward mode)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own scripted functions raise it in forward mode
        derivative: Tensor = torch.func.jvp(function, (Y,), (V,))[1]
        return derivative


def freeze(norm: Norm, Z: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return ``norm`` with its mean and variance fixed at those of features Z (N, C, H, W), an affine map.

    Raises
    ------
    ValueError
        The statistics of the norm are over several examples.
    """
    eps = NORMS[norm.name][1] if norm.eps is None else norm.eps
    if norm.name in ("instance", "channel"):
        variance, mean = torch.var_mean(Z, (2, 3) if norm.name == "instance" else 1, correction=0, keepdim=True)
    elif norm.name == "channel_rms":
        variance, mean = Z.square().sum(1, keepdim=True), torch.zeros_like(Z[:, :1])
    elif norm.name == "none":
        variance, mean, eps = torch.ones_like(Z[:1, :1, :1, :1]), torch.zeros_like(Z[:1, :1, :1, :1]), 0.0
    else:
        raise ValueError(f"{norm.name} is a norm over several examples: it cannot be frozen at the features of one")
    factor = torch.rsqrt(variance + eps)

    def frozen(
        Y: Tensor, scale: Tensor, shift: Tensor, crop: Callable[[Tensor], Tensor] = lambda values: values
    ) -> Tensor:
        of_Y, by = (crop(values).to(Y) for values in (mean, factor))
        return (Y - of_Y) * by * scale[:, None, None] + shift[:, None, None]

    return frozen


@torch.no_grad()
def evaluations(unit: Unit, Y: Tensor) -> Iterator[list[Evaluation]]:
    """Yield for each time step of a unit that starts from Y (N, C, H, W) the evaluations of its layers, in their order."""
    seen: list[Evaluation] = []
    F, dynamic = unit.dynamic.F, copy.copy(unit.dynamic)

    def recorded(Y: Tensor, theta: Any) -> Tensor:
        seen.append(Evaluation(F, Y, theta))
        return F(Y, theta)

    dynamic.F = recorded  # type: ignore[assignment]
    state = unit.start(Y)
    for theta in unit.thetas():
        seen.clear()
        state = dynamic.step(state, theta)
        yield list(seen)


def measure_layers(
    unit: Unit, Y: Tensor, batch: int, measure: Callable[[Evaluation], Tensor]
) -> dict[tuple[int, int], tuple[np.ndarray, Evaluation]]:
    """Apply ``measure``, which gives a number for each example, to every layer of a unit that starts from Y (N, C, H, W).

    The result maps (time step, layer), both counted from 1, to the numbers (N,) and to the evaluation of the layer at the
    first ``batch`` examples. Examples are measured in batches of that size.
    """
    found: dict[tuple[int, int], tuple[list[np.ndarray], Evaluation]] = {}
    for some in Y.split(batch):
        for step, layers in enumerate(evaluations(unit, some), start=1):
            for number, each in enumerate(layers, start=1):
                found.setdefault((step, number), ([], each))[0].append(measure(each).cpu().numpy())
    return {place: (np.concatenate(values), each) for place, (values, each) in found.items()}


@torch.no_grad()
def estimated_asymmetry(layer: Evaluation, directions: int = 4) -> float:
    """Estimate the `asymmetry` of a layer's Jacobian J at one example, the norm free, from products with J and ``J^T``.

    The squared Frobenius norms of ``J - J^T`` and J are estimated by the mean squared lengths of their products with
    ``directions`` normal random vectors (Hutchinson's estimator).
    """
    J, transposed = layer.jacobian(frozen=False).product, layer.transposed()
    generator, difference, whole = torch.Generator().manual_seed(0), 0.0, 0.0
    for _ in range(directions):
        v = torch.randn(layer.Y.shape, generator=generator).to(layer.Y)
        image = J(v)
        difference += float((image - transposed(v)).square().sum())
        whole += float(image.square().sum())
    return (difference / whole) ** 0.5 if whole else 0.0


def asymmetry(matrix: np.ndarray) -> float:
    """Return ``|J - J^T| / |J|`` in the Frobenius norm; 0 for a zero matrix."""
    size = np.linalg.norm(matrix)
    return float(np.linalg.norm(matrix - matrix.T) / size) if size else 0.0


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """Return all eigenvalues of a real matrix as complex numbers, exactly real for a matrix symmetric up to rounding.

    Raises
    ------
    NoEigenvalues
        An entry of the matrix is not finite.
    """
    if not np.isfinite(matrix).all():
        raise NoEigenvalues(NOT_FINITE)
    if asymmetry(matrix) <= SYMMETRIC:
        values: Tensor = torch.linalg.eigvalsh(torch.from_numpy((matrix + matrix.T) / 2))
        return values.numpy().astype(complex)
    values = torch.linalg.eigvals(torch.from_numpy(matrix))  # SciPy needs several times as long on some processors
    return values.numpy()


def extreme_eigenvalues(
    J: LinearMap, *, symmetric: bool, which: str = "LM", count: int = 1, tolerance: float = 1e-3, shift: float = 0.0
) -> np.ndarray:
    """Compute up to ``count`` extreme eigenvalues of J matrix-free; the complex array has those that converged, unsorted.

    ARPACK's Lanczos (``symmetric``) or Arnoldi iteration is run from the same random vector every time. ``which`` is as in
    scipy: ``LM`` largest modulus; ``LA`` (Lanczos) or ``LR`` (Arnoldi) largest real part. The iteration is run for
    ``J + shift I``, and ``tolerance`` is relative to the eigenvalues of that map. For an end of the spectrum near 0 a ``shift``
    is needed; the absolute error is then about ``tolerance * shift``.

    Raises
    ------
    NoEigenvalues
        A product is not finite, or the iteration breaks down.
    """
    kind = np.float64 if J.like.dtype == torch.float64 else np.float32

    def product(v: np.ndarray) -> np.ndarray:
        direction = torch.from_numpy(v.astype(kind)).reshape(J.like.shape).to(J.like.device)
        return J.product(direction).reshape(-1).cpu().numpy()

    start = np.random.default_rng(0).standard_normal(J.size).astype(kind)
    first = product(start)
    if not np.isfinite(first).all():
        raise NoEigenvalues(NOT_FINITE)
    if not first.any():  # only the zero map has a random vector in its null space, and ARPACK fails for it
        return np.zeros(count, complex)
    shifted = LinearOperator(
        (J.size, J.size), matvec=lambda v: product(v) + kind(shift) * v.astype(kind).ravel(), dtype=kind
    )
    method = eigsh if symmetric else eigs
    try:
        found = method(
            shifted, count, which=which, v0=start, ncv=min(KRYLOV, J.size), tol=tolerance, maxiter=300,
            return_eigenvectors=False,
        )  # fmt: skip
    except ArpackNoConvergence as error:
        found = error.eigenvalues
    except ArpackError as error:
        raise NoEigenvalues(f"the iteration for eigenvalues of a layer's Jacobian broke down: {error}") from error
    return np.asarray(found, complex) - shift
