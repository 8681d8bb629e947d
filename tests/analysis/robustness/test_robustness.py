"""Kind robustness: numbers, intervals, options; on networks at initial weights and a made-up data set."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pdenet_repro import build_network, compose
from pdenet_repro.analysis.options import add_options
from pdenet_repro.analysis.robustness import measure as robustness
from pdenet_repro.analysis.robustness.attacks import scores
from pdenet_repro.analysis.robustness.corruptions import CORRUPTIONS
from pdenet_repro.analysis.robustness.figures import WRONG, curves
from pdenet_repro.analysis.robustness.panels import Panel
from pdenet_repro.analysis.subjects import Subject
from pdenet_repro.report.statistics import exact_interval
from pdenet_repro.system.arguments import Parser
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.seeds import stream


def options(*words):
    parser = Parser()
    add_options(parser, robustness)
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
    found = Subject(config, network, None)
    dataset = SimpleNamespace(test=SimpleNamespace(pixels=pixels, labels=labels), class_names=list("abcdefghij"))
    found.__dict__["dataset"] = dataset
    return found


WORDS = ("--images=8", "--steps=3", "--strengths=noise=60", "--strengths=blur=4", "--strengths=contrast=2,40",
         "--strengths=occlusion=80", "--strengths=linf=1,60", "--strengths=l2=10,5000")  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return robustness.measure([subject("parabolic"), subject("hamiltonian")], options(*WORDS))


def test_rows_are_tidy_and_begin_with_the_clean_images(result):
    rows = result.tables["robustness"]
    assert len(rows) == 2 * (2 + 2 + 3 + 2 + 2 * 3 * 3)
    for row in rows:
        assert (row["low_95"], row["high_95"]) == exact_interval(row["right"] / 8, 8)
        assert row["accuracy"] == row["right"] / 8
        assert row["unit"]
        if row["strength"] == (1 if row["perturbation"] == "contrast" else 0):
            assert row["right"] == 6
    assert len({(row["network"], row["perturbation"], row["strength"]) for row in rows}) == len(rows)


def test_accuracy_under_attack_falls_with_the_budget_and_with_more_steps(result):
    right = {
        (row["network"], row["perturbation"], row["strength"]): row["right"] for row in result.tables["robustness"]
    }
    for network in ("parabolic, initial weights", "Hamiltonian, initial weights"):
        for norm, budgets in (("linf", (0, 1, 60)), ("l2", (0, 10, 5000))):
            iterated = [right[network, f"{norm} iterated", budget] for budget in budgets]
            assert iterated == sorted(iterated, reverse=True)
            for budget in budgets:
                assert right[network, f"{norm} iterated", budget] <= right[network, f"{norm} one-step", budget]
                assert right[network, f"{norm} random", budget] <= 6
            assert right[network, f"{norm} iterated", budgets[-1]] == 0


def test_shares_are_of_the_images_that_were_right_and_pairs_of_those_right_in_both(result):
    rows = result.tables["robustness"]
    for row in rows:
        assert row["right_clean"] == 6
        assert row["share_still_right"] == row["still_right"] / 6
        if row["perturbation"].startswith(("linf", "l2")):
            assert row["still_right"] == row["right"]  # what was wrong stays wrong
    pairs = result.tables["robustness_pairs"]
    assert len(pairs) == len(rows) / 2
    assert {row["images_right_clean_in_both"] for row in pairs} <= set(range(4, 7))
    assert all(
        row["right_only_in_first"] == 0 for row in pairs if row["strength"] == (row["perturbation"] == "contrast")
    )


def test_more_restarts_leave_no_more_images(result):
    words = (*WORDS, "--restarts=0")
    fewer = robustness.measure([subject("parabolic")], options(*words)).tables["robustness"]
    right = {(row["perturbation"], row["strength"]): row["right"] for row in result.tables["robustness"][: len(fewer)]}
    for row in fewer:
        more = right[row["perturbation"], row["strength"]]
        assert more <= row["right"]
        assert more == row["right"] or "iterated" in row["perturbation"]


def test_pictures_have_a_panel_each_and_sentences_name_every_network(result):
    figure = result.pictures["robustness"].figure
    assert len(figure.axes) == 8
    assert all(axis.get_xlabel() and axis.get_title() for axis in figure.axes)
    assert len(result.sentences) == 1 + 8 + 1 + 2
    assert all(
        "parabolic" in each and "Hamiltonian" in each for each in [*result.sentences[:9], *result.sentences[10:]]
    )
    assert len(result.pictures["robustness_images"].figure.axes) == 6 * 3


def together():
    """A network whose scores of an image depend on the whole batch."""
    return subject("parabolic", "network.connector_norm=batch_per_pixel")


@pytest.fixture(scope="module")
def batch_result():
    return robustness.measure([together()], options(*WORDS))


def test_networks_that_depend_on_the_batch_are_attacked_batch_by_batch(batch_result):
    found = batch_result
    clean = {row["right"] for row in found.tables["robustness"] if row["strength"] == 0}
    assert clean == {6}
    assert found.sentences[0] == (
        "parabolic, initial weights: the scores of an image depend on the others of its batch "
        "(network.connector_norm=batch_per_pixel); they come from nearly equal batches of at most 8 images."
    )


def test_of_a_network_that_depends_on_the_batch_the_gallery_shows_one_image_of_it(batch_result):
    """Alone each image would get the same scores."""
    looking = together()
    images, labels = looking.test_images(8)
    with torch.no_grad():
        probabilities = torch.softmax(scores(looking.network, images), 1)
        alone = torch.softmax(scores(looking.network, images[:1]), 1)[0]
    chosen = int((probabilities.argmax(1) == labels).int().argmax())
    expected, useless = ("abcdefghij"[each.argmax()] + f" {each.max():.0%}" for each in (probabilities[chosen], alone))
    assert expected != useless
    figure = batch_result.pictures["robustness_images"].figure
    tiles = [axis for axis in figure.axes if axis.get_xlabel() == "clean"]
    assert [tile.get_title() for tile in tiles] == [expected] * 6
    noise = CORRUPTIONS["noise"].apply(images, 60, stream(0, "robustness noise", 0))
    with torch.no_grad():
        damaged = torch.softmax(scores(looking.network, noise), 1)[chosen]
    title = next(axis.get_title() for axis in figure.axes if axis.get_xlabel() == "60")
    assert title == "abcdefghij"[damaged.argmax()] + f" {damaged.max():.0%}"
    attacked = [axis.title.get_color() for axis in figure.axes if axis.get_xlabel() in ("60", "5000")][1:]
    assert attacked == [WRONG, WRONG]


def test_one_image_alone_is_refused_where_it_would_be_classified_alone():
    looking = together()
    with pytest.raises(InvalidConfig, match="--images 1: must be at least 2 for parabolic, initial weights"):
        robustness.measure([subject("hamiltonian"), looking], options("--images=1"))


def test_batches_are_of_nearly_equal_size(monkeypatch):
    monkeypatch.setattr(robustness, "BATCH", 7)
    sizes = []
    found = subject("parabolic")
    found.network.opening.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    one_each = {"noise": 60, "blur": 4, "contrast": 40, "occlusion": 80, "linf": 60, "l2": 5000}
    few = [f"--strengths={name}={strength}" for name, strength in one_each.items()]
    robustness.measure([found], options("--images=8", "--steps=2", *few))
    assert sizes[0] == 4  # not 7, and then 1 alone


def measured(accuracy, network="parabolic"):
    """Rows and panels as of one network with the same accuracy everywhere."""
    panels = {each: Panel(each, "", (0, 9)) for each in ("noise", "blur", "contrast")}
    panels["linf iterated"] = Panel("linf", "", (0, 9), "linf random")
    both = [(perturbation, strength) for perturbation, panel in panels.items() for strength in panel.strengths]
    both += [("linf random", strength) for strength in (0, 9)]
    rows = [
        {"network": network, "dynamic": "parabolic", "trained": True, "perturbation": perturbation, "strength": strength,
         "accuracy": accuracy, "low_95": accuracy, "high_95": accuracy}
        for perturbation, strength in both
    ]  # fmt: skip
    return rows, panels


def test_what_large_budgets_say_of_masked_gradients():
    near, far = (robustness._sentences(*measured(accuracy), options())[-1] for accuracy in (0.02, 0.3))
    assert near.startswith(
        "At the largest budgets, 9 (L∞), the accuracy under iterated attacks is at most 2%. It is near 0"
    )
    assert "at most 30%. It is not near 0" in far
    assert "--strengths" in far


def test_a_network_that_is_never_right_does_not_choose_the_strength_that_is_told():
    rows, panels = measured(0.5)
    rows += measured(0.0, "parabolic, initial weights")[0]
    panels["blur"] = Panel("blur", "", (0, 9, 10))
    rows += [row | {"strength": 10, "accuracy": row["accuracy"] / 2} for row in rows if row["strength"] == 9]
    blur = next(sentence for sentence in robustness._sentences(rows, panels, options()) if "Blur" in sentence)
    assert blur == "Blur,  10: parabolic 25%, parabolic, initial weights 0%."


def test_two_networks_of_one_dynamic_are_drawn_differently():
    names = [f"parabolic, seed-{seed}" for seed in range(5)]
    rows = [row for name in names for row in measured(0.5, name)[0]]
    figure = curves(rows, measured(0.5)[1], 0.1)
    drawn = {line.get_label(): line for line in figure.axes[0].lines if line.get_label() in names}
    assert list(drawn) == names
    assert len({line.get_color() for line in drawn.values()}) == 1
    assert len({line.get_marker() for line in drawn.values()}) == 5
    assert drawn[names[0]].get_linestyle() != drawn[names[1]].get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()][:5] == names


def test_legends_fit_into_the_figure():
    names = [f"second-order, hyperbolic/second_order/fraction-0.20/seed-{seed}" for seed in range(3)]
    rows = [row for name in names for row in measured(0.5, name)[0]]
    figure = curves(rows, measured(0.5)[1], 0.1)
    FigureCanvasAgg(figure).draw()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_nothing_is_called_trained_that_is_not(result):
    texts = [*result.sentences, *(f"{each.heading} {each.caption}" for each in result.pictures.values())]
    assert not [text for text in texts if "train" in text]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("--images=abc", "--images abc: must be a whole number of at least 1"),
        ("--images=0", "--images 0: must be a whole number of at least 1"),
        ("--steps=1", "--steps 1: must be a whole number of at least 2"),
        ("--strengths=fog=1", "--strengths fog=1: must be one of noise, blur, contrast, occlusion, linf, l2"),
        ("--strengths=noise", "noise: strengths of noise must be increasing numbers above 0"),
        ("--strengths=noise=4,2", "must be increasing numbers"),
        ("--strengths=noise=nan", "must be increasing numbers"),
        ("--strengths=contrast=1", "must be increasing numbers above 1"),
        ("--strengths=occlusion=97", "at most 96"),
        (
            "--strengths=linf=0.001 --strengths=noise=4 --strengths=linf=5,6",
            "--strengths linf=5,6: names linf twice; give its strengths once",
        ),
    ],
)
def test_wrong_options_are_one_sentence(word, part):
    with pytest.raises(InvalidConfig) as refusal:
        options(*word.split())
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_networks_of_two_data_sets_are_refused():
    other = subject("parabolic")
    other.config.data.name = "stl10"
    with pytest.raises(InvalidConfig, match=r"one data set.* has data\.name=shapes and .* has data\.name=stl10"):
        robustness.measure([subject("parabolic"), other], argparse.Namespace())
