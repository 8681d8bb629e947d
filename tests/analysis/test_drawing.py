"""What the pictures of analyses share: networks are split over panels only where a panel would have too many."""

import pytest

from pdenet_repro.analysis.drawing import panels, styles_of
from pdenet_repro.analysis.refinement.measure import picture

DYNAMICS = ("parabolic", "./mine.py:Mine", "hamiltonian", "./mine.py:Other")
ROWS = [{"network": f"{dynamic}, {i}", "dynamic": dynamic} for i in range(3) for dynamic in DYNAMICS]


def test_few_networks_share_a_panel():
    assert panels(iter(ROWS), most=12) == [styles_of(ROWS)]


def test_many_networks_have_a_panel_for_each_dynamic_and_keep_their_styles():
    found = panels(iter(ROWS), most=11)
    assert [list(panel) for panel in found] == [[f"{dynamic}, {i}" for i in range(3)] for dynamic in DYNAMICS]
    assert {name: how for panel in found for name, how in panel.items()} == styles_of(ROWS)
    assert len({how.colour for panel in found for how in panel.values()}) == 4


@pytest.mark.pictures
def test_a_picture_of_many_networks_draws_each_once_and_names_it_once():
    accuracy = [
        {**row, "statistics": statistics, "steps_for_one": m, "test_accuracy": 0.5, "low_95": 0.4, "high_95": 0.6}
        for row in ROWS for statistics in ("renewed", "as trained") for m in (1, 2)
    ]  # fmt: skip
    parts = [
        {**row, "part": part}
        for row in accuracy if (row["statistics"], row["steps_for_one"]) == ("renewed", 2) for part in ("unit 1", "unit 2")
    ]  # fmt: skip
    figure = picture(accuracy, parts, [], [])
    assert len(figure.axes) == 12
    for axes in (figure.axes[::3], figure.axes[1::3]):
        for axis, dynamic in zip(axes, DYNAMICS, strict=True):
            drawn = {container.get_label() for container in axis.containers}
            assert drawn == {f"{dynamic}, {i}" for i in range(3)}
            assert axis.get_ylim()[0] == 0
    marks = figure.axes[1].containers[0].lines[0].get_xdata()
    assert [round(x) for x in marks] == [0, 1, 2, 3]
    assert [label.get_text() for label in figure.axes[-2].get_xticklabels()] == ["nothing", "unit\n1", "unit\n2", "all"]
    assert len(picture(accuracy, [], [], []).axes) == 8
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert sorted(names) == sorted(
        [*{row["network"] for row in ROWS}, "batch statistics renewed", "batch statistics as trained"]
    )
