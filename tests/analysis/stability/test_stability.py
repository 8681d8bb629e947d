"""Distances of solutions on their way through networks; Theorem 1 at its exact step size bound."""

import csv
import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from small_runs import finished_run, made_dataset, subject_of

from pdenet_repro import compose
from pdenet_repro.analysis.depth_axes import positions
from pdenet_repro.analysis.operator_norm import euler_bound, leapfrog_bound, operator_norm
from pdenet_repro.analysis.stability.contraction import largest_growth, worst_growth
from pdenet_repro.analysis.stability.longtime import distances_over_time
from pdenet_repro.analysis.stability.measure import SAME_CLASS, distances, measure, partners
from pdenet_repro.analysis.theorem_setting import in_theory
from pdenet_repro.analysis.trajectory import places, portions, set_initial_statistics, standardized, states
from pdenet_repro.cli.analysis import main
from pdenet_repro.data import source
from pdenet_repro.networks.layers import conv
from pdenet_repro.system.errors import OutOfMemory


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_operator_norm_of_the_five_point_laplacian():
    """With zero padding its eigenvalues are ``4 - 2 cos(i pi/(n+1)) - 2 cos(j pi/(n+1))``."""
    K = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    norm, direction = operator_norm(K, 7)
    assert norm == pytest.approx(4 + 4 * np.cos(np.pi / 8), rel=1e-7)
    assert direction.norm().item() == pytest.approx(1)
    assert conv(direction, K).norm().item() == pytest.approx(norm, rel=1e-7)


def test_operator_norm_is_that_of_the_dense_matrix():
    K = normal(3, 2, 3, 3)
    unit_vectors = torch.eye(2 * 5 * 5, dtype=torch.float64).reshape(-1, 2, 5, 5)
    dense = conv(unit_vectors, K).flatten(1).T
    assert operator_norm(K, 5)[0] == pytest.approx(torch.linalg.matrix_norm(dense, 2).item(), rel=1e-7)


def test_bounds_of_the_step_size():
    assert euler_bound(2.0) == 0.5  # 1 - h 4 >= -1
    assert leapfrog_bound(2.0) == 1.0  # h^2 4 <= 4
    assert euler_bound(0.0) == leapfrog_bound(0.0) == float("inf")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_no_pair_moves_apart_up_to_the_bound(activation):
    for seed in range(5):
        K, bias = normal(3, 3, 3, 3, seed=seed), normal(3, seed=seed + 10)
        bound = euler_bound(operator_norm(K, 6)[0])
        Y, Z = normal(40, 3, 6, 6, seed=seed + 20), normal(40, 3, 6, 6, seed=seed + 30)
        for relative in (0.1, 0.7, 1.0):
            for size in (1e-3, 1.0, 30.0):
                grown = largest_growth(K, bias, relative * bound, 6, size * Y, size * Z, activation)
                assert 0.1 < grown <= 1 + 1e-9


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("relative", [0.9, 1.0, 1.02, 1.5, 4.0])
def test_some_pair_moves_apart_above_the_bound(relative, activation):
    """Along the first singular vector exactly ``|1 - h ||K||^2| = |1 - 2 relative|``."""
    K = normal(3, 3, 3, 3, seed=4)
    norm, direction = operator_norm(K, 6)
    grown = worst_growth(K, direction, relative * euler_bound(norm), activation)
    assert grown == pytest.approx(abs(1 - 2 * relative), rel=1e-5)
    assert (grown > 1.001) == (relative > 1)


def test_the_growth_is_the_largest_of_all_pairs_and_steps():
    """``K`` the identity: with ReLU and ``h = 3`` a positive difference is multiplied by ``1 - 3``, then by 1."""
    K = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    K[0, 0, 1, 1] = 1
    Y = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    Z = torch.tensor([2.0, -2.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    bias = torch.zeros(1, dtype=torch.float64)
    assert largest_growth(K, bias, 3.0, 2, Y, Z, "relu") == pytest.approx(2)
    assert largest_growth(K, bias, 3.0, 2, Y[1:], Z[1:], "relu") == pytest.approx(1)


@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order", "resnet"])
def test_the_passage_is_the_network_s_own(dynamic):
    subject = subject_of(dynamic)
    X = standardized(subject, subject.test_images(3)[0])
    with torch.no_grad():
        *_, (place, (last,)) = states(subject.network, X)
        assert torch.equal(last, subject.network.features(X))
    assert place.name == "pixel means"


def test_batch_norms_of_initial_weights_get_the_images_statistics():
    subject = subject_of("parabolic")
    pixels, _ = subject.test_images(20)
    set_initial_statistics(subject, seed=0)
    assert not subject.network.training
    with torch.no_grad():
        X = standardized(subject, pixels)
        before = conv(X, subject.network.opening.kernel)
        Y = subject.network.opening.norm(before)
    assert Y.mean((0, 2, 3)).abs().max() < 1e-4
    assert (Y.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_distances_start_at_the_perturbation_and_stand_still_without_a_flow():
    subject = subject_of("second_order")
    for unit in subject.network.units:
        for kernel in (layer.kernel for layer in unit.theta):
            kernel.data.zero_()
    found = distances(subject, 6, [0.25], seed=0)
    assert np.allclose(found[0.25].relative[0], 0.25, rtol=1e-5)
    inside = [1, 2, 3], [4, 5, 6]  # two units of two steps
    for at in inside:
        assert np.allclose(found[0.25].distance[at], found[0.25].distance[at[0]], rtol=1e-6)


def test_kernels_that_are_0_move_nothing():
    subject = subject_of("parabolic")
    for layer in (layer for unit in subject.network.units for layer in unit.theta):
        layer.kernel.data.zero_()
    result = measure([subject], Namespace(images=3, seed=0, sizes="0.1"))
    assert "all kernels are 0" in result.sentences[-1]
    assert "stability_theorem" not in result.pictures


def test_distances_are_those_of_two_passages():
    subject = subject_of("hamiltonian")
    found = distances(subject, 20, [0.1], seed=3)[SAME_CLASS]
    pixels, labels = subject.test_images(20, seed=3)
    partner = partners(labels.numpy(), 3)
    with torch.no_grad():
        out = subject.network.features(standardized(subject, pixels))
    expected = (out[partner] - out).norm(dim=1)
    assert found.distance.shape == (8, 20)
    assert np.allclose(found.distance[-1], expected.numpy(), rtol=1e-4)
    assert np.allclose(found.norm[-1], out.norm(dim=1).numpy(), rtol=1e-4)


@pytest.mark.parametrize(("dynamic", "sign"), [("parabolic", -1), ("resnet", 1)])
def test_over_a_long_time(dynamic, sign):
    """Kernels ``k`` times the identity, positive features: every step multiplies a difference by ``1 -+ h k^2``."""
    subject = subject_of(dynamic, "network.step_size=0.5")
    k = 0.6
    for layer in (layer for unit in subject.network.units for layer in unit.theta):
        for name in layer.weights._fields[:-2]:
            kernel = getattr(layer, name).data.zero_()
            for channel in range(kernel.shape[1]):
                kernel[:, channel, channel, 1, 1] = k
    Y = normal(2, 4, 6, 6).float().abs() + 1
    for refined in (1, 5):
        flow = in_theory(subject, refined)[0]
        found = distances_over_time(flow, Y, Y + 0.1, 7)
        expected = (1 + sign * 0.5 / refined * k**2) ** (refined * np.arange(8))
        assert np.allclose(found, expected[:, None], rtol=1e-4)


def test_partners_are_of_the_same_class():
    labels = np.array([0, 1, 0, 2, 1, 0])
    partner = partners(labels, 0)
    assert (labels[partner] == labels).all()
    assert sorted(partner) == list(range(6))
    assert (partner == np.arange(6)).tolist() == [False, False, False, True, False, False]


def test_networks_of_other_lengths_share_an_axis():
    short, long = places(compose("network=tiny").network), places(compose("network=small").network)
    axis = places(compose("network=tiny", "network.steps=5").network, compose("network=small").network)
    assert len(axis) == 1 + 4 * 6 + 1
    assert positions(axis, short) == [0, 1, 2, 3, 7, 8, 9, 25]
    assert positions(axis, long)[-5:] == [19, 20, 21, 22, 25]
    assert positions(long, long) == list(range(len(long)))


def test_images_at_a_time_follow_the_memory(monkeypatch):
    subject = subject_of("parabolic")
    assert [(part.start, part.stop) for part in portions(subject, 50)] == [(0, 25), (25, 50)]
    one = 32 * 4 * 96 * 96  # tiny: four channels
    monkeypatch.setattr("pdenet_repro.analysis.trajectory.device.available_memory", lambda where: 2 * 3 * one)
    assert [part.stop - part.start for part in portions(subject, 7)] == [2, 3, 2]
    with pytest.raises(OutOfMemory, match=r"parabolic, initial weights: one image takes about .* MiB are free"):
        portions(subject, 7, solutions=4)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for dynamic in ("parabolic", "resnet"):
        finished_run(root, dynamic)
    return root / "flow"


@pytest.fixture
def made_images(monkeypatch):
    monkeypatch.setattr(source, "load", lambda config, say: made_dataset())


@pytest.mark.slow
def test_the_command(study, made_images, capsys):
    assert main(["stability", str(study), "--images", "12", "--sizes", "0.1,0.5", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "parabolic: the units multiply the distance of two solutions by" in said
    assert "ResNet: the units multiply" in said
    folder = study / "analysis"
    with (folder / "stability.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["network"] for row in rows} == {"parabolic", "ResNet"}
    assert {row["perturbation"] for row in rows} == {"0.1", "0.5", SAME_CLASS}
    assert len(rows) == 2 * 3 * 8
    assert all(float(row["distance_over_unit_start_median"]) == 1 for row in rows if row["step"] == "0")
    assert all(float(row["relative_distance_median"]) > 0 for row in rows)
    with (folder / "stability_theorem.csv").open(newline="") as file:
        theory = list(csv.DictReader(file))
    for row in theory:
        if float(row["step_size_over_bound"]) <= 1:
            assert float(row["largest_growth_of_image_pairs"]) <= 1 + 1e-5
        else:
            assert float(row["growth_along_singular_vector"]) > 1
    pictures = ("stability", "stability_long", "stability_theorem")
    assert json.loads((folder / "stability.json").read_text())["pictures"].keys() == set(pictures)
    for name in pictures:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--images", "21"], "--images 21: must be 1 to 20, the test images of shapes"),
        (
            ["--sizes", "0.1,-1"],
            "--sizes 0.1,-1: must be numbers above 1e-05 and at most 10, with commas; '-1' is not one",
        ),
        (["--sizes", "much"], "'much' is not one"),
    ],
)
def test_refusals(tmp_path, made_images, capsys, more, complaint):
    words = ["dynamic=parabolic", "network=tiny", "data=shapes"]
    assert main(["stability", *words, "--output", str(tmp_path), "--device", "cpu", *more]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said
    assert "\n" not in said
    assert not list(tmp_path.iterdir())
