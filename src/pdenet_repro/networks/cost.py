"""What a network costs: floating-point operations of its convolutions, and numbers that go through memory.

The convolutions are all but a few per cent of the arithmetic.
"""

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig


def forward_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Operations for one image of ``side`` pixels, once through the network; a multiplication and an addition are two."""
    layers = facts_of(dynamic).layers
    widths = [*network.widths, network.last_width or network.widths[-1]]
    total = 2 * 9 * 3 * widths[0] * side**2  # opening
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        # K and K^T at each step; each of several layers has its part of the channels, squared: half the work if two
        total += network.steps * (2 * 2 * 9 * inputs**2 * side**2 // layers)
        total += 2 * inputs * outputs * side**2  # connector
        side //= 2
    return total


def training_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Operations for one image, forward and backward.

    Backward are the convolution's adjoint and the kernel's gradient; there is no gradient to the image.
    """
    to_image = 2 * 9 * 3 * network.widths[0] * side**2
    return 3 * forward_flops(network, dynamic, side) - to_image


def training_numbers(network: NetworkConfig, side: int = IMAGE_SIDE) -> int:
    """The least count of numbers read and written for one image, forward and backward; a norm must have seen all of ``K Y``.

    A layer on features Y, with ``Z = K Y``: forward Y in, Z out; Z and Y in, the next Y out. Backward, with the gradient g of
    the next Y: g and Z in, ``K g`` out; K g, Z, Y and g in, the gradient of Y out (the kernel's comes with it). All else
    (norm, activation, time step, pooling) is taken to happen on the way. A connector likewise: Y in, Z out; Z in, the pooled
    features out; their gradient and Z in, for the norm; both and Y in, the gradient of Y out. Weights are not counted: they are
    few, and shared by the images of a batch.
    """
    widths = [*network.widths, network.last_width or network.widths[-1]]
    total = (2 * 3 + 7 * widths[0]) * side**2  # opening: a connector without pooling, nor gradient to the image
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        pixels, side = side**2, side // 2
        total += network.steps * 13 * inputs * pixels  # a Hamiltonian step: two layers on half of the channels each
        left = side**2 if i + 1 < len(network.widths) else 1  # pixels, after pooling or the pixel mean
        total += (3 * inputs + 4 * outputs) * pixels + 3 * outputs * left
    return total
