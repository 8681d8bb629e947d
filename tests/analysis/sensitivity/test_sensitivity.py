"""Singular values and one-sided Lipschitz constants against dense matrices, in float64."""

from argparse import Namespace

import pytest
import torch
from small_runs import subject_of

from pdenet_repro.analysis.jacobian import evaluations
from pdenet_repro.analysis.lanczos import largest_eigenvalues
from pdenet_repro.analysis.result import DoesNotApply
from pdenet_repro.analysis.sensitivity.measure import DIRECTIONS, gains, measure, picture, symmetric_part
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def made_unit(dynamic):
    unit = Unit(DYNAMICS[dynamic](1.0, Norm("instance"), "tanh"), 2, 2).double()
    for seed, parameter in enumerate(unit.parameters()):
        parameter.data += normal(*parameter.shape, seed=seed) / 3
    return unit


def dense_jacobian(function, x):
    """(values, n) of a map of batches at one example x of n values."""
    return torch.func.jacrev(lambda x: function(x[None])[0])(x).detach().reshape(-1, x.numel())


@pytest.mark.parametrize("part", [slice(None), slice(1)], ids=["all channels", "one channel"])
@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian"])
def test_gains_are_those_of_the_dense_jacobian_of_each_image(dynamic, part):
    """The mean gain is ``|J|_F / sqrt(n)``, n the values that enter; it is estimated more closely from copies of an image.

    ``|J^T u|^2`` of normal u has the mean ``|J|_F^2`` and the variance ``2 |J J^T|_F^2``.
    """
    unit, X, copies = made_unit(dynamic), normal(3, 2, 3, 3, seed=9), 1500

    def map_(X):
        return unit(X)[:, part]

    largest, mean = gains(map_, X)
    for i in range(3):
        J = dense_jacobian(map_, X[i])
        expected = J.square().sum().item()
        error = (2 * (J @ J.T).square().sum().item()) ** 0.5 / expected  # relative, of one direction
        assert largest[i] == pytest.approx(torch.linalg.matrix_norm(J, 2).item(), rel=1e-6)
        assert mean[i] ** 2 == pytest.approx(expected / 18, rel=4 * error / DIRECTIONS**0.5)
        assert mean[i] < largest[i]
    squares = gains(map_, X[2:].repeat(copies, 1, 1, 1))[1] ** 2
    assert squares.mean() == pytest.approx(expected / 18, rel=4 * error / (DIRECTIONS * copies) ** 0.5)


@pytest.mark.parametrize("dynamic", DYNAMICS)
@torch.no_grad()
def test_a_random_perturbation_is_enlarged_by_the_mean_gain(dynamic):
    """20,000 perturbations of one image, as the unit itself enlarges them: the root mean square is ``|J|_F / sqrt(n)``.

    For directions of length 1, ``|J v|^2`` has the mean ``|J|_F^2 / n`` and the variance
    ``2 (|J^T J|_F^2 - |J|_F^4 / n) / (n (n + 2))``.
    """
    unit, x, count, n, size = made_unit(dynamic), normal(1, 2, 3, 3, seed=9), 20_000, 18, 1e-6
    v = normal(count, 2, 3, 3, seed=10)
    v /= v.flatten(1).norm(dim=1)[:, None, None, None]
    enlarged = ((unit(x + size * v) - unit(x)) / size).flatten(1).square().sum(1)
    J = dense_jacobian(unit, x[0])
    squares = J.square().sum().item()
    variance = 2 * ((J.T @ J).square().sum().item() - squares**2 / n) / (n * (n + 2))
    assert enlarged.mean().item() == pytest.approx(squares / n, abs=4 * (variance / count) ** 0.5 + 1e-6)
    assert enlarged.var().item() == pytest.approx(variance, rel=0.1)


def test_the_one_sided_lipschitz_constant_bounds_how_fast_solutions_part():
    """It is the largest eigenvalue of the symmetric part of the Jacobian with the norm free, and may be positive."""
    unit, Y = made_unit("parabolic"), normal(2, 2, 3, 3, seed=9)
    (layer,) = next(evaluations(unit, Y))
    found = largest_eigenvalues(symmetric_part(layer), layer.Y)
    for i in range(2):
        dense = dense_jacobian(lambda Y: layer.F(Y, layer.theta), Y[i])
        assert found[i].item() == pytest.approx(torch.linalg.eigvalsh((dense + dense.T) / 2)[-1].item(), rel=1e-6)
        direction = torch.linalg.eigh((dense + dense.T) / 2).eigenvectors[:, -1].reshape(Y[i].shape)
        with torch.no_grad():
            other = Y[i] + 1e-6 * direction
            rate = (
                (layer.F(other[None], layer.theta) - layer.F(Y[i : i + 1], layer.theta))[0] * direction
            ).sum() / 1e-6
        assert rate.item() == pytest.approx(found[i].item(), rel=1e-3, abs=1e-6)


def test_the_kind():
    result = measure([subject_of("second_order")], Namespace(images=3, seed=0))
    rows = result.tables["sensitivity"]
    assert [row["part"] for row in rows] == ["unit 1", "unit 2", "network"]
    for row in rows:
        assert row["largest_gain_min"] <= row["largest_gain_median"] <= row["largest_gain_max"]
        assert 0 < row["mean_gain_median"] < row["largest_gain_median"]
    assert len(result.tables["sensitivity_layers"]) == 4
    assert "at 3 test images" in result.sentences[0]
    assert "sensitivity" in result.pictures


def test_the_layers_of_a_step_are_distinguished():
    """Also of two networks of one dynamic: no two marks of a time step have one place, or one shape and filling."""
    ends = ("min", "median", "max")
    of_network = [{"network": name, "dynamic": "hamiltonian"} for name in ("one", "other")]
    parts = [
        about | {"part": "unit 1"} | {f"{kind}_gain_{end}": 1.0 for kind in ("largest", "mean") for end in ends}
        for about in of_network
    ]
    layers = [
        about | {"unit": 1, "step": 1, "layer": layer} | {f"one_sided_lipschitz_{end}": 0.1 for end in ends}
        for about in of_network
        for layer in (1, 2)
    ]
    figure = picture(parts, layers)
    marks = {mark.get_label(): mark for mark in figure.axes[1].collections if not mark.get_label().startswith("_")}
    names = ["one", "one, layer 2 of a step", "other", "other, layer 2 of a step"]
    assert sorted(marks) == names
    assert sorted(text.get_text() for text in figure.legends[0].get_texts()) == names
    assert len({mark.get_offsets()[0][0] for mark in marks.values()}) == 4
    looks = [(mark.get_paths()[0].vertices.tobytes(), len(mark.get_facecolors())) for mark in marks.values()]
    assert len(set(looks)) == 4


@pytest.mark.parametrize("setting", ["network.connector_norm=batch_per_pixel", "evaluation.statistics=batch"])
def test_it_does_not_apply_where_images_are_not_alone(setting):
    with pytest.raises(DoesNotApply, match=setting):
        measure([subject_of("parabolic", setting)], Namespace(images=3, seed=0))
