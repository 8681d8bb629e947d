"""Inequalities and identities behind the energies, on random kernels in float64: what holds, and what each needs."""

import pytest
import torch

from pdenet_repro.analysis.energy import invariants
from pdenet_repro.analysis.operator_norm import euler_bound, operator_norm
from pdenet_repro.networks.dynamics import DYNAMICS, Hamiltonian, Parabolic, SecondOrder
from pdenet_repro.networks.layers import ACTIVATIONS, SymmetricLayer, SymmetricWeights, conv
from pdenet_repro.networks.norms import Norm

NONE = Norm("none")


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weights(channels, seed, scale=1.0, bias=0.0):
    """Of a symmetric layer, with a kernel of norm 1 on 6 x 6 pixels."""
    K, ones = normal(channels, channels, 3, 3, seed=seed), torch.ones(channels).double()
    return SymmetricWeights(K / operator_norm(K, 6)[0], scale * ones, bias * ones)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_antiderivative_is_between_half_of_x_sigma_and_half_of_x_squared(activation):
    """``x sigma(x) / 2 <= S(x) <= x^2 / 2`` and ``sigma^2 <= 2 S``; for ReLU the first and the last are equalities."""
    x = torch.linspace(-30, 30, 6001, dtype=torch.float64, requires_grad=True)
    S, sigma = invariants.ANTIDERIVATIVES[activation](x), ACTIVATIONS[activation](x)
    (derivative,) = torch.autograd.grad(S.sum(), x)
    assert torch.allclose(derivative, sigma, atol=1e-12)
    assert S[3000].item() == pytest.approx(0, abs=1e-12)
    rounding = 1e-12
    assert (x * sigma / 2 <= S + rounding).all()
    assert (x.square() / 2 >= S - rounding).all()
    assert (sigma.square() <= 2 * S + rounding).all()
    equal = torch.allclose(x * sigma / 2, S, atol=rounding) and torch.allclose(sigma.square(), 2 * S, atol=rounding)
    assert equal == (activation == "relu")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_with_scales_the_layer_is_minus_the_gradient_of_phi_over_the_scale(activation):
    """``sum S(s K Y + b) / s`` for scales of both signs, without a norm."""
    Y, theta = normal(2, 3, 6, 6).requires_grad_(), weights(3, 1)._replace(shift=normal(3, seed=2))
    theta = theta._replace(scale=torch.tensor([0.5, -0.7, 2.0]).double())
    s, b = (each[:, None, None] for each in theta[1:])
    phi = (invariants.ANTIDERIVATIVES[activation](s * conv(Y, theta.kernel) + b) / s).sum()
    (gradient,) = torch.autograd.grad(phi, Y)
    assert torch.allclose(gradient, -SymmetricLayer(NONE, activation)(Y, theta), atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_without_bias_the_norm_does_not_increase_whatever_the_weights_do_in_time(activation):
    """Steps of up to ``2 / |sqrt(s) K|^2``; with a bias, or a scale below 0, the norm increases."""
    for scale, bias, falls in ((1.0, 0.0, True), (0.6, 0.0, True), (1.0, 2.0, False), (-1.0, 0.0, False)):
        dynamic = Parabolic(0.99 * euler_bound(abs(scale) ** 0.5), NONE, activation)
        state, factors = (normal(20, 3, 6, 6, seed=5),), []
        for step in range(10):
            before = invariants.squared(state[0])
            state = dynamic.step(state, (weights(3, 10 + step, scale, bias),))
            factors.append(invariants.squared(state[0]) / before)
        assert (torch.stack(factors).max() <= 1) == falls


@pytest.mark.parametrize(("kind", "layers"), [(Hamiltonian, 2), (SecondOrder, 1)])
def test_h_is_not_conserved_when_the_weights_change(kind, layers):
    Y, dynamic = normal(3, 2 * layers, 6, 6, seed=5), kind(0.02, NONE, "relu")
    one, other = (tuple(weights(2, seed + i) for i in range(layers)) for seed in (1, 11))
    changes = []
    for after in (one, other):
        state = dynamic.start(Y)
        for theta in [one] * 100 + [after] * 100:
            state = dynamic.step(state, theta)
        H = [
            invariants.invariant(dynamic, each, theta, "relu")
            for each, theta in ((dynamic.start(Y), one), (state, after))
        ]
        changes.append((H[1] / H[0] - 1).abs())
    assert changes[0].max() < 0.02
    assert changes[1].min() > 0.05


@pytest.mark.parametrize("name", ["instance", "channel", "channel_rms"])
def test_with_a_norm_positive_factors_of_the_features_do_not_change_the_layer(name):
    Y, theta = normal(4, 3, 6, 6, seed=5), weights(3, 1, bias=0.3)
    F = SymmetricLayer(Norm(name, 1e-18), "relu")
    for factor in (1e-3, 10, 1e6):
        assert torch.allclose(F(factor * Y, theta), F(Y, theta), rtol=1e-6, atol=1e-7)
    assert not torch.allclose(F(-Y, theta), F(Y, theta), rtol=0.1)
    assert not torch.allclose(F(1e-10 * Y, theta), F(Y, theta), rtol=0.1)  # as small as eps


@pytest.mark.parametrize("h", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_with_a_norm_features_grow_at_most_linearly_or_quadratically_in_time(dynamic, h):
    """``|F| <= B = |K| sqrt(n sum(s^2 + b^2))``: by ``t B``, under (8) by ``t (t + h) / 2 B``, for steps of any size."""
    flow, Y, squares = DYNAMICS[dynamic](h, Norm("instance"), "relu"), normal(5, 4, 6, 6, seed=5), 0.0
    theta = []
    for i, channels in enumerate(flow.layer_channels(4)):
        K, s, b = 2 * weights(channels, i).kernel, normal(channels, seed=8 + i), normal(channels, seed=18 + i)
        kernels = [K] if flow.layer is SymmetricLayer else [normal(4, 4, 3, 3, seed=28), K]
        theta.append(flow.layer.weights(*kernels, s, b))
        bound = 2 * (36 * (s.square() + b.square()).sum()).sqrt()
        assert invariants.force_bound(flow.F.norm, theta[-1], 6, "relu") == pytest.approx(bound.item(), rel=2e-3)
        squares += bound**2
    state, fastest = flow.start(Y), 0.0
    for step in range(1, 21):
        state = flow.step(state, theta)
        factor = step * (step + 1) / 2 * h**2 if dynamic == "second_order" else step * h
        growth = (flow.output(state) - Y).flatten(1).norm(dim=1) / (factor * squares**0.5)
        assert (growth <= 1).all()
        fastest = max(fastest, growth.max().item())
    assert fastest > 0.05  # the bound is of the size of the growth
