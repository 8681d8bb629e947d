"""What a network costs: floating-point operations of its convolutions, which are all but a few per cent of the arithmetic."""

from pdenet_repro.config import IMAGE_SIDE, NetworkConfig


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
