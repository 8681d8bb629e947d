"""How far a run has come, by what lies in its folder."""

from pdenet_repro import compose
from pdenet_repro.runs.folder import RunFolder
from pdenet_repro.runs.work import Work
from pdenet_repro.sweeps.state import RunState, State, counted, state_of, work_to_do
from pdenet_repro.system.errors import InvalidConfig

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


def test_states(tmp_path):
    config = compose(*SMALL, "data.fraction=0.5", f"output_root={tmp_path}")
    folder, steps = RunFolder(config), 32  # the last of 8 images
    assert state_of(config).state is State.TO_DO
    assert work_to_do(config) == Work(train=4 * 1000, evaluate=3 * 1000 + 1000)
    with folder.locked():
        folder.begin("")
        assert state_of(config).state is State.RUNNING
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / f"step-{steps + 7:08d}-0123456789abcdef.safetensors").touch()
    assert state_of(config).state is State.INTERRUPTED
    assert work_to_do(config).train == 3 * 1000 - 7 * 32
    folder.record_failure(InvalidConfig("out of luck"))
    assert state_of(config) == RunState(State.FAILED, "out of luck")
    with folder.locked():
        folder.begin("")  # the next attempt
    assert state_of(config).state is State.INTERRUPTED
    (folder.path / "failure.json").write_text("{")
    assert state_of(config).state is State.FAILED
    folder.finish({"files_sha256": {}})
    assert state_of(config).state is State.DONE
    folder.finish({"files_sha256": {"metrics.csv": "0"}})
    found = state_of(config)
    assert found.state is State.FAILED
    assert "metrics.csv is missing" in found.reason


def test_states_are_counted_in_their_order():
    assert counted([State.TO_DO, State.DONE, State.TO_DO]) == "1 done, 2 to do"
