"""Sweeps: which runs there are, how far each has come, what is left of it."""

import signal

import pytest

from pdenet_repro import compose
from pdenet_repro.config.compose import compose_sweep, sweep_folder
from pdenet_repro.runs.folder import RunFolder, path_of
from pdenet_repro.sweeps import plan, sweep
from pdenet_repro.sweeps.plan import Work, work_left
from pdenet_repro.sweeps.sweep import State, standing
from pdenet_repro.system.errors import InvalidConfig, OtherConfiguration, StorageError
from pdenet_repro.system.signals import Interrupted

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


def test_states(tmp_path):
    config = compose(*SMALL, "data.fraction=0.5", f"output_root={tmp_path}")
    folder, steps = RunFolder(config), 32  # the last of 8 images
    assert standing(config).state is State.TO_DO
    assert work_left(standing(config)) == Work(train=4 * 1000, evaluate=3 * 1000 + 1000)
    with folder.locked():
        folder.begin("")
        found = standing(config)
        assert (found.state, found.exit_code) == (State.RUNNING, 5)
    (folder.path / "checkpoints").mkdir()
    (folder.path / "checkpoints" / f"step-{steps + 7:08d}-0123456789abcdef.safetensors").touch()
    found = standing(config)
    assert (found.state, found.exit_code) == (State.INTERRUPTED, 75)
    assert work_left(found).train == 3 * 1000 - 7 * 32
    folder.record_failure(InvalidConfig("out of luck"))
    found = standing(config)
    assert (found.state, found.reason, found.exit_code) == (State.FAILED, "out of luck", 2)
    with folder.locked():
        folder.begin("")  # the next attempt
    assert standing(config).state is State.INTERRUPTED
    (folder.path / "failure.json").write_text("{")
    assert standing(config).state is State.FAILED
    folder.finish({"files_sha256": {}})
    assert standing(config).state is State.DONE
    assert work_left(standing(config)) == Work(0, 0)
    folder.finish({"files_sha256": {"metrics.csv": "0"}})
    found = standing(config)
    assert found.state is State.FAILED
    assert "metrics.csv is missing" in found.reason


def test_evaluations_that_are_left(tmp_path):
    def left(*words):
        return work_left(standing(compose(*SMALL, f"output_root={tmp_path}", *words))).evaluate

    assert left() == 3 * 1000 + 2000  # at the end: test images three times, and training images
    assert left("evaluation.every=2") == 4 * 1000 + 2000
    assert left("evaluation.every=3") == 4 * 1000 + 2000  # epoch 3 and the last
    assert left("data.validation=0.2", "evaluation.iterate=best", "evaluation.every=2") == 5 * 1000 + 1600 + 4 * 400


def test_a_plan_starts_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plan, "seconds_an_image", lambda config: (0.5, 0.25))
    words = [*SMALL, f"output_root={tmp_path}", "dynamic=parabolic,resnet", "data.fraction=0.1"]
    plan.show(sweep.configurations(words))
    out = capsys.readouterr().out
    assert "parabolic, fraction 0.1, seed 0  to do" in out
    assert "2 runs: 2 to do" in out
    assert f"{2 * 4 * 200:,} image passes to train, {2 * 3200:,} to evaluate" in out
    assert "about 40:00 on" in out  # (768 / 2 + 1200 / 4) seconds each
    assert list(tmp_path.iterdir()) == []


def test_the_calibration_measures(tmp_path):
    training, evaluation = plan.seconds_an_image(compose(*SMALL, "device=cpu"))
    assert evaluation > 0
    assert training > 0


@pytest.mark.parametrize("taken", ["root", "name"])
def test_a_sweep_that_cannot_write_says_so_before_it_starts(tmp_path, taken):
    root = tmp_path / "outputs"
    (root if taken == "root" else root / "swept").parent.mkdir(exist_ok=True)
    (root if taken == "root" else root / "swept").write_text("in the way")
    words = ["data=shapes", "network=tiny", "schedule=demo", f"output_root={root}", "name=swept", "seed=0,1"]
    with pytest.raises(StorageError, match=r"cannot write .*a file stands where a folder is needed"):
        sweep.prepare(sweep.configurations(words))


def test_the_folder_of_a_sweep_is_that_of_its_single_settings(tmp_path):
    words = ["data=shapes", f"output_root={tmp_path}", "name=n-${network.steps}", "network.steps=1,2"]
    preset = compose("data=shapes").network.steps
    assert sweep_folder(words) == tmp_path / f"n-{preset}"


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
    monkeypatch.setattr(sweep, "failures", {})
    return configs, reports


def test_a_report_that_cannot_be_written_hides_neither_missing_runs_nor_other_reports(swept, capsys):
    configs, reports = swept
    assert sweep.conclude(configs) == 1
    err = capsys.readouterr().err
    assert reports == [("a", ["to do: nothing of it is saved"]), ("b", [])]
    assert "cannot write" in err
    assert "to do: parabolic, fraction 1, seed 1: nothing of it is saved" in err
    assert "1 of 3 runs are missing" in err
    assert sweep.conclude([configs[0], configs[2]]) == StorageError.exit_code


@pytest.mark.parametrize(
    ("error", "code"), [(StorageError("cannot write x: No space left on device"), 4), (KeyError("x"), 1)]
)
def test_a_failure_that_could_not_be_written_down_is_remembered(swept, capsys, monkeypatch, error, code):
    def run(config):
        raise error

    configs, reports = swept
    monkeypatch.setattr("pdenet_repro.runs.run.run", run)
    sweep._one_of_many(configs[1], 0)
    assert sweep.conclude(configs) == code
    assert reports[0] == ("a", [f"failed: {error}"])
    assert f"failed: parabolic, fraction 1, seed 1: {error}" in capsys.readouterr().err


def test_a_signal_between_two_runs_ends_the_sweep_before_the_next(swept, monkeypatch):
    configs, begun = swept[0], []

    def run(config):
        begun.append(config)
        if config.seed == 1:
            signal.raise_signal(signal.SIGTERM)  # as late in a run as can be

    def carry_out(configs, first_signal=None):
        with sweep.launching("basic", configs, []):
            if first_signal:
                signal.raise_signal(first_signal)
            for number, config in enumerate(configs):
                sweep._one_of_many(config, number)

    monkeypatch.setattr("pdenet_repro.runs.run.run", run)
    with pytest.raises(Interrupted, match="stopped by SIGTERM after the run parabolic, fraction 1, seed 1; the same"):
        carry_out(configs)
    with pytest.raises(Interrupted, match="stopped by SIGINT before the run parabolic, fraction 1, seed 0; the same"):
        carry_out(configs, signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped by SIGINT after the last run; the same command draws"):
        sweep([], signal.SIGINT)
    assert begun == configs[:2]
