"""Checkpoints: whole or absent, verified, the previous one kept."""

import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from pdenet_repro import compose
from pdenet_repro.runs.checkpoints import Checkpoint, Checkpoints
from pdenet_repro.runs.folder import to_yaml
from pdenet_repro.system.errors import CheckpointError, NonFiniteNumbers, StorageError


def checkpoint(step):
    return Checkpoint(step, {"weight": torch.full((3,), float(step))}, {"rows": [{"loss": 0.1 + step}], "best": None})


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", compose("data=shapes"))


@pytest.fixture
def warnings():
    return []


def files(checkpoints):
    return sorted(checkpoints.folder.glob("step-*.safetensors"))


def test_what_is_saved_comes_back(checkpoints, warnings):
    checkpoints.save(checkpoint(7))
    found = checkpoints.load(warnings.append)
    assert (found.step, found.values, warnings) == (7, checkpoint(7).values, [])
    assert torch.equal(found.tensors["weight"], checkpoint(7).tensors["weight"])


def test_without_a_folder_there_is_none(checkpoints, warnings):
    assert checkpoints.load(warnings.append) is None


def test_the_last_two_are_kept(checkpoints):
    for step in (1, 2, 10, 11):
        checkpoints.save(checkpoint(step))
    assert [path.name[:13] for path in files(checkpoints)] == ["step-00000010", "step-00000011"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_one_is_named_and_the_previous_one_used(checkpoints, warnings, damage):
    checkpoints.save(checkpoint(1))
    checkpoints.save(checkpoint(2))
    newest = files(checkpoints)[-1]
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes({"flipped": bytes(data), "cut": bytes(data[:40]), "emptied": b""}[damage])
    assert checkpoints.load(warnings.append).step == 1
    assert len(warnings) == 1
    assert str(newest) in warnings[0]
    assert newest.with_name(newest.name + ".damaged").exists()  # set aside, not lost


def test_where_all_are_damaged_the_run_stops_instead_of_starting_again(checkpoints, warnings):
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    for path in files(checkpoints):
        path.write_bytes(b"?")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"step-00000002.*is damaged.*no older checkpoint; restore it"):
            checkpoints.load(warnings.append)
    assert len(files(checkpoints)) == 2
    assert warnings == []


def test_a_damaged_one_that_is_written_again_is_good(checkpoints, warnings):
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    files(checkpoints)[1].write_bytes(b"?")
    assert checkpoints.load(warnings.append).step == 1
    checkpoints.save(checkpoint(2))
    assert checkpoints.load(warnings.append).step == 2
    checkpoints.clear()
    assert [path.name[-8:] for path in checkpoints.folder.iterdir()] == [".damaged"]  # what was set aside stays


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_infinite_and_nan_numbers_are_never_saved(checkpoints, warnings, value):
    checkpoints.save(checkpoint(1))
    wrong = checkpoint(2)
    wrong.tensors["network.opening.norm.running_variance"] = torch.tensor([1.0, value])
    with pytest.raises(NonFiniteNumbers, match=r"running_variance hold.* at step 2"):
        checkpoints.save(wrong)
    assert checkpoints.load(warnings.append).step == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_last_one(checkpoints, warnings, monkeypatch, call):
    checkpoints.save(checkpoint(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"pdenet_repro.system.files.os.{call}", full)
        with pytest.raises(StorageError, match="No space left on device; free some space"):
            checkpoints.save(checkpoint(2))
    assert [path.name[:13] for path in checkpoints.folder.iterdir()] == ["step-00000001"]
    assert checkpoints.load(warnings.append).step == 1


def test_half_written_files_of_a_killed_process_are_swept_up(checkpoints, warnings):
    checkpoints.save(checkpoint(1))
    (checkpoints.folder / ".step-00000002-0123456789abcdef.safetensors.99.tmp").write_bytes(b"half")
    assert checkpoints.load(warnings.append).step == 1
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_clear_leaves_nothing(checkpoints):
    checkpoints.save(checkpoint(1))
    checkpoints.clear()
    assert not checkpoints.folder.exists()


def test_one_of_another_run_stops_this_one_and_is_kept(checkpoints, warnings):
    checkpoints.save(checkpoint(1))
    Checkpoints(checkpoints.folder, compose("data=shapes", "seed=7")).save(checkpoint(2))
    with pytest.raises(
        CheckpointError, match=r"step-00000002.*another configuration \(seed: 7 there, 0 in this command"
    ):
        checkpoints.load(warnings.append)
    assert len(files(checkpoints)) == 2


def test_a_setting_that_a_checkpoint_does_not_know_has_its_default(checkpoints, warnings, monkeypatch):
    """A release that adds a setting continues from the checkpoints of the one before."""
    older = to_yaml(checkpoints.config).replace("  last_batch: keep\n", "").replace("deterministic: false\n", "")
    monkeypatch.setattr("pdenet_repro.runs.checkpoints.to_yaml", lambda config: older)
    same = replace(checkpoints.config, schedule=replace(checkpoints.config.schedule, last_batch="drop"))
    checkpoints.save(checkpoint(1))
    assert Checkpoints(checkpoints.folder, same).load(warnings.append).step == 1
    with pytest.raises(CheckpointError, match=r"schedule.last_batch: drop there, keep in this command"):
        checkpoints.load(warnings.append)


def test_one_of_a_later_version_stops_the_run(checkpoints, warnings, monkeypatch):
    later = to_yaml(checkpoints.config) + "invented_later: 1\n"
    monkeypatch.setattr("pdenet_repro.runs.checkpoints.to_yaml", lambda config: later)
    checkpoints.save(checkpoint(1))
    with pytest.raises(CheckpointError, match=r"another version of this program.*invented_later"):
        checkpoints.load(warnings.append)


def test_one_of_version_0_1_is_read(checkpoints, warnings):
    """It has no configuration; that of the run's folder was compared before."""
    checkpoints.folder.mkdir()
    data = save({"weight": torch.ones(3)}, {"values": '{"best": null}', "run": "a digest of another making"})
    name = f"step-00000005-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    (checkpoints.folder / name).write_bytes(data)
    assert checkpoints.load(warnings.append).step == 5


def test_a_folder_in_the_place_of_a_checkpoint_is_set_aside_and_fails_nothing(checkpoints, warnings):
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    old = files(checkpoints)[0]
    old.unlink()
    (old / "mine").mkdir(parents=True)
    aside = old.with_name(old.name + ".damaged")
    (aside / "of a time before").mkdir(parents=True)
    assert checkpoints.load(warnings.append).step == 2
    assert warnings == [f"checkpoint {old} cannot be used (it is no file); it is set aside as {old.name}.damaged-2"]
    for step in (3, 4):
        checkpoints.save(checkpoint(step))
    checkpoints.clear()
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [aside.name, aside.name + "-2"]
    assert (checkpoints.folder / f"{aside.name}-2" / "mine").is_dir()


def test_a_folder_that_came_while_training_neither_counts_nor_disturbs(checkpoints):
    checkpoints.save(checkpoint(1))
    (checkpoints.folder / f"step-00000002-{16 * '0'}.safetensors").mkdir()
    for step in (2, 3, 4):
        checkpoints.save(checkpoint(step))
    assert [path.name[:13] for path in files(checkpoints) if path.is_file()] == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("thing", ["file", "dangling link"])
def test_a_file_in_the_place_of_the_folder_is_refused_before_training(checkpoints, warnings, thing):
    if thing == "file":
        checkpoints.folder.write_text("mine")
    else:
        checkpoints.folder.symlink_to("nowhere")
    with pytest.raises(StorageError, match="checkpoints is no folder, and must be one for checkpoints; move it away"):
        checkpoints.load(warnings.append)


def test_looking_for_a_checkpoint_leaves_no_trace(checkpoints, warnings):
    """An empty folder would be taken for a run that saved something."""
    assert checkpoints.load(warnings.append) is None
    checkpoints.clear()
    assert not checkpoints.folder.exists()
