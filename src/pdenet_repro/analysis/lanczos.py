"""Compute the largest eigenvalue of many symmetric maps at once, matrix-free: one map for each example of a batch."""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 24  # of the iteration; with them the largest eigenvalue is known to about 1 %


@torch.no_grad()
def largest_eigenvalues(product: Callable[[Tensor], Tensor], like: Tensor, steps: int = STEPS) -> Tensor:
    """Compute the largest eigenvalue of each of N symmetric maps, (N,) float64, by the Lanczos iteration.

    ``product`` takes directions (N, ...) of the shape and type of ``like`` and applies map n to the n-th. The result is a lower
    bound, which grows with ``steps``; it is exact up to rounding if there are as many steps as the map has distinct eigenvalues.
    The iteration starts at the same random vector every time and reorthogonalises all its vectors.
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like).flatten(1)
    v = v / v.norm(dim=1, keepdim=True)
    steps, kept, diagonal, off_diagonal = min(steps, v.shape[1]), [v], [], []
    for step in range(steps):
        w = product(kept[-1].reshape(like.shape)).flatten(1)
        diagonal.append((w * kept[-1]).sum(1))
        for _ in range(2):  # one pass of Gram-Schmidt loses orthogonality by rounding; a second one restores it
            for u in kept:
                w = w - (w * u).sum(1, keepdim=True) * u
        length = w.norm(dim=1, keepdim=True)
        scale = torch.stack(diagonal).abs().amax(0)[:, None]
        # otherwise the vectors so far span an invariant subspace, and its eigenvalues are exact
        goes_on = length > 100 * torch.finfo(w.dtype).eps * scale
        if step + 1 < steps:
            off_diagonal.append((length * goes_on).squeeze(1))
            kept.append(torch.where(goes_on, w / length.clamp_min(1e-300), 0))
    T = torch.diag_embed(torch.stack(diagonal, 1).double())
    if off_diagonal:
        off = torch.diag_embed(torch.stack(off_diagonal, 1).double(), 1)
        T = T + off + off.mT
    # rows after an invariant subspace are 0 and would add the eigenvalue 0: their diagonal is set below all eigenvalues
    started = torch.stack([u.norm(dim=1) > 0 for u in kept], 1)
    lowest = -T.abs().sum((1, 2)) - 1
    T = T + torch.diag_embed(torch.where(started, 0.0, lowest[:, None].expand(-1, steps)))
    largest: Tensor = torch.linalg.eigvalsh(T)[:, -1]
    return largest
