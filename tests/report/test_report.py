"""The report of hand-made runs: its numbers, its files, its gaps."""

import shutil
from math import comb

import numpy as np
import pytest
from made import read_csv

from pdenet_repro.cli.report import main
from pdenet_repro.data import source
from pdenet_repro.data.examples import carried, drawn
from pdenet_repro.report import figures, write
from pdenet_repro.report.runs import collect
from pdenet_repro.runs.folder import RunFolder, load_config, load_summary
from pdenet_repro.system.errors import DataError, RunFolderError


@pytest.mark.pictures
def test_a_report_is_complete_and_its_numbers_are_those_of_the_runs(study, capsys):
    assert main([str(study)]) == 0
    for name in ("figure1", "figure2", "figure3"):
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
    assert row[:5] == ["Hamiltonian", "200", "57.50", "3.54", "2"]


def test_figure_1_shows_the_drawn_images_with_their_probabilities(study):
    assert main([str(study), "--image-seed", "2"]) == 0
    rows = read_csv(study / "figure1.csv")
    assert [int(row["test_image"]) for row in rows[::30]] == drawn(2, 200).tolist()
    assert len(rows) == 4 * 3 * 10
    for start in range(0, len(rows), 10):
        assert sum(float(row["probability"]) for row in rows[start : start + 10]) == pytest.approx(1, abs=1e-6)


def test_chosen_images_come_from_the_folders_or_from_the_data(study, monkeypatch, capsys):
    there = carried(200)[:2].tolist()
    monkeypatch.setattr(source, "load", lambda *_: pytest.fail("the data set is not needed"))
    assert main([str(study), "--images", ",".join(map(str, there))]) == 0
    assert sorted({int(row["test_image"]) for row in read_csv(study / "figure1.csv")}) == there

    monkeypatch.undo()
    other = next(i for i in range(200) if i not in carried(200))
    read = []

    class Dataset:
        class test:  # noqa: N801
            pixels = np.zeros((200, 3, 96, 96), np.uint8)

    monkeypatch.setattr(source, "load", lambda data, say: read.append(data.name) or Dataset)
    assert main([str(study), "--images", str(other)]) == 0
    assert read == ["shapes"]
    assert main([str(study), "--images", "200"]) == 2
    assert "--images 200: must be between 0 and 199" in capsys.readouterr().err


def tail(counts, share):
    return sum(comb(200, k) * share**k * (1 - share) ** (200 - k) for k in counts)


def test_table_agreement_and_classes(study):
    assert main([str(study)]) == 0
    results = {(row["dynamic"], row["images"]): row for row in read_csv(study / "results.csv")}
    assert results["parabolic", "200"]["n"] == "2"
    low, high = (float(word) / 100 for word in results["parabolic", "200"]["95 % interval"].split(" to "))
    assert tail(range(125, 201), low) == pytest.approx(0.025, rel=0.01)  # Clopper & Pearson: 125 of 200 were right
    assert tail(range(126), high) == pytest.approx(0.025, rel=0.01)
    assert results["parabolic", "200"]["published %"] == ""  # not STL-10
    pairs = {row["networks"]: row for row in read_csv(study / "agreement.csv")}
    pair = pairs["parabolic, Hamiltonian"]  # 120 and 110 right, the same 110 among them
    assert (pair["only first right"], pair["only second right"]) == ("10", "0")
    assert pair["same prediction %"] == "95.00"
    assert pair["McNemar p"] == "0.002"  # 2 / 2**10
    classes = {row["dynamic"]: row for row in read_csv(study / "per_class.csv")}
    assert classes["Hamiltonian"]["circle"] == "57.50"


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
    assert main([str(tmp_path), "--output", str(tmp_path / "one")]) == 2
    assert "2 studies" in capsys.readouterr().err
    assert main([str(study), "--output", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "figure3.csv").is_file()


def test_runs_with_other_settings_are_not_averaged_in_silence(study, maker):
    maker("dynamic=parabolic", "data.fraction=0.1", "seed=7", "optimizer.momentum=0.5", right=range(90), images=200)
    assert main([str(study)]) == 0
    page = (study / "report.html").read_text()
    assert "optimizer.momentum: 0.9 in 9 runs, 0.5 in 1 runs" in page


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
    with pytest.raises(RunFolderError, match=r"report\.html is as it was: .* holds runs on shapes, .* and on stl10, "):
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
    assert (results["parabolic", "100"]["n"], results["parabolic", "100"]["sd"]) == ("1", "")
    assert sentence in (study / "report.html").read_text()
    (cell / "seed-0" / "predictions.npz").write_bytes(b"cut")  # then the copy is what is left
    assert [run.folder for run in collect(study)[study].cell("parabolic", 100)] == [cell / copy]


def test_accuracies_that_lie_close_together_have_ticks_that_differ(maker, tmp_path):
    for dynamic, right in (("parabolic", 20), ("hamiltonian", 21)):
        for fraction, images in (("0.05", 100), ("0.1", 200)):
            maker(f"dynamic={dynamic}", f"data.fraction={fraction}", right=range(right), images=images, tests=2000)

    def ticks():
        figure, *_ = figures.figure2(collect(tmp_path / "made")[tmp_path / "made"])
        figure.draw_without_rendering()
        return [text.get_text() for text in figure.axes[0].get_yticklabels()]

    close = ticks()
    assert len(set(close)) == len(close) > 2
    assert {"1.0%", "1.2%"} <= set(close)
    maker("dynamic=resnet", "data.fraction=0.1", right=range(1600), images=200, tests=2000)
    assert {"20%", "80%"} <= set(ticks())


def test_one_run_alone_and_runs_without_examples(maker, tmp_path, capsys, monkeypatch):
    folder = maker("dynamic=resnet", right=range(10), examples=False)

    def missing(*_):
        raise DataError("the images are gone")

    monkeypatch.setattr(source, "load", missing)
    assert main([str(folder)]) == 0  # all but Figure 1
    assert "Figure 1 is left out" in capsys.readouterr().err
    assert (folder / "report.html").is_file()
    assert not (folder / "figure1.csv").exists()
    assert main([str(folder), "--images", "3"]) == 2  # asked for by number, it is an error
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
    assert "none of its 1 runs is finished" in capsys.readouterr().err


def test_names_are_escaped_in_the_page(study):
    path = study / "parabolic" / "fraction-0.05" / "seed-0"
    command = "python -m pdenet_repro '<script>alert(1)</script>'"
    RunFolder(load_config(path)).finish({**load_summary(path), "command": command})
    assert main([str(study)]) == 0
    page = (study / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
