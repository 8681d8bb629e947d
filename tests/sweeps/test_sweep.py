"""Sweeps: which runs there are, what is refused before the first starts, what is made of them at the end."""

import pytest

from pdenet_repro import compose
from pdenet_repro.config.compose import compose_sweep
from pdenet_repro.config.launchers import Serial
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps import sweep, worker
from pdenet_repro.sweeps.launch import Failures
from pdenet_repro.system.errors import InvalidConfig, OtherConfiguration, StorageError

SMALL = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=4", "name=sweep")


@pytest.mark.parametrize(
    "words",
    [
        ["study=demo"],
        ["study=fig2", "seed=0,1", "recipe=jmiv"],
        ["dynamic=parabolic,resnet", "schedule.epochs=3", "network.widths=[2,4],[4,8]", "data.root='~/x'"],
    ],
)
def test_the_runs_of_a_sweep_are_those_that_single_commands_give(words):
    swept = compose_sweep(words)
    plain = [word for word in words if "," not in word or word.startswith("data.root")]
    axes = ("dynamic", "data.fraction", "seed", "network.widths")
    for config in (swept[0], swept[-1]):
        values = {"dynamic": config.dynamic, "data.fraction": config.data.fraction, "seed": config.seed,
                  "network.widths": str(config.network.widths).replace(" ", "")}  # fmt: skip
        assert config == compose(*plain, *[f"{axis}={values[axis]}" for axis in axes])


@pytest.mark.parametrize(
    ("name", "runs", "folders"), [("fig1", 3, 3), ("fig2", 30, 30), ("fig3", 15, 15), ("all", 30, 30), ("demo", 9, 9)]
)
def test_what_the_studies_consist_of(name, runs, folders):
    configs = sweep.configurations([f"study={name}"])
    assert len(configs) == runs
    assert len({path_of(config) for config in configs}) == folders
    assert {config.dynamic for config in configs} == {"parabolic", "hamiltonian", "second_order"}
    largest = max(config.data.fraction for config in configs)
    by_epoch = {config.data.fraction: config.evaluation.every for config in configs}
    assert all((every > 0) == (fraction == largest) for fraction, every in by_epoch.items())


def test_the_figures_share_their_runs():
    folders = {name: {path_of(c) for c in sweep.configurations([f"study={name}"])} for name in ("fig1", "fig2", "fig3")}
    assert folders["fig1"] < folders["fig2"]
    assert folders["fig3"] < folders["fig2"]


def test_one_thing_changed_makes_a_smaller_study():
    configs = sweep.configurations(["study=fig2", "dynamic=hamiltonian", "data.fraction=range(0.1,1.01,0.1)"])
    assert [config.data.fraction for config in configs] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert [path_of(config).parent.name for config in configs][2] == "fraction-0.30"


def test_runs_that_would_share_a_folder_are_refused_with_a_remedy_that_works():
    words = [*SMALL, "network.steps=2,3", "objective.alpha1=0,1e-4"]
    with pytest.raises(InvalidConfig, match=r"differ in network\.steps") as refused:
        sweep.configurations([*SMALL, "network.steps=2,3"])
    remedy = str(refused.value).split("for example with ")[1]
    assert remedy == "name='sweep/${network.steps}'"
    assert len(sweep.configurations([*SMALL[:-1], "network.steps=2,3", remedy])) == 2
    with pytest.raises(InvalidConfig, match=r"differ in objective.alpha1"):
        sweep.configurations(words)


def test_a_folder_of_another_configuration_is_refused_before_anything_starts(tmp_path):
    config = compose(*SMALL, f"output_root={tmp_path}")
    with RunFolder(config).locked():
        RunFolder(config).begin("")
    with pytest.raises(OtherConfiguration, match=r"schedule.epochs: 4 there, 5 in this command"):
        sweep.configurations([*SMALL, f"output_root={tmp_path}", "schedule.epochs=5", "seed=1,0"])


def test_the_same_point_twice_is_one_run():
    configs = sweep.configurations(["data=shapes", "seed=0,0,1", "data.fraction=0.5,0.50"])
    assert [(config.data.fraction, config.seed) for config in configs] == [(0.5, 0), (0.5, 1)]


@pytest.mark.parametrize("taken", ["root", "name"])
def test_a_sweep_that_cannot_write_says_so_before_it_starts(tmp_path, taken):
    root = tmp_path / "outputs"
    (root if taken == "root" else root / "swept").parent.mkdir(exist_ok=True)
    (root if taken == "root" else root / "swept").write_text("in the way")
    words = ["data=shapes", "network=tiny", "schedule=demo", f"output_root={root}", "name=swept", "seed=0,1"]
    with pytest.raises(StorageError, match=r"cannot write .*a file stands where a folder is needed"):
        sweep.execute(sweep.configurations(words), Serial(), "")


@pytest.fixture
def swept(tmp_path, monkeypatch):
    """Three runs in two studies, a and b; of a the second is missing. Reports are counted, and cannot be written of a."""
    words = (*SMALL[:-1], f"output_root={tmp_path}")
    configs = [compose(*words, "name=a", "seed=0"), compose(*words, "name=a", "seed=1"), compose(*words, "name=b")]
    for config in (configs[0], configs[2]):
        with RunFolder(config).locked():
            RunFolder(config).begin("")
        RunFolder(config).finish({"files_sha256": {}})
    reports = []

    def write_report(folder, gaps):
        reports.append((folder.name, [gap.reason for gap in gaps]))
        if folder.name == "a":
            raise StorageError(f"cannot write {folder}")

    monkeypatch.setattr("pdenet_repro.report.write.write_report", write_report)
    return configs, reports


def test_a_report_that_cannot_be_written_hides_neither_missing_runs_nor_other_reports(swept, capsys):
    configs, reports = swept
    assert sweep.finish(configs, Failures(None)) == 1
    err = capsys.readouterr().err
    assert reports == [("a", ["to do: nothing of it is saved"]), ("b", [])]
    assert "cannot write" in err
    assert "to do: a, parabolic, fraction 1, seed 1: nothing of it is saved" in err
    assert "1 of 3 runs are missing" in err
    assert sweep.finish([configs[0], configs[2]], Failures(None)) == StorageError.exit_code


@pytest.mark.parametrize(
    ("error", "reason"), [(StorageError("cannot write x"), "cannot write x"), (KeyError("x"), "KeyError: 'x'")]
)
def test_a_failure_that_could_not_be_written_down_is_remembered(swept, capsys, monkeypatch, error, reason):
    def run(*_):
        raise error

    configs, reports = swept
    monkeypatch.setattr(worker, "run", run)
    failures = Failures(None)
    failures.record(configs[1], worker.run_with_exit_code(configs[1], "")[1])
    assert sweep.finish(configs, failures) == 1
    assert reports[0] == ("a", [f"failed: {reason}"])
    assert f"failed: a, parabolic, fraction 1, seed 1: {reason}" in capsys.readouterr().err
