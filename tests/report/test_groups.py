"""Which runs belong together: cells, folds, groups and their names."""

import shutil

import pytest

from pdenet_repro.cli.report import main
from pdenet_repro.report.comparisons import comparisons
from pdenet_repro.report.groups import Grouping, counted, listed, shared_size
from pdenet_repro.report.results import results
from pdenet_repro.report.runs import collect
from pdenet_repro.system.errors import InvalidConfig


def grouping(folder, by=()):
    (found,) = collect(folder, by).values()
    return Grouping(found.runs, by, found.missing)


def test_a_fraction_folds_and_another_setting_are_three_rows(maker, tmp_path):
    """All of 1,000 images of the same study by default: once this was one row of five runs."""
    maker("dynamic=parabolic", "data.fraction=0.2", right=range(90), images=1000)
    for fold in (0, 1, 2):
        maker("dynamic=parabolic", f"data.fold={fold}", right=range(100 + fold), images=1000)
    maker(
        "dynamic=parabolic", "data.fraction=0.2", "network.norm_eps=0.01", "name=made/eps", right=range(10), images=1000
    )
    (tmp_path / "made" / "eps").rename(tmp_path / "eps")
    for path in (tmp_path / "eps" / "parabolic" / "fraction-0.20").iterdir():
        path.rename(tmp_path / "made" / "parabolic" / "fraction-0.20" / "seed-0-eps")
    found = grouping(tmp_path / "made")
    rows = {cell.name: cell for cell in found.cells}
    assert {name: len(cell.accuracies) for name, cell in rows.items()} == {
        "parabolic, official folds, network.norm_eps=null": 3,
        "parabolic, no folds, network.norm_eps=null": 1,
        "parabolic, no folds, network.norm_eps=0.01": 1,
    }
    assert list(rows["parabolic, official folds, network.norm_eps=null"].repetitions) == [0, 1, 2]
    assert {sentence.split(":")[0] for sentence in found.full_differences()} == {"data.fold", "network.norm_eps"}


def test_how_often_the_test_images_are_evaluated_is_no_difference(maker, tmp_path):
    maker("dynamic=parabolic", "evaluation.every=1", right=range(90), by_epoch=(0.1, 0.2, 0.45))
    first = tmp_path / "made" / "parabolic" / "fraction-1.00"
    (first / "seed-0").rename(first / "every")
    maker("dynamic=parabolic", right=range(90))
    (found,) = collect(tmp_path / "made").values()
    assert [run.folder.name for run in found.runs] == ["seed-0"]  # the one in its place
    assert "no further repetition" in found.copies[0]
    (first / "seed-0").rename(first / "once")
    (found,) = collect(tmp_path / "made").values()
    assert [run.folder.name for run in found.runs] == ["every"]  # the one that recorded more


def test_groups_are_named_by_as_few_settings_as_tell_them_apart(maker, tmp_path):
    for rate in (0.1, 0.2):
        maker("dynamic=parabolic", f"schedule.learning_rate={rate}", f"name=made{rate}", right=range(9))
        maker(
            "dynamic=resnet",
            f"schedule.learning_rate={rate}",
            "optimizer.momentum=0.5",
            f"name=made{rate}",
            right=range(9),
        )
    runs = [run for part in collect(tmp_path).values() for run in part.runs]
    names = [line.name for line in Grouping(runs).lines]
    assert sorted(names) == [
        "ResNet, schedule.learning_rate=0.1, optimizer.momentum=0.5",
        "ResNet, schedule.learning_rate=0.2, optimizer.momentum=0.5",
        "parabolic, schedule.learning_rate=0.1, optimizer.momentum=0.9",
        "parabolic, schedule.learning_rate=0.2, optimizer.momentum=0.9",
    ]
    assert Grouping(runs[:1]).lines[0].name == label_of(runs[0])


def label_of(run):
    return {"parabolic": "parabolic", "resnet": "ResNet"}[run.dynamic]


EQUATIONS = ("parabolic", "hamiltonian", "second_order")
RULE = "recipe authors: once for parabolic, once for Hamiltonian, each_step for second-order"


def names(found):
    return [line.name for line in found.lines]


@pytest.fixture
def authors(maker, tmp_path):
    """The three networks of recipe=authors, which draws the second-order one's initial weights anew for each time step."""
    for dynamic in EQUATIONS:
        maker(f"dynamic={dynamic}", "recipe=authors", right=range(90))
    return tmp_path / "made"


def test_a_rule_of_the_recipe_for_a_dynamic_makes_no_groups(authors):
    found = grouping(authors)
    assert names(found) == ["parabolic", "Hamiltonian", "second-order"]
    assert found.naming == []
    assert {row["about"] for row in comparisons(found)} == {"these two networks"}
    assert found.full_differences() == [f"network.initial_draw: by dynamic ({RULE}) in 3 runs"]
    assert main([str(authors)]) == 0
    page = (authors / "results.md").read_text()
    assert "**The runs differ in these settings, which go with the dynamic**\n\n- network.initial_draw: by" in page
    assert "rows and lines of its own" not in page
    assert "groups differ in" not in page
    assert "network.initial_draw" not in (authors / "results.csv").read_text()


def test_a_setting_that_a_command_changed_makes_groups_though_the_recipe_has_a_rule_for_it(authors, maker):
    maker("dynamic=second_order", "recipe=authors", "network.initial_draw=once", "seed=1", right=range(80))
    found = grouping(authors)
    assert names(found) == [
        "parabolic, network.initial_draw=by dynamic", "Hamiltonian, network.initial_draw=by dynamic",
        "second-order, network.initial_draw=by dynamic", "second-order, network.initial_draw=once",
    ]  # fmt: skip
    assert found.full_differences() == [f"network.initial_draw: by dynamic ({RULE}) in 3 runs, once in 1 run"]
    shutil.rmtree(authors / "parabolic")
    shutil.rmtree(authors / "hamiltonian")
    assert names(grouping(authors)) == [
        "second-order, network.initial_draw=each_step", "second-order, network.initial_draw=once",
    ]  # fmt: skip


def test_the_value_that_a_command_gave_all_dynamics_makes_no_groups(authors, maker):
    shutil.rmtree(authors / "second_order")
    maker("dynamic=second_order", "recipe=authors", "network.initial_draw=once", right=range(80))
    found = grouping(authors)
    assert (found.naming, found.full_differences()) == ([], [])


def test_a_setting_that_a_command_changed_by_dynamic_makes_groups(maker, tmp_path):
    for dynamic, rate in (("parabolic", 0.1), ("hamiltonian", 0.2)):
        maker(f"dynamic={dynamic}", "recipe=authors", f"schedule.learning_rate={rate}", right=range(90))
    assert names(grouping(tmp_path / "made")) == [
        "parabolic, schedule.learning_rate=0.1", "Hamiltonian, schedule.learning_rate=0.2",
    ]  # fmt: skip


def test_a_value_that_is_not_that_of_the_rule_makes_groups(maker, tmp_path):
    """The opposite of the recipe's rule, by command."""
    for dynamic in EQUATIONS:
        draw = "once" if dynamic == "second_order" else "each_step"
        maker(f"dynamic={dynamic}", "recipe=authors", f"network.initial_draw={draw}", right=range(90))
    assert grouping(tmp_path / "made").naming == ["network.initial_draw"]


def test_a_reading_within_a_dynamic_makes_groups(authors, maker):
    maker("dynamic=hamiltonian", "recipe=authors", "schedule.last_batch=drop", "seed=1", right=range(80))
    assert names(grouping(authors)) == [
        "parabolic, schedule.last_batch=keep", "Hamiltonian, schedule.last_batch=keep",
        "Hamiltonian, schedule.last_batch=drop", "second-order, schedule.last_batch=keep",
    ]  # fmt: skip


def test_two_recipes_are_two_groups_and_named_by_the_recipe_alone(authors, maker):
    for dynamic in EQUATIONS:
        maker(f"dynamic={dynamic}", "recipe=paper", "seed=1", right=range(70))
    found = grouping(authors)
    assert found.naming == ["recipe"]
    assert len(found.groups) == 2
    assert f"network.initial_draw: by dynamic ({RULE}) in 3 runs, once in 3 runs" in found.full_differences()


def test_a_setting_chosen_by_its_name_makes_groups_in_any_case(authors):
    assert names(grouping(authors, ("network.initial_draw",))) == [
        "parabolic, network.initial_draw=once", "Hamiltonian, network.initial_draw=once",
        "second-order, network.initial_draw=each_step",
    ]  # fmt: skip


def test_without_its_recipe_a_value_may_be_anything_and_makes_groups(authors):
    (found,) = collect(authors).values()
    for run in found.runs:
        run.config.recipe = "of another version"
    assert Grouping(found.runs).naming == ["network.initial_draw"]


def test_a_user_s_dynamic_is_in_the_group_of_the_others_unless_its_file_has_changed(authors, maker, tmp_path):
    folder = tmp_path / "mine, and 'yours'"
    folder.mkdir()
    typed = "'" + str(folder / "kept.py").replace("'", r"\'") + ":Kept'"
    (folder / "kept.py").write_text("class Kept(Dynamic):\n    number = 0\n")
    first = maker(f"dynamic={typed}", "recipe=authors", right=range(60))
    (folder / "kept.py").write_text("class Kept(Dynamic):\n    number = 1\n")
    found = grouping(authors)
    assert (found.naming, len(found.lines)) == ([], 4)
    assert found.full_differences()[0].endswith("each_step for second-order, once for Kept) in 4 runs")
    first.rename(first.with_name("first"))
    maker(f"dynamic={typed}", "recipe=authors", "seed=1", right=range(60))
    found = grouping(authors)
    assert found.naming == ["dynamic_sha256"]
    assert len([line for line in found.lines if line.dynamic == "Kept"]) == 2


def test_a_chosen_setting_comes_first_and_tells_apart_what_changes_no_result(maker, tmp_path):
    maker("dynamic=parabolic", "name=made/first", right=range(9))
    maker("dynamic=parabolic", "name=made/second", right=range(9))
    (without,) = {len(part.runs) for part in collect(tmp_path / "made").values()}
    assert without == 1
    runs = [run for part in collect(tmp_path / "made", ("name",)).values() for run in part.runs]
    assert [line.name for line in Grouping(runs, ("name",)).lines] == [
        "parabolic, name=made/first", "parabolic, name=made/second",
    ]  # fmt: skip
    with pytest.raises(InvalidConfig, match=r"--by colour: must be a setting"):
        Grouping(runs, ("colour",))
    with pytest.raises(InvalidConfig, match=r"--by seed: must be another setting"):
        Grouping(runs, ("seed",))


def test_nothing_in_a_name_stands_for_no_variation(maker, tmp_path):
    for dynamic in ("parabolic", "hamiltonian"):
        maker(f"dynamic={dynamic}", right=range(9))
    maker("dynamic=parabolic", "variation=steps-1", "network.steps=1", right=range(9))
    maker("dynamic=resnet", "network.widths=[2,4]", right=range(9))
    found = grouping(tmp_path / "made")
    assert names(found) == [
        "parabolic, network.widths=[4,8]", "parabolic, steps-1, network.widths=[4,8]", "Hamiltonian, network.widths=[4,8]",
        "ResNet, network.widths=[2,4]",
    ]  # fmt: skip
    assert found.full_differences()[0] == "variation: none in 3 runs, steps-1 in 1 run"
    assert [row["variation"] for row in results(found)] == ["", "steps-1", "", ""]


def test_seeds_of_a_fold_are_averaged_and_folds_are_the_repetitions(maker, tmp_path):
    for fold, seed, right in ((0, 0, 100), (0, 1, 120), (1, 0, 140)):
        maker("dynamic=parabolic", f"data.fold={fold}", f"seed={seed}", right=range(right))
    (cell,) = grouping(tmp_path / "made").cells
    assert cell.accuracies == pytest.approx([0.55, 0.7])


def test_networks_are_shown_beside_each_other_on_the_images_that_most_have(study, maker, tmp_path):
    """One dynamic has its run on the most images with another setting: each number of images has three of four lines."""
    for seed in (0, 1):
        (study / "hamiltonian" / "fraction-0.10" / f"seed-{seed}").rename(tmp_path / f"seed-{seed}")
    assert shared_size([line.cells for line in grouping(study).lines]) == 100
    maker(
        "dynamic=hamiltonian", "data.fraction=0.1", "optimizer.momentum=0.5", "name=other", right=range(9), images=200
    )
    runs = [run for part in collect(tmp_path).values() for run in part.runs if run.folder.parent != tmp_path]
    found = Grouping(runs)
    assert {line.name: cell.images for line, cell in found.comparable.items()} == {
        "parabolic, optimizer.momentum=0.9": 200,
        "Hamiltonian, optimizer.momentum=0.5": 200,
        "second-order, optimizer.momentum=0.9": 200,
    }
    shown = [run for cell in found.comparable.values() for run in cell.runs]
    assert found.without(shown) == "Hamiltonian, optimizer.momentum=0.9"
    assert found.without(runs) == ""


def test_a_number_of_images_that_two_lines_share():
    assert [shared_size(each) for each in ([], [[1, 2]], [[1], [2]], [[1, 2], [2]], [[1, 2], [1], [3]])] == [
        None, 2, None, 2, 1,
    ]  # fmt: skip


def test_a_seed_and_a_fold_are_no_pair(maker, tmp_path):
    for number in (0, 1):
        maker("dynamic=parabolic", "data.fraction=0.2", f"seed={number}", right=range(90 + number), images=1000)
        maker("dynamic=parabolic", f"data.fold={number}", right=range(100 + number), images=1000)
        maker("dynamic=resnet", f"data.fold={number}", right=range(100 - number), images=1000)
    (row,) = comparisons(grouping(tmp_path / "made"))
    assert (row["about"], row["n"]) == ("the mean of folds", 2)


def test_the_largest_common_size_and_the_commonest_seed(study, maker):
    maker("dynamic=parabolic", "data.fraction=0.2", "seed=1", right=range(50), images=400)
    found = grouping(study)
    assert {cell.images for cell in found.comparable.values()} == {200}
    assert found.common_repetition(found.cells) == 0
    assert found.sizes == [100, 200, 400]


def test_words():
    assert [counted(1, "run"), counted(3, "run"), counted(2, "copy"), counted(1000, "image")] == [
        "1 run", "3 runs", "2 copies", "1,000 images",
    ]  # fmt: skip
    assert listed([0, 1, 2]) == "0, 1, 2"
    assert listed(range(30)) == "0 to 29"
    assert listed([0, 2, 4, 6, 8, 10]) == "0, 2, 4, 6, 8, 10"
