"""The run folder: its name, its lock, what it refuses."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pdenet_repro import compose
from pdenet_repro.config.schema import all_settings
from pdenet_repro.runs.folder import (
    RunFolder,
    _parsed,
    config_digest,
    differences,
    from_yaml,
    load_config,
    path_of,
    to_yaml,
)
from pdenet_repro.system.errors import RunFolderBusy, RunFolderError, StorageError
from pdenet_repro.system.files import make_folder


def small(tmp_path, *more):
    return compose("data=shapes", "network=tiny", "schedule=short", f"output_root={tmp_path}", "name=here", *more)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "here/parabolic/fraction-1.00/seed-0"),
        (["data.fraction=0.1"], "here/parabolic/fraction-0.10/seed-0"),
        (["data.fraction=0.30000000000000004"], "here/parabolic/fraction-0.30/seed-0"),
        (["data.fraction=0.125", "seed=12"], "here/parabolic/fraction-0.125/seed-12"),
        (["dynamic=second_order", "name=a/b"], "a/b/second_order/fraction-1.00/seed-0"),
        (["data.fold=3"], "here/parabolic/fold-3-fraction-1.00/seed-0"),
    ],
)
def test_the_folder_follows_from_the_configuration(tmp_path, overrides, expected):
    assert path_of(small(tmp_path, *overrides)) == tmp_path / expected


def test_a_configuration_comes_back_from_its_folder(tmp_path):
    config = small(tmp_path, "schedule.milestones=[2,3]", "optimizer.bound=null")
    folder = RunFolder(config)
    with folder.locked():
        folder.begin("python -m pdenet_repro ...")
    assert load_config(folder.path) == config
    assert folder.finished() is None


def test_configurations_that_differ_in_the_seed_alone_are_parsed_once_and_are_their_own(tmp_path):
    before = _parsed.cache_info().misses
    configs = [replace(small(tmp_path, "name=seeds"), seed=seed) for seed in (0, 7, 123)]
    loaded = [from_yaml(to_yaml(config)) for config in configs]
    assert loaded == configs
    assert _parsed.cache_info().misses == before + 1
    loaded[2].data.fraction = 0.5
    assert from_yaml(to_yaml(configs[2])) == configs[2]
    for wrong in ("seed: 1\nseed: 2\n", "seed: many\n", "seed: -\n"):
        with pytest.raises(ValueError, match=r"."):
            from_yaml(to_yaml(configs[0]).replace("seed: 0\n", wrong))


def test_differences_are_those_that_change_the_result(tmp_path):
    one = small(tmp_path)
    other = small(tmp_path, "seed=1", "schedule.milestones=[2]", "device=cpu", "checkpoint.seconds=1")
    assert differences(one, other) == [
        "schedule.milestones: [6, 8, 10] there, [2] in this command",
        "seed: 0 there, 1 in this command",
    ]
    assert config_digest(one) != config_digest(other)
    assert config_digest(one) == config_digest(small(tmp_path, "name=elsewhere", "device=cpu"))


def test_a_setting_with_its_default_changes_no_digest(tmp_path, monkeypatch):
    """A release that adds a setting, whose default is what was done before, knows the runs of the one before."""
    config = small(tmp_path)
    before = config_digest(config)
    known = [(key, entry) for key, entry in all_settings() if key != "deterministic"]
    monkeypatch.setattr("pdenet_repro.runs.folder.all_settings", lambda: known)
    assert config_digest(config) == before
    monkeypatch.undo()
    assert config_digest(replace(config, deterministic=True)) != before


def test_a_run_of_another_configuration_is_refused(tmp_path):
    folder = RunFolder(small(tmp_path))
    with folder.locked():
        folder.begin("")
    with pytest.raises(RunFolderError, match=r"objective.alpha1: 0.0003 there, 0.0 in this command.*name="):
        RunFolder(small(tmp_path, "objective.alpha1=0")).finished()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"test_accuracy": 0.5}', "\udcff", None])
def test_a_damaged_summary_is_named(tmp_path, content):
    folder = RunFolder(small(tmp_path))
    with folder.locked():
        folder.begin("")
    folder.finish({"test_accuracy": 0.5, "files_sha256": {}})
    path = folder.path / "summary.json"
    text = path.read_text().replace("0.5", "0.6") if content is None else content
    path.write_text(text, errors="surrogateescape")
    reason = (
        "" if content is not None else r" \(its entry summary_sha256 is not the checksum of its content\); restore it"
    )
    with pytest.raises(RunFolderError, match=rf"summary\.json is damaged{reason}"):
        folder.finished()


@pytest.mark.parametrize("content", ["seed: many", "no_such_key: 1", "a: [", "- 1", "\x00"])
def test_a_damaged_configuration_is_named(tmp_path, content):
    folder = RunFolder(small(tmp_path))
    folder.path.mkdir(parents=True)
    (folder.path / "config.yaml").write_text(content)
    with pytest.raises(RunFolderError, match=r"config\.yaml is damaged or of another version"):
        folder.finished()


@pytest.mark.parametrize("left", ["summary.json", "metrics.csv", "checkpoints"])
def test_a_run_without_its_configuration_is_not_taken_for_a_new_one(tmp_path, left):
    folder = RunFolder(small(tmp_path))
    (folder.path / left).mkdir(parents=True)
    with pytest.raises(RunFolderError, match=rf"holds {left} of a run whose config.yaml is missing; restore it"):
        folder.finished()


def test_a_second_process_is_refused_and_the_lock_goes_with_its_process(tmp_path):
    folder = RunFolder(small(tmp_path))
    code = (
        "import time; from filelock import FileLock\n"
        f"lock = FileLock({str(folder.path / 'run.lock')!r}); lock.acquire(); print('held', flush=True); time.sleep(60)"
    )
    folder.path.mkdir(parents=True)
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunFolderBusy, match="another process"), folder.locked():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with folder.locked():
        folder.begin("")


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "here").write_text("")
    with (
        pytest.raises(StorageError, match="a file stands where a folder is needed"),
        RunFolder(small(tmp_path)).locked(),
    ):
        pass


@pytest.mark.parametrize("name", ["failure.json", "command.txt"])
def test_a_folder_in_the_way_is_named(tmp_path, name):
    folder = RunFolder(small(tmp_path))
    with folder.locked():
        (folder.path / name).mkdir()
        with pytest.raises(StorageError, match=rf"cannot write .*{name}: .*; a folder stands where a file is needed"):
            folder.begin("")


def test_a_folder_that_takes_no_files_is_named_before_there_is_one_to_write():
    """/proc is a folder that nobody, root included, may write to."""
    with pytest.raises(StorageError, match="cannot write /proc: "):
        make_folder(Path("/proc"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="choose a folder you may write to"), RunFolder(small(tmp_path)).locked():
        pass


def test_an_attempt_that_failed_before_it_saved_anything_does_not_hold_the_folder(tmp_path):
    first, second = RunFolder(small(tmp_path)), RunFolder(small(tmp_path, "schedule.learning_rate=0.3"))
    with first.locked():
        first.begin("...")
        with pytest.raises(RunFolderError, match="another configuration"):  # it may be training
            second.finished()
        first.record_failure(ValueError("too fast"))
        assert second.finished() is None
        first.write("metrics.csv", "epoch\n1\n")
        with pytest.raises(RunFolderError, match="another configuration"):
            second.finished()


def test_rows_are_written_exactly(tmp_path):
    folder = RunFolder(small(tmp_path))
    folder.path.mkdir(parents=True)
    folder.write_rows("metrics.csv", [{"epoch": 1, "loss": 0.1 + 0.2, "test_accuracy": None}])
    assert (folder.path / "metrics.csv").read_text() == "epoch,loss,test_accuracy\n1,0.30000000000000004,\n"
