"""Jacobians, their spectra and the stability of the integrators, against autograd's dense Jacobians in float64."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import ArpackError
from torch.autograd.functional import jacobian

from pdenet_repro.analysis import jacobian as jacobian_module
from pdenet_repro.analysis.jacobian import (
    LinearMap,
    NoEigenvalues,
    asymmetry,
    eigenvalues,
    evaluations,
    extreme_eigenvalues,
    freeze,
)
from pdenet_repro.analysis.spectrum.integrators import combine, integrator_of
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.layers import conv, conv_transpose
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit

NORMS = ("instance", "channel", "channel_rms", "none")


def unit_and_features(dynamic, norm="instance", activation="relu", h=0.7, side=4, scale=0.4):
    generator = torch.Generator().manual_seed(3)
    unit = Unit(DYNAMICS[dynamic](h, Norm(norm), activation), 4, steps=2).double()
    for name, parameter in unit.named_parameters():
        parameter.data.normal_(std=scale, generator=generator)
        if name.endswith("scale"):
            parameter.data.abs_().add_(0.1)  # positive, as where training starts
        parameter.requires_grad_(False)
    return unit, torch.randn(1, 4, side, side, dtype=torch.float64, generator=generator)


def dense_by_autograd(function, *inputs):
    """(n, n) of a function of several features, all of them flattened one after the other."""
    sizes, shapes = [each.numel() for each in inputs], [each.shape for each in inputs]

    def flat(v):
        parts = [part.reshape(shape) for part, shape in zip(v.split(sizes), shapes, strict=True)]
        return torch.cat([out.flatten() for out in function(*parts)])

    return jacobian(flat, torch.cat([each.flatten() for each in inputs])).numpy()


def by_size(values):
    return np.array(sorted(values, key=lambda value: (round(value.real, 7), round(value.imag, 7))))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dynamic", ["parabolic", "resnet", "hamiltonian"])
def test_the_jacobian_of_a_layer_is_autograd_s(dynamic, norm, activation):
    unit, Y = unit_and_features(dynamic, norm, activation)
    for layers in evaluations(unit, Y):
        for layer in layers:
            expected = dense_by_autograd(lambda Y, layer=layer: (layer.F(Y, layer.theta),), layer.Y)
            assert np.abs(layer.jacobian(frozen=False).dense() - expected).max() < 1e-12


@pytest.mark.parametrize("norm", NORMS)
def test_a_frozen_norm_is_the_norm_at_its_features_and_affine(norm):
    generator = torch.Generator().manual_seed(4)
    Z, other = torch.randn(2, 1, 4, 5, 5, dtype=torch.float64, generator=generator) * 2 + 1
    scale, shift = torch.randn(2, 4, dtype=torch.float64, generator=generator)
    frozen = freeze(Norm(norm), Z)
    assert torch.allclose(frozen(Z, scale, shift), Norm(norm)(Z, scale, shift), rtol=1e-12)
    if norm != "none":
        assert not torch.allclose(frozen(other, scale, shift), Norm(norm)(other, scale, shift))
    middle = frozen((Z + other) / 2, scale, shift)
    assert torch.allclose(2 * middle, frozen(Z, scale, shift) + frozen(other, scale, shift), rtol=1e-12)


def test_a_norm_over_other_examples_is_refused():
    with pytest.raises(ValueError, match="batch_per_pixel"):
        freeze(Norm("batch_per_pixel"), torch.zeros(1, 4, 2, 2))


def test_the_frozen_jacobian_holds_the_statistics(close):
    """Autograd with mean and variance detached, of the instance norm written out."""
    unit, Y = unit_and_features("resnet")
    (layer,) = next(evaluations(unit, Y))
    K1, K2, s, b = layer.theta

    def detached(Y):
        Z = conv(Y, K1)
        mean = Z.mean((2, 3), keepdim=True).detach()
        deviation = (Z - mean).square().mean((2, 3), keepdim=True).add(1e-3).sqrt().detach()
        return (conv_transpose(torch.relu((Z - mean) / deviation * s[:, None, None] + b[:, None, None]), K2),)

    expected = dense_by_autograd(detached, Y)
    close(torch.from_numpy(layer.jacobian(frozen=True).dense().copy()), torch.from_numpy(expected), 1e-12)
    assert not np.allclose(layer.jacobian(frozen=False).dense(), expected, atol=1e-3)


@pytest.mark.parametrize("norm", NORMS)
def test_the_symmetric_layer_is_symmetric_and_negative_semidefinite_with_the_norm_frozen(norm):
    unit, Y = unit_and_features("parabolic", norm)
    for (layer,) in evaluations(unit, Y):
        matrix = layer.jacobian(frozen=True).dense()
        K = dense_by_autograd(lambda Y, kernel=layer.theta.kernel: (conv(Y, kernel),), layer.Y)
        frozen_norm = partial(layer.frozen().norm, scale=layer.theta.scale, shift=layer.theta.shift)
        a = dense_by_autograd(lambda Z, norm=frozen_norm: (norm(Z),), conv(layer.Y, layer.theta.kernel)).diagonal()
        active = frozen_norm(conv(layer.Y, layer.theta.kernel)).flatten().numpy() > 0
        assert a.min() > 0
        assert np.abs(matrix + K.T @ np.diag(active * a) @ K).max() < 1e-12
        assert asymmetry(matrix) < 1e-14
        found = eigenvalues(matrix)
        assert np.abs(found.imag).max() == 0
        assert found.real.max() < 1e-13 * np.abs(found).max()
        assert found.real.min() < -0.1
        assert np.allclose(np.sort(found.real), np.linalg.eigvalsh(matrix), atol=1e-12)
        if norm != "none":
            free = layer.jacobian(frozen=False).dense()
            assert asymmetry(free) > 1e-3  # the norm's contribution is not symmetric,
            assert np.linalg.eigvalsh(free + free.T).max() > 1e-3  # and two close solutions may move apart
    unit, Y = unit_and_features("resnet", norm)
    (layer,) = next(evaluations(unit, Y))
    found = eigenvalues(layer.jacobian(frozen=True).dense())
    assert np.abs(found.imag).max() > 0.01
    assert found.real.max() > 0.01


def test_a_negative_scale_makes_eigenvalues_positive():
    unit, Y = unit_and_features("parabolic")
    unit.theta[0].scale.data.neg_()
    (layer,) = next(evaluations(unit, Y))
    assert eigenvalues(layer.jacobian(frozen=True).dense()).real.max() > 0.1


def test_the_layers_are_evaluated_where_the_step_does_it():
    unit, Y = unit_and_features("hamiltonian", h=0.7)
    states = list(unit.trajectory(Y))
    for (before, after), (first, second) in zip(
        zip(states, states[1:], strict=False), evaluations(unit, Y), strict=True
    ):
        assert torch.equal(first.Y, before[1])
        assert torch.equal(second.Y, after[0])
        assert torch.equal(after[0], before[0] + 0.7 * first.F(first.Y, first.theta))
        assert torch.equal(after[1], before[1] - 0.7 * second.F(second.Y, second.theta))


def spectrum_q(dynamic, layers, frozen):
    return eigenvalues(combine([layer.jacobian(frozen=frozen) for layer in layers]).dense())


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_the_hamiltonian_flow_s_eigenvalues_are_autograd_s(norm):
    unit, Y = unit_and_features("hamiltonian", norm)
    first, second = next(evaluations(unit, Y))
    flow = dense_by_autograd(lambda Y, Z: (first.F(Z, first.theta), -second.F(Y, second.theta)), second.Y, first.Y)
    found = integrator_of("hamiltonian").eigenvalues(spectrum_q("hamiltonian", [first, second], frozen=False))
    # a double eigenvalue 0 of a defective matrix is known to the root of the rounding only
    assert np.allclose(by_size(found**2), by_size(np.linalg.eigvals(flow) ** 2), atol=1e-6)
    if norm == "none":
        assert np.abs(found.real).max() < 1e-6
        assert np.abs(found.imag).max() > 0.1


def test_with_the_norm_frozen_the_hamiltonian_flow_stays_on_the_imaginary_axis():
    unit, Y = unit_and_features("hamiltonian", "instance")
    for layers in evaluations(unit, Y):
        q = spectrum_q("hamiltonian", layers, frozen=True)
        assert np.abs(q.imag).max() < 1e-10
        assert q.real.max() < 1e-10
        free = spectrum_q("hamiltonian", layers, frozen=False)
        assert max(np.abs(free.imag).max(), free.real.max()) > 1e-4


@pytest.mark.parametrize("norm", ["none", "instance"])
@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_growth_is_the_spectral_radius_of_the_step_itself(dynamic, norm):
    """Autograd's Jacobian of ``Dynamic.step`` from state to state, no linear stability theory in it."""
    unit, Y = unit_and_features(dynamic, norm, "tanh", h=0.9)
    states, thetas = list(unit.trajectory(Y)), unit.thetas()
    for state, theta, layers in zip(states, thetas, evaluations(unit, Y), strict=False):
        step = dense_by_autograd(lambda *parts, theta=theta: unit.dynamic.step(parts, theta), *state)
        expected = np.abs(np.linalg.eigvals(step)).max()
        found = integrator_of(dynamic).growth(spectrum_q(dynamic, layers, frozen=False), 0.9)
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order"])
def test_up_to_the_limit_no_mode_grows_and_beyond_it_one_does(dynamic):
    unit, Y = unit_and_features(dynamic)
    integrator = integrator_of(dynamic)
    for layers in evaluations(unit, Y):
        q = spectrum_q(dynamic, layers, frozen=True)
        limit = integrator.largest_stable_step(q)
        assert integrator.growth(q, 0.999 * limit) < 1 + 1e-6
        assert integrator.growth(q, 1.01 * limit) > 1.01


def test_limits_in_closed_form():
    assert integrator_of("parabolic").largest_stable_step(np.array([-4.0, -1, 0])) == 0.5
    assert integrator_of("parabolic").largest_stable_step(np.array([-1 + 1j])) == pytest.approx(1)  # |1 + h lambda| = 1
    assert integrator_of("resnet").largest_stable_step(np.array([2.0, -1])) == 0
    assert integrator_of("resnet").largest_stable_step(np.array([-4.0, -1 + 3.8j])) == pytest.approx(2 / (1 + 3.8**2))
    # the largest eigenvalue does not decide
    assert integrator_of("resnet").largest_stable_step(np.array([-4.0, -0.1 + 1j])) == pytest.approx(0.2 / 1.01)
    assert integrator_of("parabolic").largest_stable_step(np.zeros(2)) == np.inf
    assert integrator_of("second_order").largest_stable_step(np.array([-4.0, -1])) == 1  # omega = 2
    assert integrator_of("hamiltonian").largest_stable_step(np.zeros(3)) == np.inf
    assert integrator_of("parabolic").growth(np.array([-4.0]), 0.25) == 0
    # leapfrog beyond its limit: g^2 + 3 g + 1 for h^2 q = -5
    assert integrator_of("second_order").growth(np.array([-5.0]), 1.0) == pytest.approx((3 + 5**0.5) / 2)


@pytest.mark.parametrize("dynamic", DYNAMICS)
@pytest.mark.parametrize(
    "q", [[-4.0, -1, 0], [-1 + 1j], [-5.0, -0.2 + 2j], [1.0], [-9.0, 1.5], [-1 + 0.5j], [1j], [-9.0, 2j]]
)
def test_no_mode_grows_up_to_the_limit_and_at_none_where_it_is_0(dynamic, q):
    """Whichever eigenvalue limits the step, the largest or another."""
    integrator, q = integrator_of(dynamic), np.array(q)
    limit = integrator.largest_stable_step(q)
    if limit:
        assert all(integrator.growth(q, part * limit) <= 1 + 1e-6 for part in (0.01, 0.3, 0.7, 0.999))
        assert integrator.growth(q, 1.01 * limit) > 1 + 1e-4
    else:
        assert all(integrator.growth(q, h) > 1 + 1e-9 for h in (1e-3, 0.01, 0.1, 1, 3))


def test_modes_that_are_not_known_well_enough_do_not_decide():
    euler, wave = integrator_of("resnet"), integrator_of("second_order")
    assert euler.largest_stable_step(np.array([-4.0, 0.03])) == 0
    assert euler.largest_stable_step(np.array([-4.0, 0.03, 0.03j]), tolerance=1e-2) == 0.5
    assert euler.largest_stable_step(np.array([-4.0, 0.05]), tolerance=1e-2) == 0
    assert euler.largest_stable_step(np.array([-4.0, 1e-15, -1e-15j])) == 0.5  # rounding of a kernel
    assert wave.largest_stable_step(np.array([-4.0, 0.03])) == 0
    assert wave.largest_stable_step(np.array([-4.0, 0.03, -2 + 0.03j]), tolerance=1e-2) == 1
    assert wave.largest_stable_step(np.array([-4.0, -2 + 0.05j]), tolerance=1e-2) == 0
    assert wave.largest_stable_step(np.array([-4.0 + 1e-9j, 1e-9])) == 1


@pytest.mark.parametrize("dynamic", DYNAMICS)
@pytest.mark.parametrize("frozen", [True, False])
def test_the_largest_eigenvalue_without_a_matrix(dynamic, frozen):
    unit, Y = unit_and_features(dynamic, side=6)
    symmetric = frozen and dynamic in ("parabolic", "second_order")
    for layers in evaluations(unit, Y):
        expected = spectrum_q(dynamic, layers, frozen)
        linear = combine([layer.jacobian(frozen=frozen) for layer in layers])
        found = extreme_eigenvalues(linear, symmetric=symmetric)
        assert np.abs(found).max() == pytest.approx(np.abs(expected).max(), rel=2e-3)
        assert np.abs(expected - found[0]).min() < 2e-3 * abs(found[0])
        single = [replaced(layer) for layer in layers]
        rough = extreme_eigenvalues(combine([layer.jacobian(frozen=frozen) for layer in single]), symmetric=symmetric)
        assert np.abs(rough).max() == pytest.approx(np.abs(expected).max(), rel=5e-3)


def replaced(layer):
    """The evaluation in float32, the precision of networks."""
    return type(layer)(layer.F, layer.Y.float(), type(layer.theta)(*(weight.float() for weight in layer.theta)))


def test_a_given_spectrum_is_found_without_a_matrix():
    like = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    spread = torch.linspace(-3, 2, 400, dtype=torch.float64).reshape(20, 20)
    linear = LinearMap(lambda V: V * spread, like)
    assert extreme_eigenvalues(linear, symmetric=True, tolerance=1e-8) == pytest.approx([-3])
    assert extreme_eigenvalues(linear, symmetric=True, which="LA", tolerance=1e-8) == pytest.approx([2])
    assert extreme_eigenvalues(linear, symmetric=False, which="LR", tolerance=1e-8) == pytest.approx([2])
    assert sorted(extreme_eigenvalues(linear, symmetric=False, count=2, tolerance=1e-8).real) == pytest.approx(
        [-3, -3 + 5 / 399]
    )


def test_the_right_end_near_0_is_found_with_a_shift_to_the_accuracy_of_the_shift():
    """Without one it would be asked for to an accuracy relative to itself: of a kernel, to none."""
    like = torch.zeros(1, 1, 20, 20)
    spread = torch.linspace(-5, 0, 400).reshape(20, 20)
    for top in (0.0, 0.4):
        spread[-1, -1] = top
        linear = LinearMap(lambda V: V * spread, like)
        for symmetric, which in ((True, "LA"), (False, "LR")):
            (found,) = extreme_eigenvalues(linear, symmetric=symmetric, which=which, tolerance=1e-2, shift=5.0)
            assert found == pytest.approx(top, abs=0.05)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_zero_map_has_eigenvalues_0_and_other_failures_are_one_sentence(symmetric, monkeypatch):
    like = torch.zeros(1, 2, 5, 5)
    count = 1 if symmetric else 3
    found = extreme_eigenvalues(LinearMap(torch.zeros_like, like), symmetric=symmetric, count=count)
    assert found.tolist() == [0] * count
    with pytest.raises(NoEigenvalues, match="not finite numbers"):
        extreme_eigenvalues(LinearMap(lambda V: V * torch.nan, like), symmetric=symmetric)

    def breaks_down(*_, **__):
        raise ArpackError(-9999)

    for method in ("eigs", "eigsh"):
        monkeypatch.setattr(jacobian_module, method, breaks_down)
    with pytest.raises(NoEigenvalues, match="broke down: ARPACK error -9999"):
        extreme_eigenvalues(LinearMap(lambda V: -V, like), symmetric=symmetric)


def test_a_matrix_that_is_not_finite_has_no_eigenvalues():
    assert eigenvalues(np.zeros((3, 3))).tolist() == [0, 0, 0]
    with pytest.raises(NoEigenvalues, match="not finite numbers"):
        eigenvalues(np.array([[1, np.nan], [0, 1]]))
