"""The published value stands beside runs that repeat the published experiment, and beside no others."""

import pytest
from made import PAPER

from pdenet_repro.report.groups import Grouping
from pdenet_repro.report.published import departures, published_accuracy, readings
from pdenet_repro.report.results import no_published_value, results
from pdenet_repro.report.runs import collect
from pdenet_repro.runs.folder import RunFolder, load_config, load_summary
from pdenet_repro.system.files import sha256


@pytest.fixture
def only(maker, tmp_path):
    """The one run of some words, and its row."""

    def make(*words, base=PAPER, **values):
        maker(*words, base=base, right=range(150), images=5000, **values)
        (found,) = collect(tmp_path / "made").values()
        grouping = Grouping(found.runs)
        (row,) = results(grouping)
        return found.runs[0], row, no_published_value(grouping)

    return make


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("dynamic=hamiltonian",), 0.7478),
        (("dynamic=parabolic", "seed=7", "evaluation.every=10", "deterministic=true"), 0.7485),
        (("dynamic=second_order", "recipe=jmiv"), 0.743),
        (("dynamic=second_order", "recipe=authors"), 0.7508),
    ],
)
def test_a_run_of_the_recipe_has_it(only, words, value):
    base = tuple(word for word in PAPER if not (word.startswith("recipe") and any("recipe" in w for w in words)))
    run, row, why_not = only(*words, base=base)
    assert published_accuracy(run) == row["published_accuracy"] == pytest.approx(value)
    assert (row["verdict"], why_not) == ("undecided", [])
    assert "one seed" in row["notes"]


def test_readings_do_not_take_it_away_and_are_named(only):
    run, row, _ = only("dynamic=hamiltonian", "schedule.last_batch=drop")
    assert published_accuracy(run) == pytest.approx(0.7478)
    assert readings(run) == ["schedule.last_batch=drop (recipe: keep)"]
    assert "schedule.last_batch=drop (recipe: keep)" in row["notes"]


def test_a_run_from_before_the_key_counts_as_dropped(maker, tmp_path):
    folder = maker("dynamic=hamiltonian", base=PAPER, right=range(150), images=5000)
    lines = (folder / "config.yaml").read_text().splitlines()
    kept = [line for line in lines if "last_batch" not in line and "statistics" not in line]
    (folder / "config.yaml").write_text("\n".join(kept) + "\n")
    summary = load_summary(folder)
    summary["files_sha256"]["config.yaml"] = sha256(folder / "config.yaml")
    del summary["summary_sha256"]
    RunFolder(load_config(folder)).finish(summary)
    (found,) = collect(tmp_path / "made").values()
    assert published_accuracy(found.runs[0]) == pytest.approx(0.7478)
    assert readings(found.runs[0]) == ["schedule.last_batch=drop (recipe: keep)"]


def test_a_small_network_of_three_epochs_has_none_and_the_page_says_why(only):
    words = ("dynamic=hamiltonian", "network=tiny", "schedule.epochs=3", "data.validation=0.2")
    run, row, why_not = only(*words)
    assert published_accuracy(run) is None
    assert (row["published_accuracy"], row["p_one_more_draw"], row["verdict"]) == (None, None, "")
    (sentence,) = why_not
    for part in ("network.widths=", "schedule.epochs=3 (recipe: 120)", "data.validation=0.2 (recipe: 0)"):
        assert part in sentence


def test_a_fraction_a_fold_and_other_images_have_none(only, maker, tmp_path):
    run, _, why_not = only("dynamic=hamiltonian", "data.fraction=0.1")
    assert published_accuracy(run) is None
    assert why_not == []  # the text has these points in a figure only: nothing to explain
    maker("dynamic=resnet", right=range(3))
    assert departures(collect(tmp_path / "made" / "hamiltonian").popitem()[1].runs[0]) == [
        "data.fraction=0.1 (recipe: 1)"
    ]


def test_an_unknown_recipe_has_none(only, monkeypatch):
    from pdenet_repro.report import published as module

    run, *_ = only("dynamic=hamiltonian")
    run.config.recipe = "mine"
    assert published_accuracy(run) is None
    assert module.departures(run) == ["recipe=mine (not a recipe of this version)"]


def test_a_user_s_dynamic_has_the_value_that_its_file_states(only, tmp_path):
    file = tmp_path / "kept.py"
    file.write_text('class Kept(Dynamic):\n    facts = Facts("kept", published={"paper": 70.0})\n')
    run, row, why_not = only(f"dynamic={file}:Kept")
    assert departures(run) == why_not == []
    assert row["published_accuracy"] == pytest.approx(0.7)
