"""The command: kinds one after the other, refusals in one sentence, the study's report kept up to date."""

import json
import os
import shutil
import sys
from types import ModuleType

import pytest
from matplotlib.figure import Figure
from safetensors.torch import load_file, save_file

from pdenet_repro import build_network
from pdenet_repro.analysis.result import DoesNotApply, Picture, Result
from pdenet_repro.cli import analysis as command
from pdenet_repro.cli.report import main as report
from pdenet_repro.runs.folder import RunFolder, config_digest, load_config
from pdenet_repro.system.errors import InvalidConfig
from pdenet_repro.system.files import sha256


def kind(monkeypatch, name, measure):
    module = ModuleType(f"pdenet_repro.analysis.{name}.measure")
    module.IMAGES = 3
    module.measure = measure
    monkeypatch.setitem(sys.modules, f"pdenet_repro.analysis.{name}", ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def found(subjects, given):
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([1, 2])
    return Result({"good": Picture(figure, "A line", "It <rises>.")}, {"good": [{"x": 1}]},
                   [f"{len(subjects)} networks, {given.images} images."])  # fmt: skip


def refuse(error):
    def measure(subjects, given):
        raise error

    return measure


@pytest.fixture
def kinds(monkeypatch):
    monkeypatch.setattr(command, "KINDS", {name: f"about {name}" for name in ("bad", "apart", "good")})
    kind(monkeypatch, "bad", refuse(InvalidConfig("something is wrong")))
    kind(monkeypatch, "apart", refuse(DoesNotApply("only for waves")))
    kind(monkeypatch, "good", found)


@pytest.fixture
def run(maker):
    return make(maker, "parabolic")


def make(maker, dynamic):
    folder = maker(f"dynamic={dynamic}", right=range(100))
    finish(folder, build_network(load_config(folder)).state_dict())
    return folder


def finish(folder, weights):
    config = load_config(folder)
    weights = {name: value.contiguous() for name, value in weights.items()}
    save_file(weights, folder / "weights.safetensors", {"config": config_digest(config)})
    summary = json.loads((folder / "summary.json").read_text())
    summary["files_sha256"]["weights.safetensors"] = sha256(folder / "weights.safetensors")
    RunFolder(config).finish(summary)


def test_all_goes_on_and_says_how_each_kind_went(kinds, run, tmp_path, capsys):
    study = tmp_path / "made"
    assert command.main(["all", str(study)]) == 2
    said = capsys.readouterr()
    assert said.err == "something is wrong\n"
    assert [line.split(maxsplit=1) for line in said.out.splitlines()[-3:]] == [
        ["bad", "failed, see above"], ["apart", "does not apply: only for waves"], ["good", "done"]
    ]  # fmt: skip
    assert "1 networks, 3 images." in said.out
    assert f"pdenet_repro.report {os.path.relpath(study)} makes one" in said.out
    content = json.loads((study / "analysis" / "good.json").read_text())
    assert content["meaning"] == "about good"
    assert (study / "analysis" / "good.png").read_bytes().startswith(b"\x89PNG")


def test_one_of_several_runs_does_not_take_the_place_of_the_study(kinds, run, maker, tmp_path, capsys):
    study, other = tmp_path / "made", make(maker, "resnet")
    make(maker, "hamiltonian")
    assert command.main(["good", str(study)]) == 0
    assert command.main(["good", str(run)]) == 0
    assert command.main(["good", str(run), str(other)]) == 2
    assert "--output: must be given for some of the runs of" in capsys.readouterr().err
    whole, single = (json.loads((each / "analysis" / "good.json").read_text()) for each in (study, run))
    assert (whole["sentences"], single["sentences"]) == (["3 networks, 3 images."], ["1 networks, 3 images."])


def test_what_an_earlier_result_left_is_gone(kinds, run, monkeypatch, tmp_path):
    def more(subjects, given):
        return Result(tables={"good": [{"x": 1}], "good_more": [{"x": 2}]})

    kind(monkeypatch, "good", more)
    assert command.main(["good", str(run)]) == 0
    (tmp_path / "made" / "analysis" / "mine.csv").write_text("kept")
    kind(monkeypatch, "good", found)
    assert command.main(["good", str(run)]) == 0
    names = {path.name for path in (tmp_path / "made" / "analysis").iterdir()}
    assert names == {"good.json", "good.png", "good.pdf", "good.csv", "mine.csv"}


@pytest.mark.parametrize("words", [["good"], ["all"]])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(kinds, run, monkeypatch, capsys, words):
    kind(monkeypatch, "good", refuse(AssertionError("measured")))
    monkeypatch.setattr(command, "KINDS", {"good": ""})
    assert command.main([*words, str(run), "--output", str(run / "summary.json" / "x")]) == 4
    assert "a file stands where a folder is needed" in capsys.readouterr().err


def test_a_study_without_a_finished_run_is_named(kinds, run, tmp_path, capsys):
    (run / "summary.json").unlink()
    assert command.main(["good", str(tmp_path / "made")]) == 2
    assert "made: none of its runs is finished" in capsys.readouterr().err


def test_the_damage_of_a_study_is_named(kinds, run, maker, tmp_path, capsys):
    other = make(maker, "hamiltonian")
    (other / "weights.safetensors").write_bytes(b"")
    assert command.main(["good", str(tmp_path / "made")]) == 0
    said = capsys.readouterr().out
    assert f"left out: {other / 'weights.safetensors'} is damaged" in said
    assert "1 networks" in said
    (run / "weights.safetensors").unlink()
    assert command.main(["good", str(tmp_path / "made")]) == 2
    assert "made: none of its runs can be used: " in capsys.readouterr().err


@pytest.mark.parametrize("place", [".", "deeper/and/deeper/still"])
def test_a_run_that_was_copied_alone_has_its_analysis_in_it(kinds, run, tmp_path, place):
    copied = tmp_path / "elsewhere" / place
    shutil.copytree(run, copied)
    assert command.main(["good", str(copied)]) == 0
    assert (copied / "analysis" / "good.json").is_file()


def test_weights_that_are_no_numbers_are_refused(kinds, run, capsys):
    weights = load_file(run / "weights.safetensors")
    next(iter(weights.values())).view(-1)[0] = float("nan")
    finish(run, weights)
    assert command.main(["good", str(run)]) == 2
    assert "seed-0: its weights are not all finite numbers" in capsys.readouterr().err


def test_initial_weights_get_statistics_for_every_kind(kinds, monkeypatch, tmp_path):
    deviations = []

    def measure(subjects, given):
        deviations.extend(float(each.network.opening.norm.running_variance.std()) for each in subjects)
        return found(subjects, given)

    kind(monkeypatch, "good", measure)
    assert command.main(["good", "data=shapes", "network=tiny", "--output", str(tmp_path / "there")]) == 0
    assert deviations[0] > 0.01  # without statistics of images all are 1, and it is 0


def test_too_little_memory_is_a_sentence(kinds, run, monkeypatch, capsys):
    kind(monkeypatch, "good", refuse(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")))
    assert command.main(["good", str(run)]) == 6
    assert capsys.readouterr().err.startswith("the memory does not suffice")
    kind(monkeypatch, "good", refuse(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        command.main(["good", str(run)])


def test_all_succeeds_where_a_kind_does_not_apply(kinds, run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "KINDS", {"apart": "", "good": ""})
    assert command.main(["all", str(run), "--output", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "good.csv").is_file()


@pytest.mark.pictures
def test_the_reports_page_follows_and_its_figures_stay(kinds, run, tmp_path, capsys):
    study = tmp_path / "made"
    assert report([str(study), "--image-seed", "3"]) == 0
    page, figure = (study / "report.html"), (study / "figure1.png").read_bytes()
    assert "Analyses" not in page.read_text()
    assert command.main(["good", str(run), "--images", "7"]) == 0
    assert "report.html, with this analysis" in capsys.readouterr().out
    for _ in range(2):  # by the analysis, then by the report's own command
        shown = page.read_text()
        assert '<a href="#analyses">' in shown
        assert "1 networks, 7 images." in shown
        assert "It &lt;rises&gt;." in shown
        assert "about good" in shown
        assert shown.count("<img") == 5
        assert (study / "figure1.png").read_bytes() == figure
        assert report([str(study), "--image-seed", "3"]) == 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "KIND: must be given"),
        (["colour", "x"], "KIND colour: must be one of bad, apart, good, all"),
        (["good"], "FOLDER: must be given"),
        (["all"], "FOLDER: must be given"),
        (["good", "x", "--images", "abc"], "--images abc: must be a whole number of at least 1"),
        (["good", "x", "--output", ""], "--output : must be a folder"),
        (["good", "x", "--images"], "--images: must be followed by one argument"),
        (["good", "x", "--seed", "-1"], "--seed -1: must be a whole number of at least 0"),
        (["good", "x", "--colour", "red"], "--colour red: there is no such option"),
        (["all", "x", "--images", "3"], "--images 3: there is no such option"),
        (["good", "nowhere"], "nowhere: there is no such folder"),
        (["all", "nowhere"], "nowhere: there is no such folder"),
        (["good", "dynamic=resnet", "data=shapes", "network=tiny"], "--output: must be given for initial weights"),
        (["good", "x", "--device", "gpu"], "device=gpu: must be"),
    ],
)
def test_refusals_are_one_sentence(kinds, tmp_path, monkeypatch, capsys, words, part):
    monkeypatch.chdir(tmp_path)
    assert command.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith(part)
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_real_kind_on_a_made_run(run, tmp_path, capsys):
    words = ["--images", "4", "--steps", "2", "--strengths", "noise=8", "--strengths", "blur=1", "--strengths",
             "contrast=2", "--strengths", "occlusion=20", "--strengths", "linf=8", "--strengths", "l2=400"]  # fmt: skip
    assert command.main(["robustness", str(run), *words]) == 0
    assert "of the 4 clean test images" in capsys.readouterr().out
    for name in ("robustness.png", "robustness.pdf", "robustness.csv", "robustness.json", "robustness_images.png"):
        assert (tmp_path / "made" / "analysis" / name).stat().st_size > 100
