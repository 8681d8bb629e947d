"""What a network costs: floating-point operations of its convolutions, and numbers that must go through memory.

Convolutions are all but a few per cent of the arithmetic.
"""

from pdenet_repro.config.schema import IMAGE_SIDE, NetworkConfig


def forward_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Of one image of ``side`` pixels once through the network; a multiplication and an addition are two."""
    widths = [*network.widths, network.last_width or network.widths[-1]]
    total = 2 * 9 * 3 * widths[0] * side**2  # opening
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        # K and K^T at each step; a Hamiltonian step has two layers, each on half of the channels.
        layer = 2 * 2 * 9 * inputs**2 * side**2
        total += network.steps * (layer // 2 if dynamic == "hamiltonian" else layer)
        total += 2 * inputs * outputs * side**2  # connector
        side //= 2
    return total


def training_flops(network: NetworkConfig, dynamic: str, side: int = IMAGE_SIDE) -> int:
    """Of one image forward and backward: convolution, its adjoint, and the kernel's gradient; no gradient to the image."""
    to_image = 2 * 9 * 3 * network.widths[0] * side**2
    return 3 * forward_flops(network, dynamic, side) - to_image


def training_numbers(network: NetworkConfig, side: int = IMAGE_SIDE) -> int:
    """Fewest numbers read and written for one image forward and backward, where a norm must have seen all of ``K Y``.

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
