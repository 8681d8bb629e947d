"""Distances of solutions on their way through networks; Theorem 1 at its exact step size bound."""

import csv
import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from small_runs import CONTROLS, finished_run, made_dataset, subject_of

from pdenet_repro import compose
from pdenet_repro.analysis.depth_axes import positions
from pdenet_repro.analysis.lanczos import largest_eigenvalues
from pdenet_repro.analysis.operator_norm import euler_bound, operator_norm
from pdenet_repro.analysis.stability.contraction import unit_rows
from pdenet_repro.analysis.stability.measure import SAME_CLASS, distances, measure, partners
from pdenet_repro.analysis.trajectory import batch_slices, places, set_initial_statistics, states
from pdenet_repro.cli.analysis import main
from pdenet_repro.data import source
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.layers import conv
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system.errors import OutOfMemory


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def parabolic_unit(norm, h, *, negative=False, seed=0):
    """Three steps with other weights each; the kernels are of norm about 1."""
    unit = Unit(Parabolic(h, Norm(norm), "relu"), 3, 3).double()
    layer = unit.theta[0]
    layer.kernel.data = normal(3, 3, 3, 3, 3, seed=seed) / 10
    layer.scale.data = 0.5 + normal(3, 3, seed=seed + 1).abs()
    layer.shift.data = normal(3, 3, seed=seed + 2)
    if negative:
        layer.scale.data[1, 0] *= -1
    return unit


@pytest.mark.parametrize(
    ("norm", "negative"),
    [("none", False), ("instance", False), ("channel", False), ("channel_rms", False), ("instance", True)],
)
@pytest.mark.parametrize("h", [0.1, 3.0])
def test_theorem_1_holds_for_every_step_s_own_weights_with_the_norm_frozen(norm, negative, h):
    unit, Y = parabolic_unit(norm, h, negative=negative), normal(4, 3, 6, 6, seed=5)
    for size in (1e-4, 3.0):
        rows = unit_rows(unit, Y, Y + size * normal(4, 3, 6, 6, seed=6))
        for step, row in enumerate(rows):
            voided = negative and step == 1
            assert (row["growth_of_pairs"] <= 1.02 * row["factor_bound"]).all()
            assert (row["factor_at_image"] <= 1.02 * row["factor_bound"]).all()
            assert (row["step_size_at_image"] >= 0.98 * row["step_size_bound"]).all()
            safe = h <= row["step_size_at_image"]
            assert (row["factor_at_image"][safe] <= 1 + 1e-5).all()
            assert row["negative_scales"] == voided
            assert ((row["step_size_bound"] == 0) == voided).all()
            if not voided:
                safe = h <= row["step_size_bound"]
                assert (row["factor_bound"][safe] == 1).all()
                assert (row["factor_bound"][~safe] > 1 - 1e-9).all()
                assert row["step_size_bound"] == pytest.approx(
                    2 * h / (1 + h * 2 / row["step_size_bound"] - 1), rel=1e-9
                )
            if size == 1e-4:  # close to the image the slopes are those of its own features, but for those that jump
                assert (row["growth_of_pairs"] <= 1.02 * row["factor_at_image"] + 1e-3).all()
        products = np.prod([row["growth_of_pairs"] for row in rows], axis=0)
        bounds = np.prod([row["factor_bound"] for row in rows], axis=0)
        assert (products <= 1.07 * bounds).all()


def test_the_bound_of_theorem_1_is_the_operator_norm_s_and_is_attained():
    """All of sigma active: a pair that differs in the first singular vector is multiplied by ``1 - h |K|^2``."""
    unit = parabolic_unit("none", 1.0)
    layer = unit.theta[0]
    layer.kernel.data *= 8
    layer.scale.data.fill_(1)
    layer.shift.data.fill_(1e3)
    norm, direction = operator_norm(layer.kernel[0], 6)
    Y = normal(1, 3, 6, 6)
    row = unit_rows(unit, Y, Y + 1e-3 * direction)[0]
    assert row["step_size_bound"] == pytest.approx(euler_bound(norm), rel=0.02)
    assert row["growth_of_pairs"] == pytest.approx(norm**2 - 1, rel=1e-6)
    assert row["factor_bound"] == pytest.approx(norm**2 - 1, rel=0.02)
    assert row["factor_bound"] > 1.5


def test_the_largest_eigenvalues_of_many_maps_at_once():
    matrices = normal(5, 12, 12)
    matrices = matrices + matrices.mT
    matrices[3] = 0
    matrices[4] = torch.diag(torch.arange(12.0)).double()
    matrices[2] -= 100 * torch.eye(12).double()  # all below 0

    def product(V):
        return torch.einsum("nij,nj->ni", matrices, V)

    found = largest_eigenvalues(product, torch.zeros(5, 12).double())
    assert torch.allclose(found, torch.linalg.eigvalsh(matrices)[:, -1], rtol=1e-9, atol=1e-9)
    few = largest_eigenvalues(product, torch.zeros(5, 12).double(), steps=3)
    assert (few <= found + 1e-9).all()


@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order", "resnet"])
def test_the_last_state_is_the_network_s_own_pixel_mean(dynamic):
    subject = subject_of(dynamic)
    X = subject.network.standardize(subject.test_images(3)[0])
    with torch.no_grad():
        *_, (place, (last,)) = states(subject.network, X)
        assert torch.equal(last, subject.network.pixel_means(X))
    assert place.name == "pixel means"


def test_batch_norms_of_initial_weights_get_the_images_statistics():
    subject = subject_of("parabolic")
    pixels, _ = subject.test_images(20)
    set_initial_statistics(subject, seed=0)
    assert not subject.network.training
    with torch.no_grad():
        X = subject.network.standardize(pixels)
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
    for row in result.tables["stability_theorem"]:
        assert row["factor_bound_max"] == row["growth_of_pairs_max"] == row["factor_at_image_max"] == 1
    assert (
        np.isnan(result.tables["stability_long"][-1]["fit_power"])
        or result.tables["stability_long"][-1]["fit_rate"] == 0
    )


def test_distances_are_those_of_two_forward_passes():
    subject = subject_of("hamiltonian")
    found = distances(subject, 20, [0.1], seed=3)[SAME_CLASS]
    pixels, labels = subject.test_images(20, seed=3)
    partner = partners(labels.numpy(), 3)
    with torch.no_grad():
        out = subject.network.pixel_means(subject.network.standardize(pixels))
    expected = (out[partner] - out).norm(dim=1)
    assert found.distance.shape == (8, 20)
    assert np.allclose(found.distance[-1], expected.numpy(), rtol=1e-4)
    assert np.allclose(found.feature_norm[-1], out.norm(dim=1).numpy(), rtol=1e-4)


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
    assert [(part.start, part.stop) for part in batch_slices(subject, 50)] == [(0, 25), (25, 50)]
    one = 32 * 4 * 96 * 96  # tiny: four channels
    monkeypatch.setattr("pdenet_repro.analysis.trajectory.device.available_memory", lambda where: 2 * 3 * one)
    assert [part.stop - part.start for part in batch_slices(subject, 7)] == [2, 3, 2]
    with pytest.raises(OutOfMemory, match=r"parabolic, initial weights: one image takes about .* MiB are free"):
        batch_slices(subject, 7, solutions=4)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for dynamic in ("parabolic", "resnet"):
        finished_run(root, dynamic)
    return root / "flow"


def test_theorem_1_is_tested_for_no_other_equation_and_one_sentence_says_so():
    controls = [subject_of(f"{CONTROLS}:{name}") for name in ("Expansive", "StartsParabolic")]
    result = measure(controls, Namespace(images=2, sizes="0.1", seed=0))
    assert "stability_theorem" not in result.tables.keys() | result.pictures.keys()
    (sentence,) = [each for each in result.sentences if "Theorem 1" in each]
    assert "not tested for expansive, initial weights; starts parabolic, initial weights" in sentence
    assert not any("control is not among the networks" in each for each in result.sentences)  # one has its layer


@pytest.fixture
def made_images(monkeypatch):
    monkeypatch.setattr(source, "load", lambda config, say: made_dataset())


@pytest.mark.slow
def test_the_command(study, made_images, capsys):
    assert main(["stability", str(study), "--images", "4", "--sizes", "0.1,0.5", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "parabolic: the units multiply the distance of two solutions by" in said
    assert "ResNet: the units multiply" in said
    folder = study / "analysis"
    with (folder / "stability.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = {"parabolic", "ResNet"}
    assert {row["network"] for row in rows} == names | {f"{name}, initial weights" for name in names}
    assert {row["perturbation"] for row in rows} == {"0.1", "0.5", SAME_CLASS}
    assert len(rows) == 4 * 3 * 8
    assert all(float(row["distance_over_unit_start_median"]) == 1 for row in rows if row["step"] == "0")
    assert all(float(row["relative_distance_median"]) > 0 for row in rows)
    with (folder / "stability_theorem.csv").open(newline="") as file:
        theory = list(csv.DictReader(file))
    assert {row["network"] for row in theory} == {"parabolic", "parabolic, initial weights"}
    for row in theory:
        assert float(row["growth_of_pairs_max"]) <= 1.02 * float(row["factor_bound_max"])
    pictures = ("stability", "stability_long", "stability_theorem")
    assert json.loads((folder / "stability.json").read_text())["pictures"].keys() == set(pictures)
    for name in pictures:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--images", "21"], "--images 21: must be 1 to 20, the number of test images of shapes"),
        (
            ["--sizes", "0.1,-1"],
            "--sizes 0.1,-1: must be numbers above 1e-05 and at most 10, separated by commas; '-1' is not one",
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
