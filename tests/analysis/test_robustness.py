"""Kind robustness: numbers, intervals, options; on networks at initial weights and a made-up data set."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.analysis import robustness
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.errors import InvalidConfig
from pdenet_repro.options import Parser
from pdenet_repro.report.statistics import exact_interval


def options(*words):
    parser = Parser()
    robustness.add_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(words)


def subject(dynamic, *words):
    config = compose(f"dynamic={dynamic}", "network=tiny", "data=shapes", *words)
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (8, 3, 96, 96)).astype(np.uint8)
    network = build_network(config).eval()
    with torch.no_grad():  # initial weights guess one class whatever the image; these guess by what differs
        network.classifier.bias -= network(torch.from_numpy(pixels)).mean(0)
        guesses = network(torch.from_numpy(pixels)).argmax(1).numpy()
    labels = np.where(np.arange(8) < 6, guesses, (guesses + 1) % 10)  # six of eight are right
    found = Subject(config, network, None, print)
    dataset = SimpleNamespace(test=SimpleNamespace(pixels=pixels, labels=labels), class_names=list("abcdefghij"))
    found.__dict__["dataset"] = dataset
    return found


WORDS = ("--images=8", "--steps=3", "--strengths=noise=60", "--strengths=blur=4", "--strengths=contrast=2,40",
         "--strengths=occlusion=80", "--strengths=linf=1,60", "--strengths=l2=10,5000")  # fmt: skip


@pytest.fixture(scope="module")
def finding():
    return robustness.measure([subject("parabolic"), subject("hamiltonian")], options(*WORDS))


def test_rows_are_tidy_and_begin_with_the_clean_images(finding):
    rows = finding.tables["robustness"]
    assert len(rows) == 2 * (2 + 2 + 3 + 2 + 2 * 3 * 3)
    for row in rows:
        assert (row["low_95"], row["high_95"]) == exact_interval(row["right"] / 8, 8)
        assert row["accuracy"] == row["right"] / 8
        assert row["unit"]
        if row["strength"] == (1 if row["perturbation"] == "contrast" else 0):
            assert row["right"] == 6
    assert len({(row["network"], row["perturbation"], row["strength"]) for row in rows}) == len(rows)


def test_accuracy_under_attack_falls_with_the_budget_and_with_more_steps(finding):
    right = {
        (row["network"], row["perturbation"], row["strength"]): row["right"] for row in finding.tables["robustness"]
    }
    for network in ("parabolic, initial weights", "Hamiltonian, initial weights"):
        for norm, budgets in (("linf", (0, 1, 60)), ("l2", (0, 10, 5000))):
            iterated = [right[network, f"{norm} iterated", budget] for budget in budgets]
            assert iterated == sorted(iterated, reverse=True)
            for budget in budgets:
                assert right[network, f"{norm} iterated", budget] <= right[network, f"{norm} one-step", budget]
                assert right[network, f"{norm} random", budget] <= 6
            assert right[network, f"{norm} iterated", budgets[-1]] == 0


def test_pictures_have_a_panel_each_and_sentences_name_every_network(finding):
    figure = finding.pictures["robustness"].figure
    assert len(figure.axes) == 8
    assert all(axis.get_xlabel() and axis.get_title() for axis in figure.axes)
    assert len(finding.sentences) == 1 + 8 + 1
    assert all("parabolic" in each and "Hamiltonian" in each for each in finding.sentences[:-1])
    assert len(finding.pictures["robustness_images"].figure.axes) == 6 * 3


def test_networks_that_look_at_a_whole_batch_are_attacked_batch_by_batch():
    found = robustness.measure([subject("parabolic", "network.connector_norm=batch_per_pixel")], options(*WORDS))
    clean = {row["right"] for row in found.tables["robustness"] if row["strength"] == 0}
    assert clean == {6}


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("--images=abc", "--images abc: must be a whole number of at least 1"),
        ("--images=0", "--images 0: must be a whole number of at least 1"),
        ("--steps=1", "--steps 1: must be a whole number of at least 2"),
        ("--strengths=fog=1", "--strengths fog=1: must be one of noise, blur, contrast, occlusion, linf, l2"),
        ("--strengths=noise", "noise: strengths of noise must be growing numbers above 0"),
        ("--strengths=noise=4,2", "must be growing numbers"),
        ("--strengths=noise=nan", "must be growing numbers"),
        ("--strengths=contrast=1", "must be growing numbers above 1"),
        ("--strengths=occlusion=97", "at most 96"),
    ],
)
def test_wrong_options_are_one_sentence(word, part):
    with pytest.raises(InvalidConfig) as refusal:
        options(word)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_networks_of_two_data_sets_are_refused():
    other = subject("parabolic")
    other.config.data.name = "stl10"
    with pytest.raises(InvalidConfig, match="one data set"):
        robustness.measure([subject("parabolic"), other], argparse.Namespace())
