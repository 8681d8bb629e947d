"""The table and the picture of finished and unfinished runs, from hand-made folders."""

import json

import pytest

from pdenet_repro.errors import RunFolderError
from pdenet_repro.report.__main__ import main
from pdenet_repro.report.runs import collect

HEADER = "epoch,train_accuracy,test_accuracy\n"


def make_run(folder, dynamic, *, finished=True):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("")
    (folder / "command.txt").write_text("")
    (folder / "metrics.csv").write_text(HEADER + "1,0.5,0.25\n2,0.75,0.5\n")
    if finished:
        summary = {
            "dynamic": dynamic, "weights": 1234, "train_images": 500, "seed": 3, "epochs": 2, "train_accuracy": 0.75,
            "test_accuracy": 0.5, "training_seconds": 65.0, "images_per_second": 10.0,
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))


def test_table_and_picture(tmp_path, capsys):
    make_run(tmp_path / "a", "second_order")
    make_run(tmp_path / "b", "parabolic")
    make_run(tmp_path / "c", "parabolic", finished=False)
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == [
        "parabolic",
        "1,234",
        "500",
        "3",
        "2",
        "75.00%",
        "50.00%",
        "1:05",
        "10",
        str(tmp_path / "b"),
    ]
    assert out[2].startswith("second_order")
    assert out[3] == f"not finished: {tmp_path / 'c'} (2 epochs done)"
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_no_picture_without_accuracies_by_epoch(tmp_path, capsys):
    make_run(tmp_path / "a", "parabolic")
    (tmp_path / "a" / "metrics.csv").write_text(HEADER + "1,0.5,\n2,0.75,0.5\n")
    assert main([str(tmp_path)]) == 0
    assert "accuracy.png" not in capsys.readouterr().out
    assert not (tmp_path / "accuracy.png").exists()


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "holds no runs" in capsys.readouterr().err
    with pytest.raises(RunFolderError, match="holds no runs"):
        collect(tmp_path)


def test_a_damaged_summary_is_named(tmp_path, capsys):
    make_run(tmp_path / "a", "parabolic")
    (tmp_path / "a" / "summary.json").write_text("{")
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path / "a" / "summary.json") in capsys.readouterr().err
