"""The command ``stencils`` from end to end, networks on other meshes, refusals."""

import csv
import json

import pytest
import torch
from small_runs import finished

from pdenet_repro import build_network, compose
from pdenet_repro.analysis import stencils
from pdenet_repro.analysis.__main__ import main
from pdenet_repro.analysis.differential import kernel, rescaled
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_on_finished_runs(tmp_path, capsys):
    folders = [finished(tmp_path, f"dynamic={dynamic}") for dynamic in ("hamiltonian", "resnet")]
    words = [*map(str, folders), "--images", "6", "--sides", "48,96,192", "--device", "cpu"]
    assert main(["stencils", *words]) == 0
    out = tmp_path / "study" / "analysis"
    for name in ("stencils", "stencils_resolution"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    terms = read(out / "stencils.csv")
    assert len(terms) == 2 * 2 * 2 * 2  # networks, units, steps; two layers or two kernels
    assert {(row["network"], row["layer"], row["kernel"]) for row in terms} == {
        ("Hamiltonian", "1", "kernel"), ("Hamiltonian", "2", "kernel"), ("ResNet", "1", "kernel1"), ("ResNet", "1", "kernel2")
    }  # fmt: skip
    assert [row["mesh_size_pixels"] for row in terms[:8]] == ["1.0"] * 4 + ["2.0"] * 4
    for row in terms:
        assert sum(float(row[f"share_{group}"]) for group in stencils.GROUPS) == pytest.approx(1)
    moved = read(out / "stencils_resolution.csv")
    assert [(row["side_pixels"], row["stencils"]) for row in moved[:5]] == [
        ("96", "native"), ("48", "unchanged"), ("48", "rescaled"), ("192", "unchanged"), ("192", "rescaled")
    ]  # fmt: skip
    assert moved[0]["same_class_as_native"] == "1.0"
    for row in moved:
        assert float(row["low_95"]) <= float(row["test_accuracy"]) <= float(row["high_95"])
        assert (6 * float(row["test_accuracy"])) % 1 == pytest.approx(0, abs=1e-9)
    sentences = json.loads((out / "stencils.json").read_text())["sentences"]
    assert len(sentences) == 2 * 3
    assert sentences[0] in capsys.readouterr().out


def test_only_3x3_kernels_are_moved():
    network = build_network(compose("data=shapes", "network=tiny", "dynamic=resnet"))
    other = stencils.moved(network, 2.0)
    for (name, before), after in zip(network.named_parameters(), other.parameters(), strict=True):
        if name == "opening.kernel" or ".kernel1" in name or ".kernel2" in name:
            assert torch.equal(after, rescaled(before.detach(), 2.0)), name
            assert not torch.allclose(after, before), name
        else:
            assert torch.equal(after, before), name
    same = stencils.moved(network, 1.0)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(same.parameters(), network.parameters(), strict=True))


def test_images_on_other_meshes():
    Y = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(stencils.resized(Y, 2)[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    finer = stencils.resized(Y, 8)[0, 0]
    assert finer[3, 3] == 5 + 0.25 + 1.0  # a quarter of a pixel right of and below the centre of pixel (1, 1)
    assert torch.equal(stencils.resized(Y, 4), Y)


@pytest.mark.parametrize(("norm", "steps"), [("none", 1), ("none", 2), ("instance", 1), ("channel_rms", 1)])
def test_a_unit_with_rescaled_stencils_computes_the_same_function_on_a_finer_mesh(norm, steps):
    """Smooth features, smooth activation: moved, the unit agrees to the order of the stencils; unmoved it does not.

    One step where there is a norm: what it makes of the zeros beside a bump is not smooth. Away from the boundary, where
    the zeros around the image are nearer on a finer mesh.
    """
    generator = torch.Generator().manual_seed(0)
    unit = Unit(Parabolic(0.5, Norm(norm), "tanh"), 2, steps).double()
    beta = torch.randn(steps, 2, 2, 3, 3, dtype=torch.float64, generator=generator)
    order = torch.tensor([1.0, 3.0, 3.0], dtype=torch.float64)  # derivatives matter on features as wide as these
    unit.theta[0].kernel.data = kernel(0.3 * beta * order[:, None] * order, 1.0)

    def features(side):
        at = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 96
        y, x = torch.meshgrid(at, at, indexing="ij")
        bump = torch.exp(-((y - 45) ** 2 + (x - 50) ** 2) / (2 * 7**2))
        return torch.stack([bump, bump * torch.sin(x / 9) * torch.cos(y / 11)])[None]

    @torch.no_grad()
    def difference(factor):
        other = stencils.moved(unit, factor)
        inside = (..., slice(8, -8), slice(8, -8))
        expected = unit(features(96))[inside]
        found = stencils.resized(other(features(192)), 96)[inside]
        return ((found - expected).norm() / (expected - features(96)[inside]).norm()).item()

    assert difference(0.5) < 0.015
    assert difference(1.0) > 0.1


def test_refusals(capsys):
    def refused(*words):
        assert main(["stencils", "data=shapes", "network=tiny", "--output", "nowhere", *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    for sides in ("0", "47", "48,half", "2", "400"):
        expected = f"--sides {sides}: must be numbers of pixels with commas between, multiples of 2 from 4 to 384"
        assert expected in refused("--sides", sides)
    assert "--images 0: must be a whole number of at least 1" in refused("--images", "0")
    assert "--images 1001: must be 1 to 1000" in refused("--images", "1001")
