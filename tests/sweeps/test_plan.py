"""The plan of a study."""

from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.runs.folder import config_digest
from pdenet_repro.sweeps.plan import planned_runs, write_plans

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


def test_plans_of_several_sweeps_are_one(tmp_path):
    words = [*SMALL, f"output_root={tmp_path}"]
    first, second = compose_sweep([*words, "seed=0,1"]), compose_sweep([*words, "seed=1,2"])
    write_plans(first, "one")
    write_plans(second, "two")
    runs = planned_runs(tmp_path / "sweep")
    assert [run["folder"] for run in runs] == [f"parabolic/fraction-1.00/seed-{seed}" for seed in (0, 1, 2)]
    assert [run["command"] for run in runs] == ["one", "two", "two"]
    assert runs[0]["configuration"]["network.widths"] == [4, 8]
    assert runs[0]["configuration_sha256"] == config_digest(first[0])
    (tmp_path / "sweep/plan.json").write_text("{")
    assert planned_runs(tmp_path / "sweep") == []
