"""The command ``stencils`` from end to end, networks on other meshes, refusals."""

import argparse
import csv
import json
import math
from dataclasses import replace

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from small_runs import finished, made_dataset, subject_of

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.stencils import measure as stencils
from pdenet_repro.analysis.stencils.differential import kernel, rescaled
from pdenet_repro.analysis.stencils.figures import accuracies
from pdenet_repro.cli.analysis import main
from pdenet_repro.config.schema import IMAGE_SIDE
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system.errors import InvalidConfig


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_on_finished_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stencils, "STATISTICS_IMAGES", 4)
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
        assert 0 < float(row["symbol_odd"]) < 1
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


@pytest.mark.parametrize(
    ("dynamic", "widths"),
    [("resnet", "[4,8]"), ("parabolic", "[3,8]"), ("second_order", "[3,8]"), ("hamiltonian", "[6,8]")],
)
def test_only_3x3_kernels_are_moved(dynamic, widths):
    """Of three steps and, in the last three, three channels: scales and shifts over time are (3, 3) as well."""
    words = ("data=shapes", "network=tiny", f"dynamic={dynamic}", f"network.widths={widths}", "network.steps=3")
    network = build_network(compose(*words))
    other = stencils.with_rescaled_stencils(network, 2.0)
    for (name, before), after in zip(network.named_parameters(), other.parameters(), strict=True):
        if name == "opening.kernel" or (name.startswith("units.") and ".kernel" in name):
            assert torch.equal(after, rescaled(before.detach(), 2.0)), name
            assert not torch.allclose(after, before), name
        else:
            assert torch.equal(after, before), name
    same = stencils.with_rescaled_stencils(network, 1.0)
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
        other = stencils.with_rescaled_stencils(unit, factor)
        inside = (..., slice(8, -8), slice(8, -8))
        expected = unit(features(96))[inside]
        found = stencils.resized(other(features(192)), 96)[inside]
        return ((found - expected).norm() / (expected - features(96)[inside]).norm()).item()

    assert difference(0.5) < 0.015
    assert difference(1.0) > 0.1


def test_refusals(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refused(*words):
        assert main(["stencils", "data=shapes", "network=tiny", "--output", "nowhere", *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    for sides in ("0", "47", "48,half", "2", "400"):
        expected = f"--sides {sides}: must be numbers of pixels separated by commas, multiples of 2 from 4 to 384"
        assert expected in refused("--sides", sides)
    assert "--sides 96: must name other sides than 96, at which" in refused("--sides", "96")
    assert "--images 0: must be a whole number of at least 1" in refused("--images", "0")
    assert "--images 1001: must be 1 to 1000" in refused("--images", "1001")


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(stencils, "STATISTICS_IMAGES", 4)


def steps_at(side, dynamic, operator):
    """Time steps for one at ``side`` pixels, if the units' kernels are ``operator`` for one channel and zero for the others."""
    network = subject_of(dynamic).network
    for name, parameter in network.named_parameters():
        if name.startswith("units") and "kernel" in name:
            parameter.data.zero_()[:, 0, 0] = operator
    return stencils.steps_for_one(network, stencils.with_rescaled_stencils(network, IMAGE_SIDE / side), side)


FIRST, SECOND = (kernel(torch.eye(9).reshape(9, 3, 3)[order], 1.0) for order in (1, 2))  # d/dx, d^2/dx^2


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("dynamic", "power"), [("parabolic", 2), ("hamiltonian", 2), ("second_order", 1), ("resnet", 2)]
)
def test_time_steps_are_refined_as_much_as_the_operators_grow(dynamic, power, order):
    """An operator of order n is ``r^n`` times as large on a mesh r times as fine; explicit schemes need it to that power."""
    operator = (FIRST, SECOND)[order - 1]
    assert [steps_at(side, dynamic, operator) for side in (48, 96, 192)] == [1, 1, 2 ** (order * power)]
    assert steps_at(144, dynamic, operator) == math.ceil(1.5 ** (order * power))


def test_a_wave_of_one_s_own_gets_the_time_steps_of_waves_only_if_its_facts_state_the_equation(tmp_path):
    head = "from pdenet_repro.networks.dynamics import Facts, SecondOrder\n\nclass Mine(SecondOrder):\n"
    found = []
    for i, more in enumerate(("", ", equation='second_order'")):
        file = tmp_path / f"mine{i}.py"
        file.write_text(f"{head}    facts = Facts('mine', reversible=True{more})\n")
        found.append(steps_at(192, f"{file}:Mine", FIRST))
    assert found == [4, 2]


def test_a_network_of_zero_kernels_keeps_its_time_steps():
    assert steps_at(192, "parabolic", torch.zeros(3, 3)) == 1


def test_unchanged_and_rescaled_are_compared_in_pairs_with_new_statistics():
    rows = stencils.measure([subject_of("parabolic")], given(images=20, sides="48")).tables["stencils_resolution"]
    unchanged, rescaled = rows[1:]
    difference = 20 * (rescaled["test_accuracy"] - unchanged["test_accuracy"])
    assert rescaled["right_only_rescaled"] - rescaled["right_only_unchanged"] == pytest.approx(difference)
    assert 0 < rescaled["mcnemar_p"] <= 1


def given(images=6, sides="48,192"):
    return argparse.Namespace(images=images, sides=sides, seed=0)


def test_one_image_alone_is_refused_where_it_would_be_classified_alone():
    together = subject_of("parabolic", "network.connector_norm=batch_per_pixel")
    with pytest.raises(InvalidConfig, match="--images 1: must be at least 2 for parabolic, initial weights"):
        stencils.measure([subject_of("hamiltonian"), together], given(images=1))


@pytest.mark.parametrize("most", [2, 4, 100])
def test_batches_are_the_same_at_every_resolution(monkeypatch, most):
    """Else a norm over the examples would change with the number of pixels that fit into the memory."""
    monkeypatch.setattr(stencils, "BATCH_VALUES", 4 * 192**2 * most)  # four channels
    monkeypatch.setattr(stencils, "LEAST_BATCH", 1)
    subject = subject_of("parabolic", "network.connector_norm=batch_per_pixel")
    sizes = {}
    subject.network.opening.register_forward_pre_hook(
        lambda module, inputs: sizes.setdefault(inputs[0].shape[-1], []).append(len(inputs[0]))
    )
    found = stencils.measure([subject], given(images=10))
    expected = {2: [2] * 5, 4: [4, 3, 3], 100: [10]}[most]
    assert sizes == {96: expected, 48: 2 * expected, 192: 2 * expected}
    assert found.sentences[0].startswith(f"{subject.name}: the scores of an image depend on the others of its batch")
    assert found.sentences[0].endswith(f"batches of at most {expected[0]} images.")


def test_a_norm_over_the_examples_is_given_several(monkeypatch):
    monkeypatch.setattr(stencils, "BATCH_VALUES", 1)
    alone, together = (
        subject_of("parabolic", f"network.connector_norm={norm}") for norm in ("batch", "batch_per_pixel")
    )
    sizes = set()
    for subject in (alone, together):
        subject.network.opening.register_forward_pre_hook(
            lambda module, inputs: None if module.training else sizes.add(len(inputs[0]))  # not of renewed statistics
        )
    assert len(stencils.measure([alone], given()).sentences) == 3
    assert sizes == {1}
    sizes.clear()
    stencils.measure([together], given())
    assert sizes == {6}


def test_ticks_of_accuracies_say_where_they_are():
    """A tick at 2.5 % must not be called 2 %."""
    subject = subject_of("parabolic")
    rows = [
        {"network": subject.name, "side_pixels": side, "stencils": stencils, "test_images": 100, "test_accuracy": 0.1,
         "low_95": 0.05, "high_95": 0.19}
        for side, stencils in ((96, "native"), (48, "unchanged"), (48, "rescaled"))
    ]  # fmt: skip
    figure = accuracies([subject], rows).figure
    FigureCanvasAgg(figure).draw()
    for place, text in zip(figure.axes[0].get_yticks(), figure.axes[0].get_yticklabels(), strict=True):
        assert text.get_text() == "" or float(text.get_text().rstrip("%")) == pytest.approx(100 * place)


def test_kernels_that_are_zero():
    subject = subject_of("second_order")
    first, second = subject.network.units
    kernels = [layer.kernel.data for unit in (first, second) for layer in unit.theta]
    kernels[0].zero_()
    found = stencils.measure([subject], given())
    kept = [row for row in found.tables["stencils"] if row["unit"] == 2]
    share = sum(row["symbol_odd"] * row["squared_norm"] for row in kept) / sum(r["squared_norm"] for r in kept)
    assert f"{share:.0%} of the kernels is odd" in found.sentences[0]
    heights = [y for line in found.pictures["stencils"].figure.axes[0].lines for y in line.get_ydata()]
    assert all(map(math.isfinite, heights))
    kernels[1].zero_()
    found = stencils.measure([subject], given())
    assert found.sentences[0] == f"{subject.name}: the kernels are zero."


def test_nothing_is_called_trained_that_is_not():
    found = stencils.measure([subject_of("hamiltonian")], given())
    texts = [*found.sentences, *(f"{each.heading} {each.caption}" for each in found.pictures.values())]
    assert not [text for text in texts if "trained" in text]
    assert "stencils of 96 pixels" in found.pictures["stencils_resolution"].caption


def test_two_networks_of_one_dynamic_have_panels_and_sentences_of_their_own():
    two = [replace(subject_of("parabolic", f"seed={seed}"), distinction=f" {seed}") for seed in (1, 2)]
    for subject in two:
        subject.__dict__["dataset"] = made_dataset()
    found = stencils.measure(two, given())
    for picture in found.pictures.values():
        assert [axis.get_title().replace("\n", " ") for axis in picture.figure.axes] == [
            subject.name for subject in two
        ]
    assert [sum(each.startswith(f"{subject.name}: ") for each in found.sentences) for subject in two] == [3, 3]
