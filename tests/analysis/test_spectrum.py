"""The command ``spectrum`` from end to end, its small grids, its refusals."""

import csv
import json

import numpy as np
import pytest
import torch
from small_runs import finished

from pdenet_repro.analysis import spectrum
from pdenet_repro.analysis.__main__ import main
from pdenet_repro.analysis.jacobian import unit_inputs
from pdenet_repro.analysis.subjects import subjects


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_on_finished_runs(tmp_path, capsys):
    for dynamic in ("parabolic", "hamiltonian"):
        finished(tmp_path, f"dynamic={dynamic}")
    study = tmp_path / "study"
    assert main(["spectrum", str(study), "--unknowns", "72", "--seed", "3", "--device", "cpu"]) == 0
    out = study / "analysis"
    for name in ("spectrum", "spectrum_steps"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    layers = read(out / "spectrum_layers.csv")
    assert len(layers) == 2 * 2 * 2 * 2 * 2  # networks, units, steps, norms, grids
    small = [row for row in layers if row["asymmetry"]]
    assert {row["grid"] for row in small} == {"4x4", "3x3"}  # 4 channels, 8 channels, divisors of 96 and 48
    frozen = [row for row in small if row["norm"] == "frozen"]
    for row in frozen:
        assert float(row["asymmetry"]) < 1e-12
        off = "largest_imaginary" if row["network"] == "parabolic" else "largest_real"
        assert abs(float(row[off])) < 1e-6 * float(row["largest_modulus"])
        assert float(row["largest_real"]) < 1e-6
    assert any(float(row["asymmetry"]) > 1e-3 for row in small if row["norm"] == "free")
    points = read(out / "spectrum.csv")
    per_layer = {"parabolic": (4 * 16, 8 * 9), "Hamiltonian": (4 * 16, 8 * 9)}
    for network, sizes in per_layer.items():
        for unit, size in enumerate(sizes, 1):
            assert sum((row["network"], row["unit"]) == (network, str(unit)) for row in points) == size * 2 * 2
    for row in frozen:
        chosen = [p for p in points if all(p[key] == row[key] for key in ("network", "unit", "step", "norm"))]
        values = np.array([complex(float(p["real"]), float(p["imaginary"])) for p in chosen])
        assert np.abs(values).max() == pytest.approx(float(row["largest_modulus"]))
        assert float(row["step_size_allowed"]) == pytest.approx(2 / np.abs(values).max())
    about = json.loads((out / "spectrum.json").read_text())
    assert len(about["sentences"]) == 2
    assert about["tables"] == ["spectrum_layers", "spectrum"]
    assert about["sentences"][0] in capsys.readouterr().out

    before = {name: (out / name).read_bytes() for name in ("spectrum.csv", "spectrum_layers.csv", "spectrum.png")}
    assert main(["spectrum", str(study), "--unknowns", "72", "--seed", "3", "--device", "cpu"]) == 0
    assert all((out / name).read_bytes() == content for name, content in before.items())


def test_the_small_grid_is_an_average_and_fits():
    Y = torch.arange(2 * 6 * 6, dtype=torch.float32).reshape(1, 2, 6, 6)
    found = spectrum.coarsened(Y, 2 * 9 + 1)
    assert found.dtype == torch.float64
    assert found.shape == (1, 2, 3, 3)
    assert found[0, 0, 0, 0] == (0 + 1 + 6 + 7) / 4
    assert spectrum.coarsened(Y, 2 * 4).shape == (1, 2, 2, 2)
    assert torch.equal(spectrum.coarsened(Y, 72), Y.double())
    assert spectrum.coarsened(Y, 71).shape[-1] == 3  # 6 is followed by 3, the next divisor


def test_unit_inputs_are_the_features_that_enter_the_units():
    (subject,) = subjects(["data=shapes", "network=tiny"], torch.device("cpu"), None, print)
    images = torch.randn(2, 3, 96, 96)
    first, second = unit_inputs(subject.network, images)
    with torch.no_grad():
        Y = subject.network.opening(images)
        assert torch.equal(first, Y)
        Y = subject.network.connectors[0](subject.network.units[0](Y))
        assert torch.equal(second, torch.nn.functional.avg_pool2d(Y, 2))
    assert unit_inputs(subject.network, images)[0] is not first  # no hook stays behind
    assert not any(unit._forward_pre_hooks for unit in subject.network.units)


def test_a_wide_unit_gets_more_unknowns_unless_they_are_given():
    (wide,) = subjects(["data=shapes", "network.widths=[4,256]"], torch.device("cpu"), None, print)
    (deep,) = subjects(["data=shapes", "network.widths=[4,4,4,4,4,64]"], torch.device("cpu"), None, print)
    assert spectrum._unknowns([wide], None) == 256 * 4
    assert spectrum._unknowns([wide], 2000) == 2000
    assert spectrum._unknowns([deep], None) == 64 * 9  # the last unit has 3 x 3 pixels, which cannot be halved


def test_negative_scales_are_told():
    (subject,) = subjects(["data=shapes", "network=tiny"], torch.device("cpu"), None, print)
    assert spectrum._negative_scales(subject.network) == ""
    subject.network.units[0].theta[0].scale.data[1, 2] = -0.5
    assert " 1 of the 24 scales" in spectrum._negative_scales(subject.network)


def test_networks_of_one_dynamic_are_told_apart(tmp_path):
    for fraction in (0.1, 0.2):
        finished(tmp_path, f"data.fraction={fraction}")
    folders = [str(path.parent) for path in sorted(tmp_path.rglob("summary.json"))]
    words = [*folders, "data=shapes", "network=tiny", "dynamic=parabolic,resnet"]
    found = [subject.name for subject in subjects(words, torch.device("cpu"), None, print)]
    expected = ["parabolic, fraction-0.10/seed-0", "parabolic, fraction-0.20/seed-0"]
    assert found == [*expected, "parabolic, initial weights", "ResNet, initial weights"]
    twice = subjects(["data=shapes", "network=tiny", "network.norm=none,channel"], torch.device("cpu"), None, print)
    assert [subject.name for subject in twice] == ["parabolic, initial weights 1", "parabolic, initial weights 2"]


def refused(capsys, *words):
    assert main(["spectrum", "dynamic=parabolic", "data=shapes", "network=tiny", "--output", "nowhere", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_refusals(capsys, monkeypatch):
    error = refused(capsys, "--unknowns", "31")
    assert "--unknowns 31: must be at least 32, the channels of the widest unit on more than one pixel" in error
    monkeypatch.setattr(spectrum.device, "available_memory", lambda where: 48 * 1000**2)
    error = refused(capsys, "--unknowns", "1001")
    assert "--unknowns 1001: dense matrices of that size take 0.0 GiB; must be at most 1000, which fit" in error
    monkeypatch.delitem(spectrum.INTEGRATORS, "parabolic")
    error = refused(capsys)
    assert "dynamic=parabolic has no known region of stability; must be hamiltonian, second_order, resnet" in error
