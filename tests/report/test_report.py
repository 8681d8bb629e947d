"""The report of hand-made runs: its numbers, its files, its gaps."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made import read_csv

from pdenet_repro.cli.report import main
from pdenet_repro.data import source
from pdenet_repro.data.examples import figure1_indices, saved_indices
from pdenet_repro.data.stl10 import LABELLED
from pdenet_repro.report import write
from pdenet_repro.report.runs import collect
from pdenet_repro.runs.folder import RunFolder, load_config, load_summary
from pdenet_repro.system.errors import DataError, RunFolderError


@pytest.mark.pictures
def test_a_report_is_complete_and_its_numbers_are_those_of_the_runs(study, capsys):
    assert main([str(study)]) == 0
    for name in ("figure1", "figure2", "figure3", "loss_curves"):
        assert (study / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (study / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    left = read_csv(study / "figure2_left.csv")
    assert len(left) == 9
    expected = {"parabolic": (0.6, 0.65), "hamiltonian": (0.55, 0.6), "second_order": (0.65, 0.7)}
    for dynamic, values in expected.items():
        found = [float(row["test_accuracy"]) for row in left if (row["dynamic"], row["images"]) == (dynamic, "200")]
        assert found == pytest.approx(values)
    right = read_csv(study / "figure2_right.csv")
    assert len(right) == 3 * 2 * 3  # dynamics, seeds, epochs: of the largest size only
    assert {row["images"] for row in right} == {"200"}
    third = read_csv(study / "figure3.csv")
    assert len(third) == 3 * 2 * 100
    cell = [row for row in third if (row["dynamic"], row["images"]) == ("parabolic", "200")]
    assert sum(int(row["count"]) for row in cell) == 200
    assert sum(int(row["count"]) for row in cell if row["true_class"] == row["predicted_class"]) == 120
    out = capsys.readouterr().out
    assert "report.html" in out
    row = next(line.split() for line in out.splitlines() if line.split()[:2] == ["Hamiltonian", "200"])
    assert row[:5] == ["Hamiltonian", "200", "57.5", "2", "3.5"]
    assert "9 runs (seeds 0, 1); epochs: 3" in out


def test_figure_1_shows_the_drawn_images_with_their_probabilities(study):
    assert main([str(study), "--image-seed", "2"]) == 0
    rows = read_csv(study / "figure1.csv")
    assert [int(row["test_image"]) for row in rows[::30]] == figure1_indices(2, 200).tolist()
    assert len(rows) == 4 * 3 * 10
    for start in range(0, len(rows), 10):
        assert sum(float(row["probability"]) for row in rows[start : start + 10]) == pytest.approx(1, abs=1e-6)


def test_chosen_images_come_from_the_folders_or_from_the_data(study, monkeypatch, capsys):
    there = saved_indices(200)[:2].tolist()
    monkeypatch.setattr(source, "load", lambda *_: pytest.fail("the data set is not needed"))
    assert main([str(study), "--images", ",".join(map(str, there))]) == 0
    assert sorted({int(row["test_image"]) for row in read_csv(study / "figure1.csv")}) == there

    monkeypatch.undo()
    other = next(i for i in range(200) if i not in saved_indices(200))
    read = []

    class Dataset:
        checksums = dict.fromkeys(LABELLED, "1" * 32)

        class test:  # noqa: N801
            pixels = np.zeros((200, 3, 96, 96), np.uint8)

    monkeypatch.setattr(source, "load", lambda data, say: read.append(data.name) or Dataset)
    assert main([str(study), "--images", str(other)]) == 0
    assert read == ["shapes"]
    Dataset.checksums = {**Dataset.checksums, "test_X.bin": "2" * 32}
    assert main([str(study), "--images", str(other), "--data-root", "there"]) == 2
    err = capsys.readouterr().err
    assert "the data set in there is not the one of the runs: MD5 of test_X.bin 2222" in err
    assert "--data-root" in err
    assert main([str(study), "--images", "200"]) == 2
    assert "--images 200: must be between 0 and 199" in capsys.readouterr().err


def test_table_comparisons_and_classes(study):
    assert main([str(study)]) == 0
    results = {(row["dynamic"], row["images"]): row for row in read_csv(study / "results.csv")}
    several, one = results["parabolic", "200"], results["parabolic", "100"]
    assert (several["n"], several["seeds"]) == ("2", "0 1")
    assert several["interval_of_this_network_low"] == one["interval_over_seeds_low"] == ""
    spread = abs(0.65 - 0.6) / 2**0.5
    reach = 12.7062 * spread / 2**0.5  # of Student's t with one degree of freedom
    assert float(several["interval_over_seeds_low"]) == pytest.approx(0.625 - reach, abs=1e-5)
    assert float(one["interval_of_this_network_low"]) < 0.2 < float(one["interval_of_this_network_high"])
    assert several["published_accuracy"] == ""  # not STL-10
    assert float(several["images_per_second_median"]) == 25  # of 100/9, 50, 25 images a second in the three epochs
    assert float(several["first_epoch_extra_seconds"]) == 5
    assert (several["train_accuracy"], several["running_train_accuracy"]) == ("0.75", "0.5")
    pairs = {(row["first"], row["second"], row["images"]): row for row in read_csv(study / "comparisons.csv")}
    assert len(pairs) == 6  # three pairs, two numbers of images
    pair = pairs["parabolic", "Hamiltonian", "200"]  # 120, 130 and 110, 120 right: one difference, no spread
    assert (float(pair["difference"]), pair["about"], pair["p"]) == (pytest.approx(0.05), "the mean of seeds", "")
    assert float(pair["same_prediction"]) == pytest.approx(0.95)
    assert float(pair["same_prediction_seeds_of_first"]) == pytest.approx(0.95)
    alone = pairs["parabolic", "Hamiltonian", "100"]
    assert (alone["about"], alone["test"], float(alone["p"])) == ("these two networks", "McNemar", 1.0)
    classes = {(row["dynamic"], row["class"]): row for row in read_csv(study / "per_class.csv")}
    assert float(classes["hamiltonian", "circle"]["accuracy"]) == pytest.approx(0.575)


def test_damaged_missing_and_unfinished_runs_are_named_and_left_out(study, maker, capsys):
    maker("dynamic=resnet", right=[], finished=False)
    runs = study / "parabolic" / "fraction-0.10"
    (runs / "seed-0" / "predictions.npz").write_bytes(b"cut")
    (runs / "seed-1" / "metrics.csv").write_bytes(b"\xff\xfe")
    (study / "hamiltonian" / "fraction-0.05" / "seed-0" / "summary.json").write_text("{")
    (study / "second_order" / "fraction-0.05" / "seed-0" / "config.yaml").write_text("dynamic: [")
    assert main([str(study)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 5
    for part in (
        "predictions.npz is damaged",
        "metrics.csv is damaged",
        "summary.json is damaged",
        "config.yaml is damaged",
    ):
        assert part in err
    assert "resnet/fraction-1.00/seed-0: not finished: 1 of 3 epochs are done" in err
    page = (study / "report.html").read_text()
    assert "Missing: 5 runs" in page
    left = read_csv(study / "figure2_left.csv")
    assert len(left) == 9 - 4


def test_copied_folders_give_the_same_report(study, tmp_path):
    assert main([str(study)]) == 0
    shutil.copytree(study, tmp_path / "elsewhere" / "made")
    for path in (study, tmp_path / "elsewhere" / "made"):
        for name in ("figure2_left.csv", "results.csv"):
            (path / name).rename(path / f"before-{name}")
    (tmp_path / "made").rename(tmp_path / "gone")
    copy = tmp_path / "elsewhere" / "made"
    assert main([str(copy)]) == 0
    for name in ("figure2_left.csv", "results.csv"):
        assert (copy / name).read_bytes() == (copy / f"before-{name}").read_bytes()


def test_several_studies_below_a_folder_get_a_report_each(study, maker, tmp_path, capsys):
    maker("dynamic=resnet", "name=second", right=range(10))
    assert set(collect(tmp_path)) == {study, tmp_path / "second"}
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "second" / "report.html").is_file()
    assert (study / "report.html").is_file()
    assert main([str(study), "--output", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "figure3.csv").is_file()


def test_several_folders_make_one_report_with_a_row_for_each_setting(study, maker, tmp_path, capsys):
    maker(
        "dynamic=parabolic", "data.fraction=0.1", "optimizer.momentum=0.5", "name=second", right=range(80), images=200
    )
    folders = [str(study), str(tmp_path / "second")]
    assert main(folders) == 2
    assert "--output FOLDER must be given" in capsys.readouterr().err
    one = tmp_path / "one"
    assert main([*folders, "--output", str(one), "--by", "optimizer.momentum"]) == 0
    rows = [row for row in read_csv(one / "results.csv") if (row["dynamic"], row["images"]) == ("parabolic", "200")]
    assert [(row["optimizer.momentum"], row["n"]) for row in rows] == [("0.9", "2"), ("0.5", "1")]
    for name in ("results.md", "report.html"):
        assert "optimizer.momentum: 0.9 in 9 runs, 0.5 in 1 run" in (one / name).read_text()
    compared = [row for row in read_csv(one / "comparisons.csv") if "0.5" in row["second"]]
    assert [(row["first"], row["second"]) for row in compared] == [
        ("parabolic, optimizer.momentum=0.9", "parabolic, optimizer.momentum=0.5")
    ]
    assert main([*folders, "--output", str(one), "--by", "colour"]) == 2
    assert "--by colour: must be a setting" in capsys.readouterr().err


def test_runs_with_other_settings_have_rows_of_their_own_everywhere(study, maker, capsys):
    maker("dynamic=parabolic", "data.fraction=0.1", "seed=7", "optimizer.momentum=0.5", right=range(90), images=200)
    assert main([str(study)]) == 0
    rows = [row for row in read_csv(study / "results.csv") if (row["dynamic"], row["images"]) == ("parabolic", "200")]
    assert [(row["optimizer.momentum"], row["n"]) for row in rows] == [("0.9", "2"), ("0.5", "1")]
    sentence = "optimizer.momentum: 0.9 in 9 runs, 0.5 in 1 run"
    assert sentence in (study / "report.html").read_text()
    assert sentence in (study / "results.md").read_text()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("parabolic  ", "dynamic"))]
    assert "optimizer.momentum" in lines[0]
    assert [line.split()[1] for line in lines[1:]] == ["0.9", "0.9", "0.5"]
    assert {row["optimizer.momentum"] for row in read_csv(study / "figure2_left.csv")} == {"0.9", "0.5"}


def other_set(maker, kind, name="made"):
    words = ("dynamic=resnet", "data.fraction=0.1", f"name={name}")
    if kind == "data set":
        return maker(*words, "data.name=stl10", right=range(9), tests=400)
    return maker(*words, right=range(9), **{"test images": {"tests": 100}, "checksums": {"drawn": "2"}}[kind])


@pytest.mark.parametrize("kind", ["data set", "test images", "checksums"])
def test_runs_on_other_images_are_refused_by_name_and_other_studies_are_reported(study, maker, tmp_path, capsys, kind):
    there = other_set(maker, kind)
    maker("dynamic=resnet", "name=second", right=range(10))
    first = study / "parabolic" / "fraction-0.05" / "seed-0"
    sets = f"shapes, such as {first}, and on stl10, such as {there}"
    if kind != "data set":
        sets = f"different images of shapes, such as {first} and {there}"
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"{study} holds runs on {sets}, which no figure can show together; leave those of one data set there and move the "
        "others into another folder\n"
    )
    assert not (study / "report.html").exists()
    assert (tmp_path / "second" / "report.html").is_file()
    assert main([str(there)]) == 0  # alone, it can be shown


def test_a_page_is_not_made_anew_from_runs_on_other_images(study, maker):
    assert main([str(study)]) == 0
    before = (study / "report.html").read_bytes()
    other_set(maker, "data set")
    with pytest.raises(
        RunFolderError, match=r"report\.html is not updated: .* holds runs on shapes, .* and on stl10, "
    ):
        write.refresh_page(study)
    assert (study / "report.html").read_bytes() == before


@pytest.mark.parametrize("copy", ["seed-0 (copy)", "a copy of seed-0"])
def test_a_copy_of_a_run_is_no_repetition(study, capsys, copy):
    cell = study / "parabolic" / "fraction-0.05"
    shutil.copytree(cell / "seed-0", cell / copy)
    assert main([str(study)]) == 0
    sentence = f"{cell / copy} has the configuration of {cell / 'seed-0'}, seed included: it is no further repetition"
    assert capsys.readouterr().err == f"left out: {sentence}\n"
    results = {(row["dynamic"], row["images"]): row for row in read_csv(study / "results.csv")}
    assert (results["parabolic", "100"]["n"], results["parabolic", "100"]["standard_deviation"]) == ("1", "")
    assert sentence in (study / "report.html").read_text()
    (cell / "seed-0" / "predictions.npz").write_bytes(b"cut")  # then the copy is what is left
    assert [run.folder for run in collect(study)[study].runs if (run.dynamic, run.images) == ("parabolic", 100)] == [
        cell / copy
    ]


def test_one_run_alone_and_runs_without_examples(maker, tmp_path, capsys, monkeypatch):
    folder = maker("dynamic=resnet", right=range(10), examples=False)

    def missing(*_):
        raise DataError("the images are gone")

    monkeypatch.setattr(source, "load", missing)
    assert main([str(folder)]) == 0  # all but Figure 1
    assert "Figure 1 is left out" in capsys.readouterr().err
    assert (folder / "report.html").is_file()
    assert not (folder / "figure1.csv").exists()
    assert main([str(folder), "--images", "3"]) == 2  # an image that is chosen by its number must be there
    assert "the images are gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["."], "holds no runs"),
        ([".", "--images", "x"], "must be whole numbers"),
        ([".", "--images", ",".join("1234567890123")], "must be 1 to 12 images"),
    ],
)
def test_refusals_are_one_sentence(tmp_path, monkeypatch, capsys, words, part):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as leaving:  # argparse
        code = leaving.code
    assert code == 2
    assert part in capsys.readouterr().err


def test_only_unfinished_runs(maker, capsys):
    folder = maker("dynamic=resnet", right=[], finished=False)
    assert main([str(folder)]) == 2
    assert "must hold a finished run; 1 run there gave no result" in capsys.readouterr().err


def test_names_are_escaped_in_the_page(study):
    path = study / "parabolic" / "fraction-0.05" / "seed-0"
    command = "python -m pdenet_repro '<script>alert(1)</script>'"
    RunFolder(load_config(path)).finish({**load_summary(path), "command": command})
    assert main([str(study)]) == 0
    page = (study / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def change_summary(path, **entries):
    RunFolder(load_config(path)).finish({**load_summary(path), **entries})


def test_a_summary_of_another_version_is_named_and_the_rest_reported(study, maker, capsys):
    maker("dynamic=resnet", right=range(9), lacking=("test_images", "weights"))
    maker("dynamic=resnet", "seed=1", right=range(9), images=100, lacking=("weights", "hardware", "versions", "class_names",
          "train_accuracy", "training_seconds", "peak_memory_mib", "subset_sha256", "command", "finished"))  # fmt: skip
    assert main([str(study)]) == 2
    err = capsys.readouterr().err
    assert "resnet/fraction-1.00/seed-0/summary.json is of another version: it has no test_images" in err
    assert err.count("\n") == 1
    assert [row["n"] for row in read_csv(study / "results.csv") if row["dynamic"] == "resnet"] == ["1"]


def test_linked_runs_are_found_and_a_loop_ends(study, maker, tmp_path):
    there = maker("dynamic=resnet", "name=elsewhere", right=range(9))
    (study / "resnet" / "fraction-1.00").mkdir(parents=True)
    (study / "resnet" / "fraction-1.00" / "seed-0").symlink_to(there)
    (study / "again").symlink_to(study)
    assert main([str(study)]) == 0
    assert [row["n"] for row in read_csv(study / "results.csv") if row["dynamic"] == "resnet"] == ["1"]


def test_a_private_run_is_named(study, monkeypatch, capsys):
    private = study / "parabolic" / "fraction-0.05" / "seed-0"
    scan = os.scandir

    def scandir(path):  # as for another user; root may read everything
        if str(path) == str(private):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert main([str(study)]) == 2
    assert f"damaged: {private} cannot be read (Permission denied)" in capsys.readouterr().err
    assert f"{private} cannot be read" in (study / "results.md").read_text()


def test_every_table_and_file_says_what_it_is_of(study):
    assert main([str(study)]) == 0
    caption = "The built-in shapes, not STL-10; recipe paper; 9 runs (seeds 0, 1); epochs: 3; float32; 200 test images"
    text, page = (study / "results.md").read_text(), (study / "report.html").read_text()
    assert text.count(caption) > 4
    assert caption in page
    for part in ("commit", "configurations", "test_X.bin MD5 " + "1" * 32, "epoch reported: 3", "precision: float32"):
        assert part in text
    for row in read_csv(study / "runs.csv"):
        summary = load_summary(Path(row["folder"]))
        assert row["result"] == summary["summary_sha256"][:10]
        assert row["result"] in text
        assert row["result"] in page
        assert row["fold"] == ""
    listed = {
        name for line in text.split("## Files")[1].splitlines() for name in line[2:].split(": ")[0].split(", ") if name
    }
    tables = {path.name: path for path in study.glob("*.csv")}
    assert set(tables) <= listed
    described = {each["path"]: each for each in json.loads((study / "datapackage.json").read_text())["resources"]}
    assert set(described) == set(tables)
    for name, path in tables.items():
        rows, fields = read_csv(path), described[name]["schema"]["fields"]
        assert [field["name"] for field in fields] == list(rows[0])
        for field in fields:
            values = [row[field["name"]] for row in rows if row[field["name"]]]
            if field["type"] in ("integer", "number"):
                assert all(float(value) == {"integer": int, "number": float}[field["type"]](value) for value in values)
        assert "The built-in shapes, not STL-10; recipe paper; " in described[name]["description"]
        assert any("commits of the runs" in source["title"] for source in described[name]["sources"])


def test_a_run_whose_column_had_another_name_is_reported_alike(study):
    """Versions before called the running mean ``train_accuracy`` too."""
    assert main([str(study)]) == 0
    names = ("results.csv", "loss_curves.csv")
    before = [(study / name).read_text() for name in names]
    for path in study.rglob("metrics.csv"):
        older = path.read_text().replace("running_train_accuracy", "train_accuracy")
        path.write_text(older)
        sums = load_summary(path.parent)["files_sha256"]
        change_summary(path.parent, files_sha256={**sums, "metrics.csv": hashlib.sha256(older.encode()).hexdigest()})
    assert main([str(study)]) == 0
    assert [(study / name).read_text() for name in names] == before
    assert "running_train_accuracy" in before[1]


def test_attempts_of_a_resumed_run_are_shown(study):
    path = study / "parabolic" / "fraction-0.05" / "seed-0"
    attempts = [
        {"from": "epoch 1", "to": "epoch 2", "commit": "aaa"},
        {"from": "epoch 2", "to": "epoch 3", "commit": "bbb"},
    ]
    change_summary(path, attempts=attempts)
    assert main([str(study)]) == 0
    page = (study / "report.html").read_text()
    assert "from epoch 1, to epoch 2, commit aaa; from epoch 2, to epoch 3, commit bbb" in page
    change_summary(path, attempts=attempts[:1])
    assert main([str(study)]) == 0
    assert "commit aaa" not in (study / "report.html").read_text()


def test_numbers_of_a_table_are_numbers(study):
    assert main([str(study)]) == 0
    words = {"dynamic", "seeds", "folds", "verdict", "notes"}
    for row in read_csv(study / "results.csv"):
        for name, value in row.items():
            assert name in words or value == "" or float(value) is not None


@pytest.mark.pictures
def test_the_page_for_a_new_analysis_is_of_the_runs_that_are_there(study, maker):
    """Once the new tables stood over old figures, and figures that no longer belonged returned."""
    assert main([str(study), "--image-seed", "2", "--by", "recipe"]) == 0
    figure = (study / "figure2.png").read_bytes()
    assert write.refresh_page(study)
    assert (study / "figure2.png").read_bytes() == figure
    maker("dynamic=resnet", "data.fraction=0.1", right=range(9), images=200)
    assert write.refresh_page(study)
    assert (study / "figure2.png").read_bytes() != figure
    assert {row["dynamic"] for row in read_csv(study / "figure2_left.csv")} >= {"resnet"}
    assert sorted({int(row["test_image"]) for row in read_csv(study / "figure1.csv")}) == sorted(
        figure1_indices(2, 200).tolist()
    )
    (study / "figure3.png").write_bytes(figure)  # another picture under the name
    assert write.refresh_page(study)
    assert (study / "figure3.png").read_bytes() != figure
    (study / "report.html").unlink()
    assert not write.refresh_page(study)


def test_a_figure_that_cannot_be_drawn_any_more_does_not_return(study, monkeypatch):
    assert main([str(study)]) == 0
    (study / "figure1.png").write_bytes(b"old")
    for path in study.rglob("examples.npz"):
        path.unlink()

    def missing(*_):
        raise DataError("the images are gone")

    monkeypatch.setattr(source, "load", missing)
    assert main([str(study)]) == 0
    assert not list(study.glob("figure1.*"))
    assert "Figure 1" not in (study / "report.html").read_text()


def test_runs_whose_test_images_share_statistics_have_no_exact_interval(study, maker):
    for dynamic in ("parabolic", "resnet"):
        maker(f"dynamic={dynamic}", "network.connector_norm=batch_per_pixel", right=range(9))
    assert main([str(study)]) == 0
    (row,) = (row for row in read_csv(study / "results.csv") if row["dynamic"] == "resnet")
    assert row["interval_of_this_network_low"] == ""
    assert "no exact interval holds" in row["notes"]
    tests = {row["test"] for row in read_csv(study / "comparisons.csv") if "batch_per_pixel" in row["second"]}
    assert tests == {"McNemar, approximate"}


def test_a_dynamic_that_only_a_smaller_group_has_is_compared_with_the_first_group(tmp_path, maker):
    for dynamic in ("parabolic", "hamiltonian"):
        maker(f"dynamic={dynamic}", "data.fraction=0.1", right=range(120), images=200)
    maker("dynamic=resnet", "network.widths=[3,6]", "data.fraction=0.1", right=range(110), images=200)
    assert main([str(tmp_path / "made")]) == 0
    rows = read_csv(tmp_path / "made" / "comparisons.csv")
    pairs = [(row["first"].split(",")[0], row["second"].split(",")[0]) for row in rows]
    assert pairs == [("parabolic", "Hamiltonian"), ("parabolic", "ResNet"), ("Hamiltonian", "ResNet")]


def test_dynamics_that_differ_in_a_reading_alone_are_compared_where_neither_group_has_both(tmp_path, maker):
    for dynamic, word, images in (
        ("hamiltonian", "schedule.last_batch=drop", 400),
        ("parabolic", "schedule.last_batch=keep", 400),
        ("resnet", "schedule.milestones=[60]", 400),
        *((dynamic, word, 200) for dynamic in ("hamiltonian", "parabolic") for word in ("schedule.last_batch=keep",)),
    ):
        maker(f"dynamic={dynamic}", word, f"data.fraction={images / 2000}", right=range(120), images=images)
    assert main([str(tmp_path / "made")]) == 0
    rows = read_csv(tmp_path / "made" / "comparisons.csv")
    pairs = {(row["first"].split(",")[0], row["second"].split(",")[0], row["images"]) for row in rows}
    assert ("parabolic", "Hamiltonian", "400") in pairs
    assert ("parabolic", "Hamiltonian", "200") in pairs
    assert ("Hamiltonian", "ResNet", "400") not in pairs
