"""Names of the networks that an analysis compares."""

import shutil

import torch
from small_runs import finished

from pdenet_repro.analysis.subjects import subjects


def names(*words):
    return [subject.name for subject in subjects([*map(str, words)], torch.device("cpu"), None)]


def initial(*words):
    return names("data=shapes", "network=tiny", *words)


def test_networks_of_one_dynamic_are_named_by_the_settings_in_which_they_differ(tmp_path):
    tenth, fifth = (finished(tmp_path, f"data.fraction={fraction}") for fraction in (0.1, 0.2))
    shorter = ("network.steps=1", "network.step_size=3", "variation=one-step")
    one_step = finished(tmp_path, "data.fraction=0.2", *shorter)
    assert names(tenth) == names(one_step) == ["parabolic"]
    assert names(tenth, fifth) == ["parabolic, data.fraction=0.1", "parabolic, data.fraction=0.2"]
    assert names(fifth, one_step) == ["parabolic", "parabolic, one-step"]
    assert names(tenth, fifth, one_step) == [
        "parabolic, data.fraction=0.1", "parabolic, data.fraction=0.2", "parabolic, one-step, data.fraction=0.2",
    ]  # fmt: skip


def test_runs_of_equal_settings_are_named_by_their_folders_and_one_folder_by_numbers(tmp_path):
    one = finished(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = tmp_path / "b" / one.relative_to(tmp_path / "a")
    assert names(one, other) == [f"parabolic, {path.relative_to(tmp_path)}" for path in (one, other)]
    assert names(one, one) == ["parabolic 1", "parabolic 2"]


def test_networks_at_initial_weights_are_named_by_settings():
    expected = ["parabolic, initial weights, network.norm=none", "parabolic, initial weights, network.norm=channel"]
    assert initial("network.norm=none,channel") == expected
    folds = [f"parabolic, initial weights, data.fold={fold}" for fold in (0, 1)]
    assert initial("data=stl10", "data.fold=0,1", "data.fraction=1.0") == folds
    assert initial("seed=0,1") == ["parabolic, initial weights, seed=0", "parabolic, initial weights, seed=1"]
    assert initial("dynamic=parabolic,resnet") == ["parabolic, initial weights", "ResNet, initial weights"]
