"""Counts the floating-point operations of a network's convolutions, and the values that it reads from and writes to memory.

The convolutions are all but a few per cent of the arithmetic.
"""

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig


def forward_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Return the multiplications and additions of the forward pass of one image of ``side`` x ``side`` pixels."""
    layers = facts_of(dynamic).layers
    widths = [*network.widths, network.last_width or network.widths[-1]]
    total = 2 * 9 * 3 * widths[0] * side**2  # opening
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        # each step applies K and K^T; n layers with an n-th of the channels each need together an n-th of the operations
        total += network.steps * (2 * 2 * 9 * inputs**2 * side**2 // layers)
        total += 2 * inputs * outputs * side**2  # connector
        side //= 2
    return total


def training_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Return the multiplications and additions of the forward and backward pass of one image of ``side`` x ``side`` pixels.

    The backward pass computes the adjoint of each convolution and the gradient of its kernel, but no gradient of the image.
    """
    to_image = 2 * 9 * 3 * network.widths[0] * side**2
    return 3 * forward_flops(network, dynamic, side) - to_image


def memory_accesses(network: NetworkConfig, side: int = IMAGE_SIDE) -> int:
    """Return the least number of values that the forward and backward pass of one image read and write.

    A layer on features Y has to write ``Z = K Y`` and read it again, because a norm needs all of Z. Forward it reads Y and
    writes Z, then reads Z and Y and writes the next Y. Backward, with the gradient g of the next Y, it reads g and Z and writes
    ``K g``, then reads K g, Z, Y and g and writes the gradient of Y; the kernel's gradient is computed at the same time. Norm,
    activation, time step and pooling need no further access. A connector reads Y and writes Z, then reads Z and writes the
    pooled features; backward it reads their gradient and Z for the norm, then both and Y, and writes the gradient of Y. Weights
    are not counted: they are few, and shared by the images of a batch.
    """
    widths = [*network.widths, network.last_width or network.widths[-1]]
    total = (2 * 3 + 7 * widths[0]) * side**2  # opening: a connector without pooling and without gradient of the image
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        pixels, side = side**2, side // 2
        total += network.steps * 13 * inputs * pixels  # a Hamiltonian step: two layers on half of the channels each
        left = side**2 if i + 1 < len(network.widths) else 1  # the pixels that pooling or the pixel mean leaves
        total += (3 * inputs + 4 * outputs) * pixels + 3 * outputs * left
    return total
