"""3x3 convolution with a quarter of the multiplications: Winograd's minimal filtering F(4x4, 3x3), for compiled CPU code.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2016). Images are cut into tiles of 6x6 pixels that overlap
by two. With the algorithm's matrices A, B, G, a tile ``d`` and a kernel ``g`` give 4x4 pixels of the result, ``A^T [ (G g G^T) *
(B^T d B) ] A`` with an elementwise product; for all tiles and channels these products are 36 matrix products. The transforms are
sums of a few neighbours, which TorchInductor fuses. The backward pass has a quarter of the multiplications too, because it
differentiates this code. PyTorch's own kernels (oneDNN) no longer have the algorithm.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BT = (
    (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1),
)  # fmt: skip
G = (
    (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1),
)  # fmt: skip
AT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

FEWEST_CHANNELS = 64  # with fewer channels the sums take the time that the products save (docs/performance.md)


def is_faster(Y: Tensor, K: Tensor) -> bool:
    """Whether ``Y`` and ``K`` are being convolved in float32 in code compiled for the CPU, and this algorithm is faster there."""
    return (
        torch.compiler.is_compiling()
        and Y.device.type == "cpu"
        and Y.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and K.shape[2:] == (3, 3)
        and min(K.shape[:2]) >= FEWEST_CHANNELS
        and Y.shape[2] % 4 == Y.shape[3] % 4 == 0
    )


def conv(Y: Tensor, K: Tensor) -> Tensor:
    """Return ``K Y`` (N, C_out, H, W) with zero padding: Y (N, C_in, H, W), K (C_out, C_in, 3, 3), H and W multiples of 4."""
    return _pixels(_tiles(Y) @ _kernel(K, flip=False).transpose(1, 2), Y)


def conv_transpose(Z: Tensor, K: Tensor) -> Tensor:
    """Return the adjoint ``K^T Z`` (N, C_in, H, W) of Z (N, C_out, H, W): a convolution with K turned by 180 degrees."""
    return _pixels(_tiles(Z) @ _kernel(K, flip=True), Z)


def _combine(M: tuple[tuple[float, ...], ...], parts: tuple[Tensor, ...]) -> list[Tensor]:
    """The product of the matrix ``M`` with the vector of ``parts``; terms with a zero of ``M`` are left out."""
    terms = [[m * part for m, part in zip(row, parts, strict=True) if m] for row in M]
    return [sum(rest, first) for first, *rest in terms]


def _tiles(Y: Tensor) -> Tensor:
    """``B^T d B`` of every tile: (N, C, H, W) to (36, tiles, C); first over rows, then over columns."""
    height, width = Y.shape[2:]
    Y = F.pad(Y.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    half = torch.stack(_combine(BT, tuple(Y[:, i : i + height - 3 : 4] for i in range(6))))
    whole = torch.stack(_combine(BT, tuple(half[:, :, :, j : j + width - 3 : 4] for j in range(6))), 1)
    return whole.flatten(2, 4).flatten(0, 1)


def _kernel(K: Tensor, flip: bool) -> Tensor:
    """``G g G^T`` of every pair of channels, (C_out, C_in, 3, 3) to (36, C_out, C_in); ``flip`` turns g by 180 degrees."""
    matrix = torch.tensor(G, dtype=K.dtype)
    both = torch.kron(matrix, matrix)
    return ((both.flip(1) if flip else both) @ K.reshape(-1, 9).T).reshape(36, *K.shape[:2])


def _pixels(M: Tensor, like: Tensor) -> Tensor:
    """``A^T m A`` of every tile, assembled to features: (36, tiles, C) to (N, C, H, W), with N, H, W of ``like``."""
    n, _, height, width = like.shape
    M = M.reshape(6, 6, n, height // 4, width // 4, M.shape[-1])
    half = torch.stack(_combine(AT, M.unbind(1)), 4)
    whole = torch.stack(_combine(AT, half.unbind(0)), 2)
    return whole.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
