"""What is left of absolute paths in published texts, and what is no path."""

import shlex
from pathlib import Path

import pytest

from pdenet_repro.report.absolute_paths import last_part, without_folders

STUDY = Path("/home/me/my runs' folder/figures")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("data.root=/home/me/data/ output_root=/scratch/me/out", "data.root=FOLDER/data output_root=FOLDER/out"),
        ("dynamic=/a/x.py:A,/b/y.py:B", "dynamic=FOLDER/x.py:A,FOLDER/y.py:B"),
        ("dynamic=[/a/x.py:A,second_order]", "dynamic=[FOLDER/x.py:A,second_order]"),
        ("No space left on device: '/a/b c/d e'", "No space left on device: 'FOLDER/d e'"),
        ("the run's /a/b, //c/d and /e/f: it isn't there", "the run's FOLDER/b, FOLDER/d and FOLDER/f: it isn't there"),
        (f"{STUDY}/parabolic/seed-0/metrics.csv is damaged", "FOLDER/figures/parabolic/seed-0/metrics.csv is damaged"),
        (f"{STUDY}", "FOLDER/figures"),
        ("file:///home/me/x", "file:FOLDER/x"),
    ],
)
def test_an_absolute_path_loses_its_folders(text, published):
    assert without_folders(text, STUDY) == published
    assert without_folders(published, STUDY) == published


def test_words_that_a_shell_quotes_stay_one_word():
    words = ["data.root=/it's my/da ta", "dynamic=/a b/x, y.py:A,/c d/z.py:B", f"{STUDY}/sub", str(STUDY), "seed=0"]
    assert shlex.split(without_folders(shlex.join(words), STUDY)) == [
        "data.root=FOLDER/da ta", "dynamic=FOLDER/x, y.py:A,FOLDER/z.py:B", "FOLDER/figures/sub", "FOLDER/figures", "seed=0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["../data ~/data a/b ./c", "41.6 images/s, 1/2, a / b, /", "https://arxiv.org/abs/1804.04272", ""]
)
def test_what_is_no_absolute_path_stays(text):
    assert without_folders(text, STUDY) == text
    assert without_folders(text, Path("/")) == text


def test_texts_within_other_values():
    value = {"a": ["/x/y", 1, None, True, {"b": ("/x/z",)}], "c": b"/x/y", "d": Path("/x/y")}
    assert without_folders(value, STUDY) == value | {"a": ["FOLDER/y", 1, None, True, {"b": ("FOLDER/z",)}]}
    assert last_part("/a b/c, d/") == "FOLDER/c, d"
