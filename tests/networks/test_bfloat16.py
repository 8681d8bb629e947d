"""bfloat16 convolutions of this PyTorch on this CPU agree with float32 over the shapes in use; some versions' do not."""

import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.layers import conv, conv_transpose

ROUNDOFF = 2.0**-8  # of bfloat16: the result, a float32 sum of exact products, is rounded once


def shapes(network):
    """(side, channels in, channels out, stencil) of every convolution of a network, its Hamiltonian halves included."""
    widths = [*network.widths, network.last_width or network.widths[-1]]
    found = [(IMAGE_SIDE, 3, widths[0], 3)]
    for i, (width, following) in enumerate(zip(widths, widths[1:], strict=False)):
        side = IMAGE_SIDE >> i
        found += [(side, width, width, 3), (side, width // 2, width // 2, 3), (side, width, following, 1)]
    return found


EVERY = sorted(
    {shape for name in ("paper", "jmiv", "small", "tiny") for shape in shapes(compose(f"network={name}").network)}
)


CASES = [(shape, batch) for shape in EVERY for batch in ((1, 3, 32) if shape[0] <= 24 else (1, 3))]


@pytest.mark.parametrize(("shape", "batch"), CASES, ids=str)
def test_convolution_adjoint_and_gradients(shape, batch):
    side, inputs, outputs, size = shape
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes):
        return torch.randn(sizes, generator=generator).bfloat16()

    Y, Z = draw(batch, inputs, side, side), draw(batch, outputs, side, side)
    K = (draw(outputs, inputs, size, size) / (inputs * size**2) ** 0.5).bfloat16()
    results = {}
    for dtype in (torch.bfloat16, torch.float32):
        y, z, k = (each.detach().to(dtype).requires_grad_() for each in (Y, Z, K))
        forward, adjoint = conv(y, k), conv_transpose(z, k)
        of_forward = torch.autograd.grad(forward, (y, k), Z.to(dtype))
        of_adjoint = torch.autograd.grad(adjoint, (z, k), Y.to(dtype))
        results[dtype] = [each.detach().float() for each in (forward, adjoint, *of_forward, *of_adjoint)]
    for found, expected in zip(results[torch.bfloat16], results[torch.float32], strict=True):
        assert found.isfinite().all()
        assert (found - expected).norm() <= ROUNDOFF * expected.norm()
        assert (found - expected).abs().max() <= 2 * ROUNDOFF * expected.abs().max()
