"""Jacobians of layers at given features: as a product with directions, as a dense matrix, and their eigenvalues.

With the *norm frozen* the norm is the affine map with the mean and variance it has at those features. The Jacobian of the
symmetric layer (6) is then ``-K^T diag(sigma' s / std) K``: symmetric, and negative semidefinite as long as no scale s is
negative. With the norm's own contribution (mean and variance follow the features) it need be neither.
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
CHUNK = 128  # columns of a dense Jacobian at a time
SYMMETRIC = 1e-10  # largest relative difference to the transpose that rounding in float64 may leave
KRYLOV = 24  # dimension of the Krylov spaces; this many directions are kept
NOT_FINITE = "the Jacobian of a layer has entries that are not finite numbers: it has no eigenvalues"


class NoEigenvalues(UserError):
    """Eigenvalues that cannot be computed."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map of features: ``product`` takes directions (B, C, H, W) to the same, each by itself."""

    product: Product
    like: Tensor  # (1, C, H, W): size, type and device of a direction

    @property
    def size(self) -> int:
        """Number of unknowns, C H W."""
        return self.like.numel()

    def dense(self) -> np.ndarray:
        """(size, size), column by column the image of a unit vector."""
        unit = torch.eye(self.size, dtype=self.like.dtype, device=self.like.device)
        columns = [self.product(part.reshape(-1, *self.like.shape[1:])) for part in unit.split(CHUNK)]
        return torch.cat(columns).reshape(self.size, self.size).T.cpu().numpy()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation ``F(Y; theta)`` of a layer inside a time step, at features Y (N, C, H, W), N = 1 where not said."""

    F: Any  # SymmetricLayer or ResidualLayer
    Y: Tensor
    theta: Any

    def jacobian(self, *, frozen: bool, batched: bool = False) -> Linear:
        """``dF/dY`` at Y, with the norm frozen or with its contribution.

        ``batched``: Y has N examples, and row n of N directions is multiplied by the Jacobian at example n.
        """
        F = self.frozen() if frozen else self.F

        @torch.no_grad()
        def product(V: Tensor) -> Tensor:
            # the layer sees each example by itself: a batch of copies of Y differentiates in many directions at once
            copies = self.Y if batched else self.Y.repeat(len(V), 1, 1, 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # forward mode loads scripted functions of torch's own
                derivative: Tensor = torch.func.jvp(lambda Y: F(Y, self.theta), (copies,), (V,))[1]
                return derivative

        return Linear(product, self.Y)

    def cropped(self, side: int, *, frozen: bool) -> "Evaluation":
        """The same on the ``side`` x ``side`` pixels in the middle, zero beyond; in float64 on the CPU.

        ``frozen``: the norm is the affine map that it is at the whole features; otherwise it has the crop's own statistics.
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
        """The product of ``(dF/dY)^T``, norm free, at each of N examples with row n of directions (N, C, H, W)."""
        pullback = torch.func.vjp(lambda Y: self.F(Y, self.theta), self.Y)[1]
        return lambda V: pullback(V)[0]

    def frozen(self) -> Any:
        """The layer with its norm replaced by the affine map that the norm is at Y, of each example its own."""
        F = copy.copy(self.F)

        def freezing(Z: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
            F.norm = freeze(self.F.norm, Z)
            normed: Tensor = F.norm(Z, scale, shift)
            return normed

        F.norm = freezing
        with torch.no_grad():
            F(self.Y, self.theta)
        return F


def freeze(norm: Norm, Z: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The norm as the affine map it is at features Z (N, C, H, W): mean and variance no longer follow the features."""
    eps = NORMS[norm.name][1] if norm.eps is None else norm.eps
    if norm.name in ("instance", "channel"):
        variance, mean = torch.var_mean(Z, (2, 3) if norm.name == "instance" else 1, correction=0, keepdim=True)
    elif norm.name == "channel_rms":
        variance, mean = Z.square().sum(1, keepdim=True), torch.zeros_like(Z[:, :1])
    elif norm.name == "none":
        variance, mean, eps = torch.ones_like(Z[:1, :1, :1, :1]), torch.zeros_like(Z[:1, :1, :1, :1]), 0.0
    else:
        raise ValueError(f"{norm.name} looks at other examples too: it is no map of one example's features")
    factor = torch.rsqrt(variance + eps)

    def frozen(
        Y: Tensor, scale: Tensor, shift: Tensor, crop: Callable[[Tensor], Tensor] = lambda values: values
    ) -> Tensor:
        of_Y, by = (crop(values).to(Y) for values in (mean, factor))
        return (Y - of_Y) * by * scale[:, None, None] + shift[:, None, None]

    return frozen


@torch.no_grad()
def evaluations(unit: Unit, Y: Tensor) -> Iterator[list[Evaluation]]:
    """Of each time step, in their order, the evaluations of its layers, where the unit starts from Y (N, C, H, W)."""
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


@torch.no_grad()
def estimated_asymmetry(layer: Evaluation, directions: int = 4) -> float:
    """`asymmetry` of a layer's Jacobian, the norm's contribution included, from products with J and ``J^T``.

    ``|J - J^T|^2`` and ``|J|^2`` are the mean squared lengths of their products with normal directions (Hutchinson).
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
    """``|J - J^T| / |J|`` in the Frobenius norm; 0 for a zero matrix."""
    size = np.linalg.norm(matrix)
    return float(np.linalg.norm(matrix - matrix.T) / size) if size else 0.0


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    """All eigenvalues, complex; by the symmetric algorithm where the matrix is symmetric up to rounding.

    Raises
    ------
    NoEigenvalues
        Numbers that are not finite.
    """
    if not np.isfinite(matrix).all():
        raise NoEigenvalues(NOT_FINITE)
    if asymmetry(matrix) <= SYMMETRIC:
        values: Tensor = torch.linalg.eigvalsh(torch.from_numpy((matrix + matrix.T) / 2))
        return values.numpy().astype(complex)
    values = torch.linalg.eigvals(torch.from_numpy(matrix))  # SciPy's takes several times as long on some processors
    return values.numpy()


def extreme_eigenvalues(
    linear: Linear, *, symmetric: bool, which: str = "LM", count: int = 1, tolerance: float = 1e-3, shift: float = 0.0
) -> np.ndarray:
    """``count`` extreme eigenvalues by Lanczos (symmetric) or Arnoldi (not), from products alone; complex, no order.

    ``which`` as in scipy: ``LM`` largest magnitude; ``LR`` (Arnoldi) largest real part, ``LA`` (Lanczos) largest. The
    iteration is that of ``J + shift I``, to a ``tolerance`` relative to its eigenvalues: an end of the spectrum near 0 is
    found with a shift, and to the accuracy of the shift. Of those that do not converge nothing is returned. The start is
    random, the same every time.

    Raises
    ------
    NoEigenvalues
        Products that are not finite, or an iteration that breaks down.
    """
    kind = np.float64 if linear.like.dtype == torch.float64 else np.float32

    def product(v: np.ndarray) -> np.ndarray:
        direction = torch.from_numpy(v.astype(kind)).reshape(linear.like.shape).to(linear.like.device)
        return linear.product(direction).reshape(-1).cpu().numpy()

    start = np.random.default_rng(0).standard_normal(linear.size).astype(kind)
    first = product(start)
    if not np.isfinite(first).all():
        raise NoEigenvalues(NOT_FINITE)
    if not first.any():  # a random direction is in the kernel of no other map; ARPACK takes the zero map for an error
        return np.zeros(count, complex)
    shifted = LinearOperator(
        (linear.size, linear.size), matvec=lambda v: product(v) + kind(shift) * v.astype(kind).ravel(), dtype=kind
    )
    method = eigsh if symmetric else eigs
    try:
        found = method(
            shifted, count, which=which, v0=start, ncv=min(KRYLOV, linear.size), tol=tolerance, maxiter=300,
            return_eigenvectors=False,
        )  # fmt: skip
    except ArpackNoConvergence as error:
        found = error.eigenvalues
    except ArpackError as error:
        raise NoEigenvalues(f"the iteration for eigenvalues of a layer's Jacobian broke down: {error}") from error
    return np.asarray(found, complex) - shift
