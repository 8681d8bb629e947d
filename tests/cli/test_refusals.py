"""Wrong commands: one sentence that names the thing, the value and what would be right; nothing is written."""

import os
import subprocess
import sys
import time

import pytest
from waiting import PATIENCE

from pdenet_repro.cli import command as command_line

CASES = [
    # keys and the form of a word
    (["fraction=0.1"], "fraction: there is no such key; did you mean data.fraction?"),
    (["data.fracton=0.1"], "data.fracton: there is no such key; did you mean data.fraction?"),
    (["optimiser.momentum=0.9"], "optimiser.momentum: there is no such key; did you mean optimizer.momentum?"),
    (["xyzzy=1"], "xyzzy: there is no such key; see --help for all keys"),
    (["hamiltonian"], "hamiltonian: not a setting; write key=value"),
    (["dynamic = parabolic"], "dynamic"),
    (["=3"], "'=3': not a setting; write key=value"),
    ([""], "'': not a setting; write key=value"),
    (["data=shapes", "name=${foo}"], "name: Interpolation key 'foo' not found"),
    (["+seed=1"], "+seed=1: seed exists already; write it without +"),
    (["++seed=1"], "++seed=1: seed exists already; write it without +"),
    (["+momentum=0.5"], "momentum: there is no such key; did you mean optimizer.momentum?"),
    (["~seed"], "~seed: a setting cannot be removed"),
    (["data@foo=shapes"], "data@foo: there is no such key"),
    (["seed=[1"], "seed=[1: the value cannot be read"),
    (["seed=1,2"], "seed=1,2: several values make a sweep, which needs -m"),
    (["network.widths=8,16"], "several values make a sweep, which needs -m; for a list write network.widths=[...]"),
    (["dynamic=parabolic,hamiltonian"], "several values make a sweep, which needs -m\n"),
    (["--cfg", "job", "-r"], "-r: there is no such option"),
    (["--epochs", "5"], "--epochs: there is no such option"),
    (["-x"], "-x: there is no such option"),
    (["--cfg"], "--cfg: must be followed by one argument"),
    (["--cfg", "hydra"], "--cfg hydra: must be one of job"),
    (["--cfg", "all"], "--cfg all: must be one of job"),
    (["--cfg", "jobs"], "--cfg jobs: must be one of job"),
    (["-m", "--cfg", "job"], "--cfg shows the configuration of one run; leave out -m"),
    (["--cfg", "job", "data.fraction=5"], "data.fraction=5.0: must be a number above 0 and at most 1"),
    (["--cfg", "job", "launcher=nonsense"], "launcher=nonsense: launches the runs of a sweep; leave it out"),
    (["--cfg", "job", "launcher.n=2"], "launcher.n=2: launches the runs of a sweep; leave it out"),
    (["--cfg=x"], "--cfg x: must be one of job"),
    (["--plan", "--cfg", "job"], "--cfg and --plan: must not be given together; leave out one of them"),
    (["--plan=1"], "--plan=1: --plan takes no value"),
    # launchers, and what was Hydra's own
    (["data=shapes", "hydra.mode=MULTIRUN"], "hydra.mode=MULTIRUN: settings of Hydra cannot be changed"),
    (["-m", "data=shapes", "seed=0,1", "hydra.job.chdir=true"], "hydra.job.chdir=true: settings of Hydra cannot be changed"),
    (["-m", "data=shapes", 'hydra.sweeper.params={seed: "0,1"}'], 'hydra.sweeper.params={seed: "0,1"}: settings of Hydra'),
    (["data=shapes", "hydra/job_logging=default"], "hydra/job_logging=default: settings of Hydra cannot be changed"),
    (["data=shapes", "+hydra.foo=3"], "+hydra.foo=3: settings of Hydra cannot be changed"),
    (["-m", "data=shapes", "hydra/launcher=joblib"], "settings of Hydra cannot be changed; choose a launcher with launcher="),
    (["-m", "data=shapes", "hydra/launcher=slurm"], "hydra/launcher=slurm: settings of Hydra cannot be changed"),
    (["-m", "data=shapes", "hydra.launcher.n_jobs=2"], "hydra.launcher.n_jobs=2: settings of Hydra cannot be changed"),
    (["-m", "data=shapes", "launcher.n=2"], "launcher.n=2: launcher=serial has no n; add launcher=local or launcher=slurm"),
    (["-m", "data=shapes", "launcher=local", "launcher.n=1,2"], "launcher.n=1,2: must be one value"),
    (["-m", "data=shapes", "launcher=local", "launcher.n=two"], "launcher.n=two: must be a whole number of at least 1"),
    (["-m", "data=shapes", "launcher=local", "launcher.n=0"], "launcher.n=0: must be a whole number of at least 1"),
    (["-m", "data=shapes", "launcher=slurm", "launcher.speed=3"], "launcher.speed: there is no such key"),
    (["-m", "data=shapes", "launcher=cloud"], "launcher=cloud: must be one of serial, local, slurm"),
    (["-m", "data=shapes", "launcher.give_up_after=0"], "launcher.give_up_after=0: must be a whole number of at least 1"),
    (["data=shapes", "launcher=local"], "launcher=local: launches the runs of a sweep, which needs -m"),
    # pairs
    (["-m", "data=shapes", "network.steps=3,6", "network.step_size=1,0.5,0.2", "pair=network.steps,network.step_size"],
     "there are 2 of network.steps and 3 of network.step_size"),
    (["-m", "data=shapes", "seed=0,1", "pair=seed,network.steps"], "network.steps must be a key that has values in this sweep"),
    (["-m", "data=shapes", "seed=0,1", "pair=seed"], "pair=seed: must name two keys or more"),
    (["data=shapes", "pair=seed,network.steps"], "pair=seed,network.steps: belongs to a sweep, which needs -m"),
    # choices
    (["dynamic=wave"], "dynamic=wave: must be one of parabolic, hamiltonian, second_order, resnet, or FILE.py:CLASS"),
    (["dynamic=[parabolic,resnet]"], "dynamic=[parabolic,resnet]: must be one of parabolic, hamiltonian"),
    (["network=null"], "network=null: must be one of"),
    (["recipe=mine"], "recipe=mine: must be one of authors, jmiv, paper"),
    (["data=cifar10"], "data=cifar10: must be one of shapes, stl10"),
    (["network=huge"], "network=huge: must be one of"),
    (["schedule=long"], "schedule=long: must be one of"),
    (["network.norm=layer"], "network.norm=layer: must be one of instance, channel, channel_rms, none"),
    (["network.activation=gelu"], "network.activation=gelu: must be one of relu, tanh"),
    (["objective.smoothness=l2"], "objective.smoothness=l2: must be one of tv, h1, none"),
    (["precision=float16"], "precision=float16: must be one of float32, tf32, bfloat16"),
    (["data.augmentation=cutout"], "data.augmentation=cutout: must be one of none, flip_crop"),
    # types
    (["schedule.epochs=many"], "schedule.epochs=many: must be a whole number"),
    (["schedule.epochs=1.5"], "schedule.epochs=1.5: must be a whole number"),
    (["seed=null"], "seed=null: must be a whole number"),
    (["data.fraction=half"], "data.fraction=half: must be a number"),
    (["data.download=maybe"], "data.download=maybe: must be true or false"),
    (["network.widths=16"], "network.widths=16: must be a list like [1,2]"),
    (["network.widths=[16,x]"], "network.widths=[16,x]: must be a list"),
    (["network.widths=[4,[8]]"], "network.widths=[4, [8]]: must be a list like [1,2], each a whole number"),
    # ranges
    (["data.fraction=0"], "data.fraction=0.0: must be a number above 0 and at most 1"),
    (["data.fraction=1.5"], "data.fraction=1.5: must be a number above 0 and at most 1"),
    (["data.fraction=-0.1"], "data.fraction=-0.1: must be a number above 0 and at most 1"),
    (["data.fraction=nan"], "data.fraction=nan: must be a number above 0 and at most 1"),
    (["data.fraction=0.333"], "data.fraction=0.333: gives 166.5 of 500 images a class; must be a multiple of 1/500"),
    (["data.fraction=0.001"], "data.fraction=0.001: gives 0.5 of 500 images a class"),
    (["data.fold=10"], "data.fold=10: must be a whole number of at least 0 and at most 9 or null"),
    (["data.validation=1"], "data.validation=1.0: must be a number of at least 0 and below 1"),
    (["schedule.epochs=-3"], "schedule.epochs=-3: must be a whole number of at least 1"),
    (["schedule.epochs=0"], "schedule.epochs=0: must be a whole number of at least 1"),
    (["schedule.batch_size=0"], "schedule.batch_size=0: must be a whole number of at least 1"),
    (["schedule.learning_rate=0"], "schedule.learning_rate=0.0: must be a number above 0"),
    (["schedule.learning_rate=1e308"], "must be a number above 0 and at most 1e+30"),
    (["network.last_width=999999999999999999999"], "must be a whole number of at least 1 and at most 65536 or null"),
    (["schedule.learning_rate=inf"], "schedule.learning_rate=inf: must be a number above 0"),
    (["schedule.milestones=[80,60]"], "schedule.milestones=[80, 60]: must be in ascending order"),
    (["network.steps=0"], "network.steps=0: must be a whole number of at least 1"),
    (["network.step_size=-1"], "network.step_size=-1.0: must be a number above 0"),
    (["objective.alpha1=-1"], "objective.alpha1=-1.0: must be a number of at least 0"),
    (["objective.eps=0"], "objective.eps=0.0: must be a number above 0"),
    (["optimizer.momentum=1"], "optimizer.momentum=1.0: must be a number of at least 0 and below 1"),
    (["optimizer.bound=0"], "optimizer.bound=0.0: must be a number above 0"),
    (["evaluation.every=-1"], "evaluation.every=-1: must be a whole number of at least 0"),
    (["seed=-1"], "seed=-1: must be a whole number of at least 0 and at most 4294967295"),
    # what does not go together
    (["dynamic=hamiltonian", "network.widths=[16,33]"], "network.widths=[16, 33]: must be multiples of 2"),
    (["network.widths=[]"], "network.widths=[]: must name at least one unit's channels"),
    (["network.widths=[2,2,2,2,2,2,2,2]"], "8 units halve a 96-pixel image to nothing; must be at most 6 units"),
    (["data.fraction=0.02"], "schedule.batch_size=128: must be at most 100, the number of training images"),
    (["evaluation.iterate=best"], "evaluation.iterate=best: needs validation images; set data.validation"),
    (["device=gpu"], "device=gpu: must be auto, cpu, cuda or cuda:N"),
    (["device=cpu", "precision=tf32"], "precision=tf32: must be float32, bfloat16 or float64 on device=cpu"),
    (["name=../elsewhere"], "name=../elsewhere: must be a folder name"),
    (["name=/tmp/x"], "name=/tmp/x: must be a folder name"),
    (["name=" + 300 * "x"], "xxx...: must have no part of more than 200 bytes between two /"),
    (["output_root=~nobody-of-that-name/x"], "there is no user nobody-of-that-name here; must name a folder"),
    (["output_root="], "output_root=: must name a folder"),
    # sweeps: all of them before the first run
    (["study=fig2"], "study=fig2: is a sweep of many runs, which needs -m"),
    (["-m", "study=fig9"], "study=fig9: must be one of all, controls, demo, fig1, fig2, fig3"),
    (["-m", "study=fig1,fig2"], "study=fig1,fig2: must be one study at a time"),
    (["-m", "data=shapes", "data.fraction=0.1,0.5,7"], "data.fraction=7.0: must be a number above 0 and at most 1"),
    (["-m", "data=shapes", "data.fraction=0.5,0.007"], "data.fraction=0.007: gives 1.4 of 200 images a class"),
    (["-m", "data=shapes", "seed=range(3,0)"], "seed=range(3,0): has no value"),
    (["-m", "data=shapes", "seed=glob(*)"], "seed=glob(*): must be values with commas between them, or range("),
    (["-m", "data=shapes", "seed=0,x"], "seed=x: must be a whole number"),
    (["-m", "data=shapes", "network.steps=2,3"], "they differ in network.steps; give each a folder, for example with name="),
    (["--plan", "data.fraction=3"], "data.fraction=3.0: must be a number above 0 and at most 1"),
    (["-m", "study=fig2"], "data/stl10_binary lacks"),
]  # fmt: skip


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """A command in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PDENET_DATA_ROOT", raising=False)
    monkeypatch.delenv("PDENET_DEBUG", raising=False)

    def run(*words):
        code = command_line.execute(list(words))
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("words", "sentence"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_a_wrong_command_is_refused_in_one_sentence(command, tmp_path, words, sentence):
    code, out, err = command(*words)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_no_gpu_where_there_is_none(command, monkeypatch):
    monkeypatch.setattr("pdenet_repro.system.gpu_driver._driver_sees_gpus", lambda: False)
    for words, sentence in (
        (["device=cuda"], "device=cuda: needs an NVIDIA GPU, and no driver for one is found here; must be device=cpu"),
        (["device=cuda:3"], "device=cuda:3: needs an NVIDIA GPU"),
        (["precision=tf32"], "precision=tf32: needs an NVIDIA GPU"),
    ):
        code, _, err = command(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(sentence)


def test_missing_images(command, tmp_path):
    code, out, err = command("dynamic=hamiltonian")
    assert code == 2
    assert err.count("\n") == 1
    assert str(tmp_path / "data" / "stl10_binary") in err or "data/stl10_binary" in err
    assert "data.root=data data.download=true" in err
    assert "data=shapes" in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_home_folder_may_be_written_with_a_tilde(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    _, _, err = command("data.root=~/pictures")
    assert str(tmp_path / "home" / "pictures" / "stl10_binary") in err


@pytest.mark.parametrize("path", ["/tmp/données", "/tmp/it's (here), [x] = 1"])
def test_a_path_needs_no_quotes(command, path):
    quoted = f'"{path}"' if "," in path else path  # a comma has another meaning
    _, _, err = command(f"data.root={quoted}")
    assert f"{path}/stl10_binary" in err
    assert command("data=shapes", f"output_root={quoted}", "--cfg", "job")[0] == 0


def test_without_arguments_it_says_what_it_would_do(command):
    code, out, err = command()
    assert (code, err) == (0, "")
    assert "would train the parabolic network of recipe paper" in out
    assert "data.download=true" in out
    assert "data=shapes network=small schedule=short" in out


def test_help(command):
    code, out, _ = command("--help")
    assert code == 0
    assert "exit codes" in out


def test_cfg_job_shows_the_composed_result(command):
    code, out, err = command("dynamic=second_order", "recipe=jmiv", "--cfg", "job")
    assert (code, err) == (0, "")
    assert "dynamic: second_order" in out
    assert "alpha1: 0.0004" in out


def python(*words, cwd, **environment):
    started = time.monotonic()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PDENET_", "HYDRA_"))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], cwd=cwd, env=clean | environment, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    errors = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    return done.returncode, errors, imported, time.monotonic() - started


@pytest.mark.slow
def test_a_refusal_is_quick_because_torch_is_not_loaded(tmp_path):
    for words in (["data.fraction=0"], ["dynamic=wave"], ["dynamic=hamiltonian"], ["schedule.batch_size=9999"]):
        code, errors, imported, _ = python("-m", "pdenet_repro", *words, cwd=tmp_path)
        assert (code, len(errors)) == (2, 1), errors
        assert "pdenet_repro.config.compose" in imported
        assert "torch" not in imported


@pytest.mark.slow
def test_debug_mode_shows_the_traceback_before_the_sentence(tmp_path):
    code, errors, *_ = python("-m", "pdenet_repro", "data.fraction=0", cwd=tmp_path, PDENET_DEBUG="1")
    assert code == 2
    assert any(line.startswith("Traceback") for line in errors)
    assert errors[-1].startswith("data.fraction=0.0: must be a number above 0")
