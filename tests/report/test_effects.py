"""The effects of a study's variations: each against the run without it, on the same test images."""

import json
from functools import partial

import numpy as np
import pytest
from made import read_csv
from scipy import stats

from pdenet_repro.cli.report import main
from pdenet_repro.report.effects import MEAN, NOT_RUN, SEED, STATISTICS, VARIATION, effects, effects_figure
from pdenet_repro.report.plan import Missing
from pdenet_repro.report.runs import collect
from pdenet_repro.report.statistics import paired_interval, t_interval, unpaired_interval

BASE = ("dynamic=hamiltonian", "data.fraction=0.05")
NONE = (*BASE, "variation=smoothness-none", "objective.smoothness=none")


@pytest.fixture
def readings(maker, tmp_path):
    """Two seeds of the base, one variation with two seeds, one with one, and one without its base."""
    statistics = {"test_accuracy_by_statistics": {"running": 0.5, "batch": 0.65, "reestimated": 0.55}}
    maker(*BASE, right=range(100), extra=statistics)
    maker(*BASE, "seed=1", right=range(110))
    maker(*NONE, right=range(10, 130))
    maker(*NONE, "seed=1", right=range(114))
    maker(*BASE, "variation=box-none", "optimizer.bound=null", right=range(50, 150))
    maker("dynamic=second_order", "variation=start-zero", "network.leapfrog_start=zero", right=range(9))
    return tmp_path / "made"


def rows_of(folder):
    (found,) = collect(folder, weights=False).values()
    return effects(found.runs)


def only(rows, **wanted):
    (row,) = (row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return row


def test_an_effect_is_the_difference_on_the_same_images(readings):
    rows = rows_of(readings)
    row = only(rows, variation="smoothness-none", seed=0)
    assert (row["base_accuracy"], row["accuracy"]) == (0.5, 0.6)
    assert row["difference"] == pytest.approx(0.1)
    assert (row["only_base_right"], row["only_variation_right"]) == (10, 30)
    assert (row["difference_95_low"], row["difference_95_high"]) == paired_interval(10, 30, 200)
    assert row["p"] == pytest.approx(stats.binomtest(10, 40).pvalue)
    assert row["changed"] == "objective.smoothness=none (tv)"
    assert only(rows, variation="box-none")["changed"] == "optimizer.bound=null (1)"
    assert {row["about"] for row in rows if row["kind"] == VARIATION and row["n"] == 1} == {"these two networks"}


def test_several_seeds_have_the_interval_of_their_mean(readings):
    row = only(rows_of(readings), about=MEAN)
    assert (row["variation"], row["n"], row["seed"]) == ("smoothness-none", 2, None)
    assert row["difference"] == pytest.approx((0.1 + 0.02) / 2)
    assert (row["difference_95_low"], row["difference_95_high"]) == pytest.approx(t_interval([0.1, 0.02]))


def drawn(folder):
    """The marks and the intervals of the picture, by label of their rows."""
    figure = effects_figure(rows_of(folder))
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    lines = [line for line in axis.lines if len(line.get_xdata()) and len(set(line.get_ydata())) == 1]
    marks = {labels[line.get_ydata()[0]]: line for line in lines if line.get_marker() != "None"}
    intervals = {labels[line.get_ydata()[0]]: list(line.get_xdata()) for line in lines if line.get_marker() == "None"}
    assert list(marks) == labels
    return marks, intervals, [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_picture_names_the_seeds_of_a_variation_that_has_several(readings):
    marks, _, legend = drawn(readings)
    names = ["box-none", *(f"smoothness-none, {each}" for each in ("seed 0", "seed 1", "mean of 2 seeds"))]
    assert list(marks) == [*names, "statistics-batch", "statistics-reestimated", "seed 1"]
    filled = [name for name, line in marks.items() if line.get_markerfacecolor() != "white"]
    assert filled == ["smoothness-none, mean of 2 seeds"]  # as in the picture of accuracies
    assert "interval not paired, wider than necessary" in " ".join(legend)


def test_the_picture_shows_intervals_of_means_of_three_seeds_or_more(readings, maker):
    marks, intervals, legend = drawn(readings)
    assert set(marks) - set(intervals) == {"smoothness-none, mean of 2 seeds"}
    assert "mean over seeds; Student's 95 % interval from 3 seeds on" in legend
    maker(*BASE, "seed=2", right=range(105))
    maker(*NONE, "seed=2", right=range(117))
    _, intervals, _ = drawn(readings)
    interval = t_interval([0.1, 0.02, 0.06])
    assert intervals["smoothness-none, mean of 3 seeds"] == pytest.approx([100 * each for each in interval])


def test_other_statistics_and_another_seed_are_rows_too(readings):
    rows = rows_of(readings)
    row = only(rows, kind=STATISTICS, variation="statistics-batch")
    assert row["changed"] == "evaluation.statistics=batch (running)"
    assert row["difference"] == pytest.approx(0.15)
    assert (row["difference_95_low"], row["difference_95_high"]) == unpaired_interval(0.5, 0.65, 200)
    assert row["p"] is None
    assert "statistics-running" not in {row["variation"] for row in rows}
    assert only(rows, kind=SEED)["difference"] == pytest.approx(0.05)


def test_dynamics_have_the_order_of_the_other_tables(readings, maker):
    for variation in ((), ("variation=box-none", "optimizer.bound=null")):
        maker("dynamic=parabolic", *variation, right=range(9))
    dynamics = [row["dynamic"] for row in rows_of(readings)]
    assert list(dict.fromkeys(dynamics)) == ["parabolic", "hamiltonian"]


def test_a_variation_without_its_base_has_no_row(readings):
    assert "start-zero" not in {row["variation"] for row in rows_of(readings)}


def test_a_study_without_variations_has_no_effects(study):
    assert rows_of(study) == []


def test_a_planned_variation_has_a_row_only_if_its_base_run_is_there_or_planned(readings):
    gap = partial(Missing, "", readings, "planned", fraction=0.05, variation="box-none")
    (found,) = collect(readings, weights=False).values()

    def not_run(*missing):
        return [(row["dynamic"], row["images"]) for row in effects(found.runs, missing) if row["about"] == NOT_RUN]

    assert not_run(gap(dynamic="hamiltonian")) == [("hamiltonian", 100)]
    assert not_run(gap(dynamic="hamiltonian", fraction=0.1), gap(dynamic="parabolic")) == []
    assert not_run(gap(dynamic="parabolic"), gap(dynamic="parabolic", variation="")) == [("parabolic", 100)]


@pytest.mark.pictures
def test_a_study_of_variations_alone_has_the_strip_plot(maker, tmp_path):
    for number in range(4):
        maker(*BASE, f"variation=momentum-{number}", f"optimizer.momentum=0.{number}", right=range(9))
    assert main([str(tmp_path / "made")]) == 0
    pictures = {path.name for path in (tmp_path / "made").glob("*.png")}
    assert pictures == {"accuracies.png"}


@pytest.mark.pictures
def test_the_report_of_such_a_study_has_table_picture_page_and_gaps(readings, tmp_path, capsys):
    settings = {"dynamic": "hamiltonian", "data.fraction": 0.05, "seed": 0, "network.initial_draw": "each_step"}
    settings |= {"variation": "draw-each_step"}
    place = "hamiltonian/fraction-0.05-draw-each_step/seed-0"
    gone = {"folder": place, "name": "hamiltonian, draw-each_step", "configuration": settings}
    (readings / "plan.json").write_text(json.dumps({"command": "-m study=readings", "runs": [gone]}))
    target = tmp_path / "public"
    target.mkdir()
    (target / "figure2_left.csv").write_text("of an earlier report\n")
    assert main([str(readings), "--publish", str(target)]) == 0
    assert not (target / "figure2_left.csv").exists()
    words = (target / "results.md").read_text()
    assert "## Effects" in words
    assert "hamiltonian, draw-each_step: planned, and not begun" in words
    assert "| smoothness-none | objective.smoothness=none (tv) | Hamiltonian |" in words
    rows = read_csv(target / "effects.csv")
    assert float(only(rows, variation="box-none")["difference"]) == 0.0
    gap = only(rows, variation="draw-each_step")
    assert (gap["about"], gap["dynamic"], gap["images"], gap["difference"]) == ("not run yet", "hamiltonian", "100", "")
    assert (target / "effects.png").read_bytes().startswith(b"\x89PNG")
    assert not (target / "figure2.png").exists()
    assert (target / "accuracies.pdf").read_bytes().startswith(b"%PDF")
    assert "- accuracies.png, accuracies.pdf: Accuracies" in words
    assert [row["variation"] for row in read_csv(target / "accuracies.csv")][-1] == "start-zero"
    assert "accuracies.csv" in (target / "datapackage.json").read_text()
    first = (target / "effects.csv").read_text()
    assert main([str(readings)]) == 0
    assert 'id="effects"' in (readings / "report.html").read_text()
    assert (readings / "effects.csv").read_text() == first
    assert ">Accuracies</a>" in (readings / "report.html").read_text()


def test_the_paired_interval_is_that_of_resampled_images():
    """Against the bootstrap of another library."""
    pairs = np.repeat([1, -1, 0], [420, 300, 7280])  # right only in the second, only in the first, in both or neither
    resampled = stats.bootstrap((pairs,), np.mean, n_resamples=4000, method="percentile", random_state=1, batch=500)
    assert paired_interval(300, 420, 8000) == pytest.approx(tuple(resampled.confidence_interval), abs=5e-4)


def test_the_intervals_hold_in_19_of_20_samples():
    random = np.random.default_rng(0)
    shares, draws = (0.06, 0.03, 0.91), 2000  # only the first right, only the second right, neither
    counts = random.multinomial(200, shares, size=draws)
    found = [paired_interval(first, second, 200) for first, second, _ in counts]
    assert np.mean([low <= -0.03 <= high for low, high in found]) == pytest.approx(0.95, abs=0.015)
    one, other = (random.binomial(200, share, draws) / 200 for share in (0.5, 0.6))
    found = [unpaired_interval(a, b, 200) for a, b in zip(one, other, strict=True)]
    assert np.mean([low <= 0.1 <= high for low, high in found]) == pytest.approx(0.95, abs=0.015)


def test_no_difference_at_all_has_an_interval_that_is_not_empty():
    low, high = paired_interval(0, 0, 1000)
    assert low < 0 < high
