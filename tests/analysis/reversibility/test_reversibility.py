"""How exactly units run backwards: the measure itself, precisions, gradients, the command."""

import argparse
import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import finished_run, made_dataset, subject_of

from pdenet_repro.analysis.reversibility.measure import PRECISIONS, errors, gradient_rows, measure, unit_gradients
from pdenet_repro.analysis.trajectory import entering_features
from pdenet_repro.cli.analysis import main
from pdenet_repro.data import source
from pdenet_repro.networks.dynamics import Hamiltonian
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit

REVERSIBLE = ("hamiltonian", "second_order")


class Leaky(Hamiltonian):
    """Stands still forwards, and is off by one percent at every step backwards."""

    def step(self, state, theta):
        return state

    def inverse_step(self, state, theta):
        return tuple(1.01 * part for part in state)


def test_the_error_is_relative_to_the_first_state():
    unit = Unit(Leaky(1.0, Norm("none"), "relu"), 4, steps=2)
    Y = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert np.allclose(errors(unit, Y, PRECISIONS[0]), 1.01**2 - 1, rtol=1e-12)
    assert np.allclose(errors(unit, Y, PRECISIONS[0], refine=3), 1.01**6 - 1, rtol=1e-12)


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_without_a_layer_nothing_is_lost(dynamic):
    unit = subject_of(dynamic).network.units[0]  # a copy of it with kernels that are zero
    for layer in unit.theta:
        layer.kernel.data.zero_()
    Y = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for precision in PRECISIONS:
        assert (errors(unit, Y, precision) == 0).all()


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_the_error_is_of_the_order_of_the_roundoff(dynamic):
    subject = subject_of(dynamic)
    for unit, Y in zip(subject.network.units, entering_features(subject, 6, seed=0), strict=True):
        before = [p.clone() for p in unit.parameters()]
        for precision in PRECISIONS:
            found = errors(unit, Y, precision)
            assert found.shape == (6,)
            if precision.layers == precision.state:
                assert 0.01 * precision.roundoff < np.median(found) < 30 * precision.roundoff
        rounded_layers = errors(unit, Y, PRECISIONS[2])
        assert np.median(errors(unit, Y, PRECISIONS[0])) < rounded_layers.max() < 0.1
        assert unit.dynamic.h == 1.0  # refining and rounding happen in a copy
        assert all(torch.equal(p, q) for p, q in zip(unit.parameters(), before, strict=True))


def test_refined_steps_are_shorter():
    """The reached state converges: what is run backwards is the same flow in finer steps."""
    unit = subject_of("hamiltonian").network.units[0]
    reached = []

    class Watched(Hamiltonian):
        def inverse_step(self, state, theta):
            if not seen:
                seen.append(self.output(state))
            return super().inverse_step(state, theta)

    unit.dynamic.__class__ = Watched
    Y = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    for refine in (1, 16, 32):
        seen = []
        errors(unit, Y, PRECISIONS[0], refine)
        reached.append(seen[0])
    assert (reached[1] - reached[2]).norm() < 0.1 * (reached[0] - reached[2]).norm()


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_gradients(dynamic):
    subject = subject_of(dynamic)
    rows = gradient_rows(subject, 4, seed=0)
    assert [row["unit"] for row in rows] == [1, 2]
    for row in rows:
        assert 0 < row["relative_difference_reverse_store"] < 1e-4
        assert 0 < row["relative_difference_store_float64"] < 1e-4
    assert all(unit.memory == "store" for unit in subject.network.units)
    assert all(p.grad is None for p in subject.network.parameters())


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_in_float64_reversed_gradients_are_the_stored_ones(dynamic):
    subject = subject_of(dynamic)
    pixels, labels = subject.test_images(4)
    X = subject.network.standardize(pixels).double()
    stored, reverse = (unit_gradients(subject, X, labels, memory) for memory in ("store", "reverse"))
    for unit, a, b in zip(subject.network.units, stored, reverse, strict=True):
        assert len(a) == sum(p.numel() for p in unit.parameters())
        assert (a - b).norm() < 1e-12 * a.norm()


def test_two_networks_of_one_dynamic_are_distinguished():
    """In sentences, legend and panels; and nothing is called trained that is not."""
    names = ("second-order, initial weights 1", "second-order, initial weights 2")
    two = [replace(subject_of("second_order", f"seed={seed}"), distinction=f" {seed}") for seed in (1, 2)]
    for subject in two:
        subject.__dict__["dataset"] = made_dataset()
    found = measure(two, argparse.Namespace(images=2, refine="1,2", seed=0))
    assert [sentence.split(":")[0] for sentence in found.sentences] == list(names)
    picture = found.pictures["reversibility"]
    assert not [text for text in (*found.sentences, picture.heading, picture.caption) if "train" in text]
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == list(names)
    for axis, lines in zip(picture.figure.axes, (8, 2, 4), strict=True):  # precisions; networks; ways to the gradient
        drawn = [line for line in axis.lines if len(line.get_xdata()) and line.get_marker() != "None"]
        assert len(drawn) == lines
        assert len({line.get_color() for line in drawn}) == 1
        assert len({line.get_marker() for line in drawn}) == 2


@pytest.mark.slow
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(source, "load", lambda config, say: made_dataset())
    for dynamic in ("parabolic", *REVERSIBLE):
        finished_run(tmp_path, dynamic)
    study = tmp_path / "flow"
    assert main(["reversibility", str(study), "--images", "6", "--refine", "1,4", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "Left out: parabolic, because the dynamic cannot be run backwards" in said
    with (study / "analysis" / "reversibility.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4
    for row in rows:
        assert float(row["relative_error_median"]) <= float(row["relative_error_max"])
        if row["precision"] == "float64":
            assert float(row["relative_error_max"]) < 1e-13
    with (study / "analysis" / "reversibility_steps.csv").open(newline="") as file:
        assert [int(row["steps"]) for row in csv.DictReader(file)] == [2, 8] * 4
    assert (study / "analysis" / "reversibility.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["dynamic=parabolic,resnet"], "cannot be run backwards (hamiltonian and second_order can)"),
        (["dynamic=hamiltonian", "--refine", "1.5"], "must be whole numbers above 0 and at most 1024"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, words, complaint):
    monkeypatch.setattr(source, "load", lambda config, say: made_dataset())
    given = [*words[:1], "network=tiny", "data=shapes", "--output", str(tmp_path), "--device", "cpu", *words[1:]]
    assert main(["reversibility", *given]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said
    assert "\n" not in said
