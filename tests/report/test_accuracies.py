"""The strip plot of accuracies: its rows and their order, its marks, and which marks are joined."""

import pytest
from made import PAPER
from matplotlib.colors import to_hex

from pdenet_repro.config.dynamics import BUILT_IN
from pdenet_repro.report.accuracies import MOST_PATHS, accuracies
from pdenet_repro.report.groups import Grouping
from pdenet_repro.report.runs import collect

STEPS = ("variation=steps-1", "network.steps=1")
WIDE, NARROW = "network.widths=[4,8]", "network.widths=[4,4]"


def grouping(folder):
    (found,) = collect(folder).values()
    return Grouping(found.runs, (), found.missing)


def marks(axis, y):
    """The marks of the row at this height: (value, marker, whether it is filled)."""
    lines = [line for line in axis.lines if line.get_marker() != "None" and set(line.get_ydata()) == {y}]
    return {
        (round(float(x), 6), line.get_marker(), line.get_markerfacecolor() != "white")
        for line in lines
        for x in line.get_xdata()
    }


def paths(axis):
    return [list(zip(*line.get_data(), strict=True)) for line in axis.lines if line.get_marker() == "None"]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture
def controls(study, maker):
    """The three dynamics on 200 images with seeds 0 and 1, one seed of a variation and one of another dynamic; some on 100."""
    maker("dynamic=parabolic", "data.fraction=0.1", *STEPS, right=range(140), images=200)
    maker("dynamic=resnet", "data.fraction=0.05", right=range(190), images=100)
    maker("dynamic=resnet", "data.fraction=0.1", right=range(100), images=200)
    maker("dynamic=second_order", "data.fraction=0.05", *STEPS, right=range(190), images=100)
    return study


def test_rows_are_in_the_order_of_their_means_and_have_a_mark_for_each_seed(controls):
    found = grouping(controls)
    figure, numbers, runs, note = accuracies(found)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "parabolic, steps-1", "second-order", "parabolic", "Hamiltonian", "ResNet",
    ]  # fmt: skip
    top, bottom = sorted(axis.get_ylim())
    assert axis.get_ylim() == (bottom, top)  # the first row is on top
    assert axis.get_title(loc="left") == "200 training images"
    assert marks(axis, 0) == {(0.7, "o", False)}
    assert marks(axis, 1) == {(0.65, "D", False), (0.7, "D", False), (0.675, "D", True)}
    colours = {to_hex(line.get_color()) for line in axis.lines if line.get_marker() == "D"}
    assert colours == {BUILT_IN["second_order"].colour}
    assert [(row["dynamic"], row["variation"], row["seed"], row["test_accuracy"]) for row in numbers] == [
        ("parabolic", "steps-1", 0, 0.7), ("second_order", "", 0, 0.65), ("second_order", "", 1, 0.7),
        ("parabolic", "", 0, 0.6), ("parabolic", "", 1, 0.65), ("hamiltonian", "", 0, 0.55), ("hamiltonian", "", 1, 0.6),
        ("resnet", "", 0, 0.5),
    ]  # fmt: skip
    assert [row["mean_test_accuracy"] for row in numbers[:2]] == [0.7, pytest.approx(0.675)]
    assert [row["n"] for row in numbers[:2]] == [1, 2]
    assert found.without(runs) == "second-order, steps-1"
    assert legend(figure) == ["one seed", "mean", "seed 0", "seed 1"]
    assert note == f"the axis begins at {100 * axis.get_xlim()[0]:.1f} %"


def test_a_line_joins_the_marks_of_a_seed(controls):
    (axis,) = accuracies(grouping(controls))[0].axes
    assert paths(axis) == [
        [(0.7, 0), (0.65, 1), (0.6, 2), (0.55, 3), (0.5, 4)],
        [(0.7, 1), (0.65, 2), (0.6, 3)],
    ]
    lines = [line for line in axis.lines if line.get_label().startswith("seed ")]
    assert {line.get_label(): line.get_xdata()[0] for line in lines} == {"seed 0": 0.7, "seed 1": 0.7}
    assert len({line.get_linestyle() for line in lines}) == 2


def test_marks_are_not_joined_if_one_seed_or_too_many_have_several(maker, tmp_path):
    for seed in range(MOST_PATHS + 1):
        for dynamic in BUILT_IN:
            maker(f"dynamic={dynamic}", seed=seed, right=range(90 + seed))
        figure, *_ = accuracies(grouping(tmp_path / "made"))
        assert len(paths(figure.axes[0])) == (0 if seed in (0, MOST_PATHS) else seed + 1)
        assert ("seed 0" in legend(figure)) == (seed not in (0, MOST_PATHS))


@pytest.mark.parametrize("narrow", [1, 2])
def test_labels_leave_out_settings_of_more_than_half_of_the_rows(maker, tmp_path, narrow):
    """The four networks have the same widths but for the last one or two, which are those with the fewest right."""
    for i, dynamic in enumerate(BUILT_IN):
        maker(f"dynamic={dynamic}", NARROW if i >= 4 - narrow else WIDE, right=range(100 - 2 * i))
    maker("dynamic=parabolic", WIDE, *STEPS, right=range(120))
    names = [BUILT_IN[dynamic].label for dynamic in BUILT_IN]
    figure, numbers, _, note = accuracies(grouping(tmp_path / "made"))
    expected = [f"{name}, {NARROW}" if i >= 4 - narrow else name for i, name in enumerate(names)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [f"{names[0]}, steps-1", *expected]
    assert note.split("; ")[0] == f"where not named: {WIDE}"
    assert {row["network.widths"] for row in numbers} == {"[4,8]", "[4,4]"}


def test_labels_name_a_setting_without_a_majority(maker, tmp_path):
    for i, dynamic in enumerate(BUILT_IN):
        maker(f"dynamic={dynamic}", NARROW if i % 2 else WIDE, right=range(100 - 2 * i))
    figure, _, _, note = accuracies(grouping(tmp_path / "made"))
    assert all("network.widths=" in label.get_text() for label in figure.axes[0].get_yticklabels())
    assert "not named" not in note


def test_three_networks_need_no_strip_plot(study):
    assert accuracies(grouping(study)) is None


def test_networks_that_share_no_number_of_images_say_theirs_and_are_not_joined(maker, tmp_path):
    for i, dynamic in enumerate(BUILT_IN, 1):
        for seed in (0, 1):
            maker(f"dynamic={dynamic}", f"data.fraction={i / 10}", seed=seed, right=range(90 + i), images=200 * i)
    (axis,) = accuracies(grouping(tmp_path / "made"))[0].axes
    assert axis.get_yticklabels()[0].get_text() == "ResNet, 800 images"
    assert paths(axis) == []


def test_a_fold_and_a_seed_are_not_joined(maker, tmp_path):
    for dynamic in BUILT_IN:
        maker(f"dynamic={dynamic}", "data.fraction=0.2", right=range(90), images=1000)
        for fold in (0, 1):
            maker(f"dynamic={dynamic}", f"data.fold={fold}", right=range(100 + fold), images=1000)
    figure, *_ = accuracies(grouping(tmp_path / "made"))
    assert sorted(sorted({x for x, _ in path}) for path in paths(figure.axes[0])) == [[0.45], [0.5], [0.505]]
    assert legend(figure) == ["one seed or fold", "mean", "seed 0", "fold 0", "fold 1"]


def test_the_published_accuracy_is_a_star_in_the_row_of_runs_that_repeat_it(maker, tmp_path):
    for dynamic in BUILT_IN:
        maker(f"dynamic={dynamic}", base=PAPER, right=range(150), images=5000)
    figure, numbers, *_ = accuracies(grouping(tmp_path / "made"))
    known = {"parabolic": 0.7485, "hamiltonian": 0.7478, "second_order": 0.7508, "resnet": None}
    assert {row["dynamic"]: row["published_accuracy"] for row in numbers} == pytest.approx(known)
    for y, dynamic in enumerate(row["dynamic"] for row in numbers):
        stars = {(known[dynamic], "*", True)} if known[dynamic] else set()
        assert marks(figure.axes[0], y) == {(0.75, BUILT_IN[dynamic].marker, False)} | stars
    assert "published" in legend(figure)
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(0.05)  # a difference of a few test images must not look large


def test_long_names_are_broken_and_leave_room_for_the_marks(maker, tmp_path):
    for i in range(4):
        settings = (f"schedule.learning_rate=0.{i}1", f"optimizer.momentum=0.{i}1", f"network.norm_eps=0.{i}1")
        maker("dynamic=parabolic", *settings, right=range(90 + i), seed=i)
    (found,) = collect(tmp_path / "made").values()
    figure, *_ = accuracies(Grouping(found.runs, ("schedule.learning_rate", "optimizer.momentum", "network.norm_eps")))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert all("\n" in label.get_text() for label in axis.get_yticklabels())
    boxes = [label.get_window_extent() for label in axis.get_yticklabels()]
    assert all(box.x0 >= 0 for box in boxes)
    assert all(upper.y0 > lower.y1 for upper, lower in zip(boxes, boxes[1:], strict=False))
    assert axis.get_position().width > 0.4
