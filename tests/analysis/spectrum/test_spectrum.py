"""The command ``spectrum`` from end to end, its small grids, its refusals."""

import argparse
import copy
import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import CONTROLS, finished, subject_of

from pdenet_repro.analysis.jacobian import evaluations, extreme_eigenvalues
from pdenet_repro.analysis.result import DoesNotApply
from pdenet_repro.analysis.spectrum import measure as spectrum
from pdenet_repro.analysis.spectrum.figures import eigenvalue_plane, step_sizes
from pdenet_repro.analysis.spectrum.integrators import integrator_of
from pdenet_repro.analysis.subjects import subjects
from pdenet_repro.analysis.trajectory import entering_features
from pdenet_repro.cli.analysis import main
from pdenet_repro.config import dynamics
from pdenet_repro.networks.dynamics import DYNAMICS


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_on_finished_runs(tmp_path, capsys):
    for dynamic in ("parabolic", "hamiltonian"):
        finished(tmp_path, f"dynamic={dynamic}")
    study = tmp_path / "study"
    words = ["--unknowns", "72", "--images", "1", "--seed", "3", "--device", "cpu"]
    assert main(["spectrum", str(study), *words]) == 0
    out = study / "analysis"
    for name in ("spectrum", "spectrum_steps"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    layers = read(out / "spectrum_layers.csv")
    assert len(layers) == 4 * 2 * 2 * 3  # networks (initial weights too), units, steps; crop, full size frozen and free
    small = [row for row in layers if row["size"] == "crop"]
    assert {row["grid"] for row in small} == {"4x4", "3x3"}  # 4 channels, 8 channels, divisors of 96 and 48
    for row in small:
        assert float(row["asymmetry"]) < 1e-12
        off = "largest_imaginary" if row["network"].startswith("parabolic") else "largest_real"
        assert abs(float(row[off])) < 1e-6 * float(row["largest_modulus"])
        assert float(row["largest_real"]) < 1e-6
    points = read(out / "spectrum.csv")
    per_layer = {"parabolic": (4 * 16, 8 * 9), "Hamiltonian": (4 * 16, 8 * 9)}
    for network, sizes in per_layer.items():
        for unit, size in enumerate(sizes, 1):
            chosen = [row for row in points if row["norm"] == "frozen"]
            assert sum((row["network"], row["unit"]) == (network, str(unit)) for row in chosen) == size * 2
    for row in small:
        chosen = [p for p in points if all(p[key] == row[key] for key in ("network", "unit", "step", "norm"))]
        values = np.array([complex(float(p["real"]), float(p["imaginary"])) for p in chosen])
        assert np.abs(values).max() == pytest.approx(float(row["largest_modulus"]))
        assert float(row["step_size_allowed"]) == pytest.approx(2 / np.abs(values).max())
    about = json.loads((out / "spectrum.json").read_text())
    assert len(about["sentences"]) == 4
    assert about["tables"] == ["spectrum_layers", "spectrum", "spectrum_asymmetry"]
    assert about["sentences"][0] in capsys.readouterr().out

    before = {name: (out / name).read_bytes() for name in ("spectrum.csv", "spectrum_layers.csv", "spectrum.png")}
    assert main(["spectrum", str(study), *words]) == 0
    assert all((out / name).read_bytes() == content for name, content in before.items())


def test_a_crop_has_the_statistics_of_the_whole():
    """Its frozen norm is the whole features': its Jacobian is the middle of theirs but at the crop's edge."""
    subject = drawn("parabolic")
    Y = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(2)).double()
    Y[..., :4, :] *= 5  # outside of the crop
    unit = copy.deepcopy(subject.network.units[0]).double()
    (layer,) = next(evaluations(unit, Y))
    crop = layer.cropped(6, frozen=True)
    assert torch.equal(crop.Y, Y[..., 3:9, 3:9])
    V = torch.zeros(1, 4, 12, 12).double()
    V[..., 6, 6] = 1
    whole, part = layer.jacobian(frozen=True).product(V), crop.jacobian(frozen=False).product(V[..., 3:9, 3:9])
    assert torch.allclose(whole[..., 4:8, 4:8], part[..., 1:5, 1:5], atol=1e-12)
    dense = crop.jacobian(frozen=False).dense()
    assert np.abs(dense - dense.T).max() < 1e-12
    own = layer.cropped(6, frozen=False).jacobian(frozen=True).product(V[..., 3:9, 3:9])
    assert not torch.allclose(own, part, rtol=0.1)  # the crop's own statistics are others
    assert spectrum.crop_side(4, 12, 4 * 16) == 4
    assert spectrum.crop_side(4, 12, 4 * 16 - 1) == 3


@pytest.mark.parametrize("norm", ["instance", "channel", "channel_rms", "none"])
def test_crops_of_all_norms(norm):
    subject = drawn("parabolic", f"network.norm={norm}")
    Y = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(2))
    for row, q in spectrum.cropped_spectra(subject.network.units[0], Y, 64):
        assert row["asymmetry"] < 1e-12
        assert q.real.max() < 1e-9
        assert q.real.min() < -1e-3


def measured(subject, images=1):
    """Result, and its rows of layers."""
    result = spectrum.measure([subject], argparse.Namespace(images=images, seed=0, unknowns=72))
    return result, result.tables["spectrum_layers"]


def drawn(dynamic, *words):
    """A tiny network with kernels that are no zeros, on a made data set of 20 test images."""
    subject = subject_of(dynamic, *words)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in subject.network.units.named_parameters():
        if "kernel" in name:
            parameter.data.normal_(std=0.2, generator=generator)
    return subject


def test_an_image_is_followed_together_with_others_where_the_norm_is_over_them():
    """Alone it is its own mean: everything behind the first such norm would be the same of every image."""
    subject = drawn("parabolic", "network.connector_norm=batch_per_pixel")
    assert spectrum._together(subject, 3) == 20  # there are no more
    assert spectrum._together(drawn("parabolic"), 3) == 3
    result, layers = measured(subject, images=2)
    assert {row["image"] for row in layers} == {0, 1}
    assert min(row["largest_modulus"] for row in layers) > 0.01
    assert "network.connector_norm=batch_per_pixel), which had at most 20 images." in result.sentences[0]
    expected = entering_features(subject, 20, 0)[1][1:2]
    row = next(row for row in layers if (row["image"], row["unit"]) == (1, 2))
    q = next(spectrum.cropped_spectra(subject.network.units[1], expected, 72))[1]
    assert np.abs(q).max() == pytest.approx(row["largest_modulus"], rel=1e-9)


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_units_that_do_nothing_allow_every_step_size(dynamic):
    """Zero kernels in one unit, ReLU off everywhere in the other."""
    subject = drawn(dynamic)
    for name, parameter in subject.network.units[0].named_parameters():
        if "kernel" in name:
            parameter.data.zero_()
    for name, parameter in subject.network.units[1].named_parameters():
        if name.endswith("shift"):
            parameter.data.fill_(-50)
    result, layers = measured(subject)
    assert {row["largest_modulus"] for row in layers} == {0}
    assert {row["step_size_allowed"] for row in layers} == {np.inf}
    assert (
        "is stable at any step size in 4 of 4 time steps. h = 1 is used, which is within that." in result.sentences[0]
    )
    labels = [tick.get_text() for tick in result.pictures["spectrum_steps"].figure.axes[0].get_yticklabels()]
    assert labels[-1] == "any"


@pytest.mark.parametrize("dynamic", ["parabolic", "second_order", "hamiltonian"])
def test_negative_scales_let_modes_grow_at_every_step_size(dynamic):
    """Also where the largest eigenvalues are those of the channels that are as they should be."""
    subject = drawn(dynamic)
    for unit in subject.network.units:
        unit.theta[0].scale.data[:, 0] *= -0.5
    result, layers = measured(subject)
    frozen = [row for row in layers if row["norm"] == "frozen"]
    for row in frozen:
        assert row["step_size_allowed"] == 0
        assert row["growth"] > 1
    assert (
        "is stable at no step size in 4 of 4 time steps. h = 1 is used, which is not stable in 4" in result.sentences[0]
    )
    axis = result.pictures["spectrum_steps"].figure.axes[0]
    heights = dict(zip([tick.get_text() for tick in axis.get_yticklabels()], axis.get_yticks(), strict=True))
    assert {"none", "1"} <= set(heights)
    low, high = axis.get_ylim()
    assert low < heights["none"] < high
    assert all(y == heights["none"] for each in axis.collections[:1] for y in each.get_offsets()[:, 1])


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_at_full_size_the_largest_and_the_rightmost_are_found(dynamic):
    subject = drawn(dynamic)
    unit, generator = subject.network.units[1], torch.Generator().manual_seed(2)
    Y = torch.randn(1, 8, 8, 8, generator=generator)
    exact = [q for row, q in spectrum.cropped_spectra(unit, Y, 512)]  # the crop is the whole
    found_at_all = [each for each in spectrum._full_size(unit, Y) if each[0]["norm"] == "frozen"]
    for q, (row, found) in zip(exact, found_at_all, strict=True):
        largest = np.abs(q).max()
        assert np.abs(found).max() == pytest.approx(largest, rel=2e-2)
        assert found.real.max() == pytest.approx(q.real.max(), abs=2e-2 * largest)
        assert row["rightmost_found"]
        if dynamic == "resnet":  # the unrestricted layer: some mode grows
            assert integrator_of(dynamic).largest_stable_step(found, spectrum.TOLERANCE) == 0


def test_a_search_for_growing_modes_that_does_not_converge_is_told(monkeypatch):
    def found(linear, which="LM", **options):
        return extreme_eigenvalues(linear, which=which, **options)[: None if which == "LM" else 0]

    monkeypatch.setattr(spectrum, "extreme_eigenvalues", found)
    result, layers = measured(drawn("parabolic"))
    full = [row for row in layers if row["size"] == "full"]
    assert not any(row["rightmost_found"] for row in full)
    assert all(row["rightmost_found"] for row in layers if row not in full)
    assert result.sentences[0].endswith(" In 4 the search for growing modes did not converge and may have missed one.")


def full_rows(*rows):
    names = ("image", "unit", "step", "norm", "step_size_allowed", "growth")
    return [dict(zip(names, row, strict=True)) | {"size": "full", "rightmost_found": True} for row in rows]


def test_the_sentence_counts_time_steps_of_frozen_rows_whatever_the_images():
    rows = full_rows(
        (0, 1, 1, "frozen", 0.5, 3.0), (0, 1, 1, "free", 0.0, 9.0), (0, 1, 2, "frozen", 1.25, 1.0),
        (1, 1, 1, "frozen", 1.5, 1.0), (1, 1, 1, "free", 2.0, 1.0), (1, 1, 2, "frozen", 1.3, 1.0),
    )  # fmt: skip
    euler, wave = integrator_of("parabolic"), integrator_of("hamiltonian")
    assert spectrum._steps_sentence(euler, 1.0, rows) == (
        " At full size, norm frozen, at each of 2 images, forward Euler is stable up to h = 0.5 to 1.2 in 2 of 2 time steps. "
        "h = 1 is used, which is not stable in 1: one step multiplies a mode by up to 3."
    )
    rows = full_rows(
        (0, 1, 1, "frozen", 0.0, 1.5), (0, 1, 2, "frozen", 0.2, 1.0), (0, 2, 1, "frozen", np.inf, 1.0)
    )  # fmt: skip
    assert spectrum._steps_sentence(wave, 0.1, rows) == (
        " At full size, norm frozen, symplectic Euler is stable at no step size in 1 of 3 time steps and at any step size in "
        "1 of 3 time steps and up to h = 0.2 in 1 of 3 time steps. h = 0.1 is used, which is not stable in 1: one step "
        "multiplies a mode by up to 1.5."
    )


def test_the_pictures_show_stability_as_it_is():
    """Of the wave's integrators a line, not a band; nothing is said of training."""
    subject = drawn("hamiltonian")
    result, _ = measured(subject)
    picture = result.pictures["spectrum"]
    for axis in picture.figure.axes:
        (line,) = [each for each in axis.lines if list(each.get_ydata()) == [-2, 2]]
        assert list(line.get_xdata()) == [0, 0]
        assert line.get_linewidth() < 2
        assert line.get_zorder() > max(each.get_zorder() for each in axis.collections)
    assert "on a line of no width" in picture.caption
    assert subject.name == "Hamiltonian, initial weights"
    assert subject.name in picture.figure.axes[0].get_title()
    texts = [*result.sentences, *(text for each in result.pictures.values() for text in (each.heading, each.caption))]
    assert not any("trained" in text for text in texts)


def test_the_disc_of_forward_euler_is_round_and_each_row_names_what_it_shows():
    subject = subject_of("parabolic")
    points = [
        {"network": subject.name, "unit": 1, "norm": norm, "real": -9.0, "imaginary": 0.0}
        for norm in ("frozen", "free")
    ]
    figure = eigenvalue_plane([subject], points, [{"size": "crop", "unit": 1, "grid": "8x8"}]).figure
    for axis, size in zip(figure.axes, ("crops", "full size"), strict=True):
        assert axis.get_aspect() == 1
        assert size in axis.get_ylabel()


def test_long_names_stay_within_the_picture():
    subject = replace(subject_of("parabolic"), distinction=", name-of-a-study/parabolic/fraction-0.10/seed-0")
    rows = [
        row | {"network": subject.name} for row in full_rows((0, 1, 1, "frozen", 0.5, 3.0), (0, 1, 1, "free", 0.0, 9.0))
    ]
    figure = step_sizes([subject, subject], rows).figure
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_a_wide_unit_gets_more_unknowns_unless_they_are_given():
    (wide,) = subjects(["data=shapes", "network.widths=[4,256]"], torch.device("cpu"), None)
    (deep,) = subjects(["data=shapes", "network.widths=[4,4,4,4,4,64]"], torch.device("cpu"), None)
    assert spectrum._unknowns([wide], None) == 256 * 4
    assert spectrum._unknowns([wide], 2000) == 2000
    assert spectrum._unknowns([deep], None) == 64 * 9  # the last unit has 3 x 3 pixels, which cannot be halved


def test_negative_scales_are_told():
    (subject,) = subjects(["data=shapes", "network=tiny"], torch.device("cpu"), None)
    assert spectrum._negative_scales(subject.network) == ""
    subject.network.units[0].theta[0].scale.data[1, 2] = -0.5
    assert " 1 of the 24 scales" in spectrum._negative_scales(subject.network)


def test_the_stability_of_forward_euler_is_not_stated_for_the_reversed_sign():
    with pytest.raises(DoesNotApply, match="expansive, initial weights: the dynamic states no region of stability"):
        spectrum.measure([subject_of(f"{CONTROLS}:Expansive")], argparse.Namespace(images=1, unknowns=None, seed=0))


def refused(capsys, *words):
    assert main(["spectrum", "dynamic=parabolic", "data=shapes", "network=tiny", "--output", "nowhere", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_refusals(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, "--unknowns", "31")
    assert "--unknowns 31: must be at least 32, the channels of the widest unit on more than one pixel" in error
    monkeypatch.setattr(spectrum.device, "available_memory", lambda where: 48 * 1000**2)
    error = refused(capsys, "--unknowns", "1001")
    assert "--unknowns 1001: dense matrices of that size take 0.0 GiB; must be at most 1000, which fit" in error
    unknown = replace(dynamics.BUILT_IN["parabolic"], region=None)
    monkeypatch.setitem(dynamics.BUILT_IN, "parabolic", unknown)
    error = refused(capsys)
    assert "parabolic, initial weights: the dynamic states no region of stability of its integrator" in error
