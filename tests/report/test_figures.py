"""Figures 1 to 3 and the loss curves: what is drawn of which runs, and what is not."""

import json
import shutil

import numpy as np
import pytest
from made import PAPER
from matplotlib.colors import to_hex

from pdenet_repro.config.dynamics import Facts
from pdenet_repro.report import figures
from pdenet_repro.report.examples import load_examples
from pdenet_repro.report.figure1 import figure1
from pdenet_repro.report.figure2 import CHANCE, INTERVAL, SPREAD, figure2
from pdenet_repro.report.figure3 import columns, figure3
from pdenet_repro.report.figures import OTHERS, colours, styles
from pdenet_repro.report.groups import Grouping
from pdenet_repro.report.loss_curves import loss_curves
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.runs import collect

PUBLISHED = "published (drawn to the right)"


def grouping(folder, by=()):
    (found,) = collect(folder, by).values()
    return Grouping(found.runs, by, found.missing)


def drawn(axis, name):
    """The line of a name: (x, y) of its points."""
    (line,) = (line for line in axis.lines if line.get_label() == name)
    return list(zip(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float), strict=True))


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_line_is_broken_where_its_dynamic_has_no_run(study, maker):
    for dynamic in ("parabolic", "hamiltonian"):
        maker(f"dynamic={dynamic}", "data.fraction=0.2", right=range(150), images=400)
    maker("dynamic=second_order", "data.fraction=0.4", right=range(150), images=800)
    left = figure2(grouping(study))[0].axes[0]
    second = drawn(left, "second-order")
    assert [x for x, _ in second] == [100, 200, 400, 800]
    assert np.isnan(second[2][1])
    assert second[3][1] == 0.75
    assert np.isnan(drawn(left, "parabolic")[3][1])


def test_a_planned_and_missing_run_breaks_the_line_too(study):
    entry = {
        "folder": "parabolic/fraction-0.07/seed-0", "name": "planned",
        "configuration": {"dynamic": "parabolic", "data.fraction": 0.075, "seed": 0},
    }  # fmt: skip
    (study / "plan.json").write_text(json.dumps({"command": "x", "runs": [entry]}))
    left = figure2(grouping(study))[0].axes[0]
    assert [x for x, y in drawn(left, "parabolic") if np.isnan(y)] == [150]
    assert [x for x, _ in drawn(left, "Hamiltonian")] == [100, 200]


def test_several_seeds_have_their_spread_and_one_seed_its_interval(study):
    figure = figure2(grouping(study))[0]
    assert {SPREAD, INTERVAL, CHANCE} <= set(legend(figure))
    left = figure.axes[0]
    wide = [line for line in left.lines if line.get_linewidth() == 6 and len(line.get_xdata())]
    assert sorted({float(line.get_xdata()[0]) for line in wide}) == [200]  # two seeds; none at 100, one seed
    assert [line.get_ydata()[0] for line in left.lines if line.get_label() == CHANCE] == [0.1]


@pytest.mark.parametrize("by_epoch", [(None, None, 0.5), (0.1, 0.2, 0.3)])
def test_what_is_moved_sideways_is_within_the_axes(maker, tmp_path, by_epoch):
    """The limits were once those of the right side and of chance alone, so that no accuracy after training was to be seen."""
    for dynamic in ("parabolic", "hamiltonian"):
        maker(f"dynamic={dynamic}", base=PAPER, right=range(160), images=5000, by_epoch=by_epoch)
    left = figure2(grouping(tmp_path / "made"))[0].axes[0]
    low, high = left.get_ylim()
    drawn_at = {round(float(y), 4) for line in left.lines for y in line.get_ydata()}
    assert {0.1, 0.7485, 0.8} < drawn_at  # chance, a published accuracy, the accuracy of both networks
    assert all(low < y < high for y in drawn_at)


def test_no_interval_where_the_test_images_share_statistics(maker, tmp_path):
    maker("dynamic=parabolic", "network.connector_norm=batch_per_pixel", right=range(90))
    figure = figure2(grouping(tmp_path / "made"))[0]
    assert INTERVAL not in legend(figure)


def test_no_saw_from_runs_that_recorded_different_epochs(maker, tmp_path):
    """One run tested every epoch beside one tested every second: the mean is of epochs that both have."""
    maker("dynamic=parabolic", right=range(90), by_epoch=(0.1, 0.2, 0.3, 0.45))
    maker("dynamic=parabolic", "seed=1", right=range(110), by_epoch=(None, 0.4, None, 0.55))
    figure, _, rows, runs = figure2(grouping(tmp_path / "made"))
    assert "mean of seeds 0, 1" in figure.axes[1].get_title()
    line = drawn(figure.axes[1], "parabolic")
    assert line == [(2, pytest.approx(0.3)), (4, pytest.approx(0.5))]
    assert (len(rows), len(runs)) == (6, 2)


def test_the_right_side_names_the_seeds_that_it_draws(maker, tmp_path):
    """Seed 0 recorded accuracies by epoch and seed 1 did not; then seed 1 of another network did."""
    for seed, by_epoch in ((0, (0.1, 0.2, 0.45)), (1, (None, None, 0.5))):
        for dynamic in ("parabolic", "hamiltonian"):
            maker(f"dynamic={dynamic}", right=range(90 + seed), seed=seed, by_epoch=by_epoch)
    figure, _, rows, _ = figure2(grouping(tmp_path / "made"))
    assert figure.axes[1].get_title().startswith("during training, 100 images, seed 0, with")
    assert {row["seed"] for row in rows} == {0}
    for seed in (1, 2):
        maker("dynamic=resnet", right=range(95), seed=seed, by_epoch=(0.1, 0.2, 0.475))
    figure, *_ = figure2(grouping(tmp_path / "made"))
    assert "seed" not in figure.axes[1].get_title()
    named = {"parabolic, seed 0", "Hamiltonian, seed 0", "ResNet, mean of seeds 1, 2"}
    assert named == {label for label in legend(figure) if ", " in label}


def test_networks_on_different_numbers_of_images_are_not_compared_by_epoch(study, maker):
    maker("dynamic=parabolic", "data.fraction=0.2", right=range(150), images=400, by_epoch=(0.1, 0.2, 0.75))
    figure, _, rows, _ = figure2(grouping(study))
    assert {row["images"] for row in rows} == {200}  # the largest that all have
    assert "200 images" in figure.axes[1].get_title()
    maker("dynamic=resnet", "data.fraction=0.4", right=range(150), images=800, by_epoch=(0.1, 0.2, 0.75))
    found = grouping(study)
    figure, _, rows, runs = figure2(found)
    assert {row["images"] for row in rows} == {200}  # the largest that most have
    assert found.without(runs) == "ResNet"
    for dynamic in ("hamiltonian", "second_order"):
        shutil.rmtree(study / dynamic)
    figure, _, rows, _ = figure2(grouping(study))  # no two networks have a number of images in common
    assert {"parabolic, 400 images", "ResNet, 800 images"} <= set(legend(figure))


def test_stars_and_points_at_one_number_of_images_hide_nothing(maker, tmp_path):
    for dynamic in ("parabolic", "hamiltonian", "second_order"):
        maker(f"dynamic={dynamic}", right=range(150), images=5000, base=PAPER)
    axis = figure2(grouping(tmp_path / "made"))[0].axes[0]
    drawn_at = {}
    for line in axis.lines:
        if line.get_marker() in ("o", "s", "D", "*") and len(line.get_xdata()):
            assert list(line.get_xdata()) == [5000]  # moved on the paper, not in the numbers
            drawn_at[line.get_marker(), line.get_color()] = line.get_transform().transform((5000, 0.75))[0]
    places = sorted(drawn_at.values())
    assert len(places) == 6
    assert min(np.diff(places)) > 5
    assert {marker for (marker, _), place in drawn_at.items() if place in places[3:]} == {"*"}


def test_the_band_is_of_several_seeds_only(maker, tmp_path):
    maker("dynamic=parabolic", right=range(90), by_epoch=(0.1, 0.2, 0.45))
    assert not figure2(grouping(tmp_path / "made"))[0].axes[1].collections[:-1]  # the interval's bar
    maker("dynamic=parabolic", "seed=1", right=range(100), by_epoch=(0.1, 0.3, 0.5))
    (band,) = figure2(grouping(tmp_path / "made"))[0].axes[1].collections
    assert band.get_paths()


def test_the_right_side_says_which_statistics_it_draws_and_shows_the_others(maker, tmp_path):
    columns_of = {"test_accuracy_running": (None, 0.3, 0.45), "test_accuracy_batch": (None, 0.4, None)}
    extra = {"test_accuracy_by_statistics": {"running": 0.45, "batch": 0.5, "reestimated": 0.48}}
    maker("dynamic=parabolic", right=range(90), by_epoch=(None, 0.3, 0.45), columns=columns_of, extra=extra)
    figure, _, rows, _ = figure2(grouping(tmp_path / "made"))
    right = figure.axes[1]
    assert "with running statistics" in right.get_title()
    assert {"with batch statistics", "with reestimated statistics"} <= set(legend(figure))
    points = [
        sorted(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in right.lines if line.get_marker() == "x"
    ]
    assert [(2, 0.4), (3, 0.5)] in points
    assert [(row["epoch"], row["statistics"], row["test_accuracy_batch"]) for row in rows] == [
        (2, "running", 0.4),
        (3, "running", None),
    ]


def test_the_published_value_is_a_star_at_runs_that_repeat_it_only(maker, tmp_path):
    maker("dynamic=hamiltonian", base=PAPER, right=range(150), images=5000)
    assert PUBLISHED in legend(figure2(grouping(tmp_path / "made"))[0])
    maker(
        "dynamic=hamiltonian",
        "network=tiny",
        "schedule.epochs=3",
        "name=small",
        base=PAPER[:3],
        right=range(150),
        images=5000,
    )
    assert PUBLISHED not in legend(figure2(grouping(tmp_path / "small"))[0])


def test_accuracies_that_lie_close_together_have_ticks_that_differ(maker, tmp_path):
    for dynamic, right in (("parabolic", 200), ("hamiltonian", 202)):
        for fraction, images in (("0.05", 100), ("0.1", 200)):
            maker(f"dynamic={dynamic}", f"data.fraction={fraction}", right=range(right), images=images, tests=2000)
    figure = figure2(grouping(tmp_path / "made"))[0]
    figure.draw_without_rendering()
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(set(ticks)) == len(ticks) > 2


def test_figure_3_of_a_study_whose_only_finished_runs_are_on_other_images_than_the_papers(maker, tmp_path):
    """As the real study begins: a tenth of the images first, 20 % to 100 % planned."""
    planned = [
        Missing(f"{tenth}", tmp_path, "planned", dynamic="parabolic", fraction=tenth / 10) for tenth in range(2, 11)
    ]
    maker("dynamic=parabolic", "data.fraction=0.1", right=range(90), images=200)
    maker("dynamic=hamiltonian", "data.fraction=0.1", right=range(90), images=200)
    (found,) = collect(tmp_path / "made").values()
    assert len(figure3(Grouping(found.runs, (), planned))[2]) == 2
    maker("dynamic=hamiltonian", right=range(150), images=2000)
    (found,) = collect(tmp_path / "made").values()
    figure, _, runs = figure3(Grouping(found.runs, (), planned))
    assert [run.images for run in runs] == [2000]
    assert len(figure.axes) == 5 + 1  # one row, and the colours: the other dynamic has no run in these columns


def test_figure_3_has_the_papers_columns_one_seed_and_no_run_where_one_is_missing(maker, tmp_path):
    for tenth in (1, 2, 3, 4, 6, 8, 10):
        for seed in (0, 1):
            if (tenth, seed) != (6, 1):
                maker(
                    "dynamic=parabolic",
                    f"data.fraction={tenth / 10}",
                    f"seed={seed}",
                    right=range(90),
                    images=200 * tenth,
                )
    maker("dynamic=hamiltonian", "data.fraction=0.2", "seed=1", right=range(90), images=400)
    found = grouping(tmp_path / "made")
    assert columns(found) == [400, 800, 1200, 1600, 2000]
    figure, rows, runs = figure3(found)
    assert {row["seed"] for row in rows} == {0}
    assert len(runs) == 5
    matrices = figure.axes[:10]
    assert [any(text.get_text() == "no run" for text in axis.texts) for axis in matrices] == [False] * 5 + [True] * 5
    figure.draw_without_rendering()
    widths = {round(axis.get_position().width, 6) for axis in matrices}
    assert len(widths) == 1  # aligned, run or no run


def test_figure_3_of_few_sizes_has_them_all(study):
    assert columns(grouping(study)) == [100, 200]


def test_the_groups_of_one_dynamic_are_distinguished_by_colour_and_line(maker, tmp_path):
    for rate in (0.1, 0.2, 0.3):
        maker("dynamic=parabolic", f"schedule.learning_rate={rate}", "data.fraction=0.1", right=range(90), images=200)
        folder = tmp_path / "made" / "parabolic" / "fraction-0.10"
        (folder / "seed-0").rename(folder / f"rate-{rate}")
    found = grouping(tmp_path / "made", ["schedule.learning_rate"])
    looks = styles(found).values()
    assert len({style.colour for style in looks}) == len({style.dashes for style in looks}) == 3
    left = figure2(found)[0].axes[0]
    lines = {
        line.get_label(): to_hex(line.get_color()) for line in left.lines if "learning_rate" in str(line.get_label())
    }
    assert set(lines) == {f"parabolic, schedule.learning_rate={rate}" for rate in (0.1, 0.2, 0.3)}


def test_dynamics_of_the_paper_always_have_the_same_colour():
    assert colours(["hamiltonian"])["hamiltonian"] == colours(["parabolic", "hamiltonian"])["hamiltonian"]
    assert len(set(colours(["parabolic", "mine", "yours"]).values())) == 3


def test_a_dynamic_without_a_colour_gets_none_that_another_dynamic_has_as_its_own(monkeypatch):
    stated = {"stated": Facts("stated", colour=OTHERS[0])}
    monkeypatch.setattr(figures, "facts_of", lambda name: stated.get(name, Facts(name)))
    assert colours(["mine", "stated"]) == {"mine": OTHERS[1], "stated": OTHERS[0]}


def test_many_classes_have_no_numbers_in_cells_and_five_bars(maker, tmp_path):
    names = [f"class {i}" for i in range(100)]
    maker("dynamic=parabolic", right=range(300), tests=500, names=names)
    found = grouping(tmp_path / "made")
    figure, rows, _ = figure3(found)
    assert not figure.axes[0].texts
    assert len(rows) == 100 * 100
    run = found.cells[0].runs[0]
    figure, rows, _ = figure1(found, load_examples([run], None, 0))
    assert {len(axis.patches) for axis in figure.axes if axis.patches} == {5}
    assert len(rows) == 4 * 100


def test_loss_curves_are_of_the_largest_common_size_and_mean_over_seeds(study, maker):
    figure, rows, runs = loss_curves(grouping(study))
    assert len(runs) == 6
    assert {row["images"] for row in rows} == {200}
    assert drawn(figure.axes[0], "parabolic, n = 2") == [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))]
    assert drawn(figure.axes[1], "parabolic, n = 2") == [(1, 0.2), (2, 0.2), (3, 0.2)]
    assert {"running_train_accuracy", "data_loss", "seed", "fold"} <= set(rows[0])
    for axis in figure.axes:
        lines = [line for line in axis.lines if not line.get_label().startswith("_")]
        assert len({line.get_marker() for line in lines} - {"None"}) == len(lines) == 3
