"""Winograd's convolutions are PyTorch's, and are chosen only where they are meant to be."""

import pytest
import torch
import torch.nn.functional as F

from pdenet_repro.networks import layers, winograd
from pdenet_repro.networks.norms import Norm


def features(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (12, 8), (8, 20)])
def test_they_are_the_convolutions_of_torch_with_their_derivatives(height, width):
    Y, Z, K = features(2, 3, height, width), features(2, 5, height, width), features(5, 3, 3, 3, seed=1)
    for ours, torchs, argument in (
        (winograd.conv, F.conv2d, Y),
        (winograd.conv_transpose, F.conv_transpose2d, Z),
    ):
        inputs = argument.requires_grad_(), K.requires_grad_()
        found, expected = ours(*inputs), torchs(*inputs, padding=1)
        assert torch.allclose(found, expected, atol=1e-12)
        v = features(*expected.shape, seed=2)
        pairs = zip(torch.autograd.grad(found, inputs, v), torch.autograd.grad(expected, inputs, v), strict=True)
        assert all(torch.allclose(a, b, atol=1e-11) for a, b in pairs)


def test_in_float32_the_error_is_a_few_roundings():
    Y, K = features(2, 128, 12, 12), features(128, 128, 3, 3, seed=1)
    exact = F.conv2d(Y, K, padding=1)
    error = (winograd.conv(Y.float(), K.float()) - exact).norm() / exact.norm()
    assert error < 1e-5


def test_they_are_for_wide_layers_in_compiled_float32_on_the_cpu(monkeypatch):
    Y, K = features(1, 64, 8, 8, dtype=torch.float32), features(64, 64, 3, 3, dtype=torch.float32)
    assert not winograd.is_faster(Y, K)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert winograd.is_faster(Y, K)
    assert not winograd.is_faster(Y.double(), K.double())
    assert not winograd.is_faster(Y[:, :, :6], K)
    assert not winograd.is_faster(Y[:, :32], K[:32, :32])
    assert not winograd.is_faster(Y, K[:, :, :1, :1])
    assert not winograd.is_faster(Y.to("meta"), K)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.is_faster(Y, K)


@pytest.mark.slow
def test_a_compiled_layer_goes_this_way_and_computes_the_same(monkeypatch):
    layer, seen = layers.SymmetricLayer(Norm("instance"), "tanh"), []
    monkeypatch.setattr(winograd, "conv", lambda Y, K, conv=winograd.conv: seen.append(Y.shape) or conv(Y, K))
    Y = features(2, 64, 8, 8, dtype=torch.float32).requires_grad_()
    weights = [features(64, 64, 3, 3, dtype=torch.float32).mul_(0.05), torch.ones(64), torch.zeros(64)]
    inputs = [Y, *(weight.requires_grad_() for weight in weights)]
    v = features(2, 64, 8, 8, dtype=torch.float32, seed=3)

    def gradients(function):
        out = function(Y, layers.SymmetricWeights(*inputs[1:]))
        return [out.detach(), *torch.autograd.grad(out, inputs, v)]

    expected = gradients(layer)
    assert not seen
    found = gradients(torch.compile(layer.__call__, dynamic=False))
    assert seen
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() < 1e-5 * b.norm()
