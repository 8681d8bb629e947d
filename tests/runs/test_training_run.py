"""A run repeated, stopped or crashed at any moment and resumed ends in the same bytes."""

import contextlib
import errno
import functools
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pdenet_repro import compose, load_run
from pdenet_repro.data.stl10 import Dataset, Images
from pdenet_repro.runs import provenance
from pdenet_repro.runs.folder import RunFolder, load_summary
from pdenet_repro.runs.training_run import Session
from pdenet_repro.system.console import Log
from pdenet_repro.system.errors import InvalidConfig, NonFiniteNumbers, RunFolderError, StorageError
from pdenet_repro.system.signals import Interrupted, StopRequest
from pdenet_repro.training.evaluation import STATISTICS

SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")
PLAIN = ("evaluation.every=1",)
VALIDATED = ("recipe=jmiv", "data.validation=0.25", "network=tiny", "schedule=short")  # best iterate, augmentation


class Stop:
    """A stop request that comes when it is looked for the ``at``-th time; ``at=None``: never."""

    def __init__(self, at=None):
        self.at, self.looked = at, 0

    @property
    def received(self):
        self.looked += 1
        return "SIGTERM" if self.at is not None and self.looked >= self.at else None


class Crash(Exception):
    """Ends a run as a power cut does: nothing is saved."""


class CrashingStop(Stop):
    @property
    def received(self):
        if super().received:
            raise Crash
        return None


@pytest.fixture(scope="module")
def dataset():
    random = np.random.default_rng(0)
    parts = []
    for per_class in (4, 3):
        labels = np.repeat(np.arange(10), per_class)
        pixels = random.integers(0, 256, (len(labels), 3, 16, 16), dtype=np.uint8)
        pixels[:, 0] //= (labels + 1).astype(np.uint8)[:, None, None]
        parts.append(Images(pixels, labels))
    names = tuple(f"class{i}" for i in range(10))
    return Dataset(*parts, class_names=names, folds=(), checksums={"train_X.bin": "of the test"})


@functools.cache
def composed(*more):
    words = ("data=shapes", "network=tiny", "schedule=short", "schedule.epochs=3", "schedule.batch_size=8")
    return compose(*words, "device=cpu", "evaluation.batch_size=10", "name=test", *more)


def configuration(root, *more):
    return replace(composed(*more), output_root=str(root))


def go(config, dataset, stop=None):
    folder, log = RunFolder(config), Log()
    with folder.locked():
        folder.begin("")
        log.path = folder.path / "run.log"
        summary = Session(config, dataset, folder, log, stop or Stop()).carry_out()
    return folder.path, summary


def contents(path):
    return {name: (path / name).read_bytes() for name in SAME}


def test_the_folder_is_complete(tmp_path, dataset):
    path, summary = go(configuration(tmp_path), dataset)
    assert {entry.name for entry in path.iterdir()} == {
        *SAME, "config.yaml", "command.txt", "timings.csv", "examples.npz", "summary.json", "tensorboard", "run.log", "run.lock",
    }  # fmt: skip
    assert load_summary(path).items() > summary.items()
    predictions = np.load(path / "predictions.npz")
    right = (predictions["probabilities"].argmax(1) == dataset.test.labels).mean()
    assert summary["test_accuracy"] == pytest.approx(right, abs=0)
    rows = [line.split(",") for line in (path / "confusion.csv").read_text().splitlines()[1:]]
    matrix = np.array([row[1:] for row in rows], dtype=int)
    assert [row[0] for row in rows] == list(dataset.class_names)
    assert matrix.sum(1).tolist() == [3] * 10
    assert matrix.trace() == round(right * 30)


def test_the_objective_in_the_metrics_is_the_sum_of_its_terms(tmp_path, dataset):
    path, _ = go(configuration(tmp_path), dataset)
    rows = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True)
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert np.allclose(rows["loss"], rows["data_loss"] + rows["smoothness"] + rows["decay"], rtol=1e-12)
    assert np.isnan(rows["test_accuracy"]).tolist() == [True, True, False]
    assert (rows["largest_weight"] <= 1).all()


@pytest.mark.parametrize("dynamic", ["hamiltonian", "second_order"])
def test_training_curves_are_alike_however_features_are_had(tmp_path, dataset, dynamic):
    curves = {}
    for mode in ("store", "recompute", "reverse"):
        words = (f"dynamic={dynamic}", "network.steps=6", "network.step_size=0.5", f"network.memory={mode}")
        path, _ = go(configuration(tmp_path / mode, *words), dataset)
        curves[mode] = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True)["loss"]
        drift = np.genfromtxt(path / "timings.csv", delimiter=",", names=True)["reversal_drift"]
        assert (drift < 1e-4).all() if mode == "reverse" else np.isnan(drift).all()
    assert np.array_equal(curves["recompute"], curves["store"])
    assert np.allclose(curves["reverse"], curves["store"], rtol=1e-3)
    assert "warning" not in (path / "run.log").read_text()


def test_features_that_cannot_be_had_back_are_warned_of(tmp_path, dataset, capsys):
    """Without norms and with h = 2 the wave-like features grow by orders of magnitude."""
    words = (
        "dynamic=second_order",
        "network.norm=none",
        "network.steps=16",
        "network.step_size=2",
        "network.memory=reverse",
    )
    path, _ = go(configuration(tmp_path, *words, "schedule.learning_rate=1e-6"), dataset)
    assert np.genfromtxt(path / "timings.csv", delimiter=",", names=True)["reversal_drift"][0] > 1e-3
    assert "the gradients are not to be trusted; use network.memory=recompute" in (path / "run.log").read_text()
    assert "in epoch 1 features that were computed backwards were off by" in capsys.readouterr().err


@pytest.mark.parametrize("variant", [PLAIN, VALIDATED], ids=["plain", "validated"])
def test_repeated_it_is_the_same_bytes(tmp_path, dataset, variant):
    paths = [go(configuration(tmp_path / part, *variant), dataset)[0] for part in "ab"]
    assert contents(paths[0]) == contents(paths[1])


@pytest.mark.slow
@pytest.mark.parametrize("variant", [PLAIN, VALIDATED], ids=["plain", "validated"])
@pytest.mark.parametrize("ending", [Stop, CrashingStop], ids=["stopped", "crashed"])
def test_ended_at_every_moment_and_resumed_it_is_the_same_bytes(tmp_path, dataset, variant, ending):
    """Every step and every evaluated batch; a crash is resumed from the checkpoint of at most two steps before."""
    whole = Stop()
    undisturbed, _ = go(configuration(tmp_path / "whole", *variant), dataset, whole)
    moments = whole.looked
    assert moments > 15
    for at in range(1, moments + 1):
        config = configuration(tmp_path / str(at), *variant, "checkpoint.seconds=0")
        with pytest.raises((Interrupted, Crash)):
            go(config, dataset, ending(at))
        path, _ = go(config, dataset)
        assert contents(path) == contents(undisturbed), f"ended at moment {at} of {moments}"


def test_stopped_again_and_again_it_is_the_same_bytes(tmp_path, dataset):
    undisturbed, _ = go(configuration(tmp_path / "whole", *VALIDATED), dataset)
    config, stops = configuration(tmp_path / "stopped", *VALIDATED), 0
    while not (RunFolder(config).path / "summary.json").exists():
        with contextlib.suppress(Interrupted):
            go(config, dataset, Stop(at=13))  # the last evaluation alone looks twelve times
        stops += 1
    assert stops >= 3
    assert contents(RunFolder(config).path) == contents(undisturbed)


def test_a_damaged_checkpoint_costs_steps_not_the_result(tmp_path, dataset):
    undisturbed, _ = go(configuration(tmp_path / "whole"), dataset)
    config = configuration(tmp_path / "damaged", "checkpoint.seconds=0")
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=8))
    newest = max((RunFolder(config).path / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    path, _ = go(config, dataset)
    assert contents(path) == contents(undisturbed)
    assert "cannot be used (its SHA-256 begins with" in (path / "run.log").read_text()
    assert [file.name for file in (path / "checkpoints").iterdir()] == [f"{newest.name}.damaged"]


@pytest.mark.slow
def test_a_full_disk_at_any_write_loses_nothing_saved(tmp_path, dataset, monkeypatch):
    undisturbed, _ = go(configuration(tmp_path / "whole"), dataset)
    replace, writes, fail_at = os.replace, 0, 0

    def sometimes_full(source, target):
        nonlocal writes
        writes += 1
        if writes == fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("pdenet_repro.system.files.os.replace", sometimes_full)
    go(configuration(tmp_path / "counted", "checkpoint.seconds=0"), dataset)
    total = writes
    assert total > 20
    for number in range(1, total + 1):
        config = configuration(tmp_path / str(number), "checkpoint.seconds=0")
        writes, fail_at = 0, number
        with pytest.raises(StorageError, match="No space left on device"):
            go(config, dataset)
        fail_at = 0
        path, _ = go(config, dataset)
        assert contents(path) == contents(undisturbed), f"write {number} of {total}"


def test_a_non_finite_objective_stops_before_the_weights_are_touched(tmp_path, dataset):
    words = ("schedule.learning_rate=1e30", "optimizer.bound=null", "network.norm=none", "network.connector_norm=none")
    config = configuration(tmp_path, *words, "checkpoint.seconds=0")
    with pytest.raises(
        NonFiniteNumbers, match=r"epoch 1, step 2, learning rate 1e\+30; .*Lower schedule\.learning_rate"
    ):
        go(config, dataset)
    path = RunFolder(config).path
    assert not (path / "summary.json").exists()
    with pytest.raises(NonFiniteNumbers, match="epoch 1, step 2"):  # and again: it goes on from the good step
        go(config, dataset)


def test_the_commit_is_that_of_the_beginning(tmp_path, dataset, monkeypatch):
    """The checkout may move on while a run trains; the code that runs does not."""
    head = "first"
    monkeypatch.setattr(
        provenance.subprocess,
        "run",
        lambda *words, **options: SimpleNamespace(stdout=head if "HEAD" in words[0] else "x"),
    )
    provenance.git_commit.cache_clear()
    config = configuration(tmp_path)
    folder = RunFolder(config)
    with folder.locked():
        folder.begin("")
        session = Session(config, dataset, folder, Log(), Stop())
        head = "second"
        assert session.carry_out()["git_commit"].startswith("first+changes-")
    provenance.git_commit.cache_clear()


def test_a_finished_run_is_loaded_and_predicts_what_it_saved(tmp_path, dataset):
    path, _ = go(configuration(tmp_path, *VALIDATED), dataset)
    network, config = load_run(path)
    assert config.recipe == "jmiv"
    with torch.no_grad():
        found = network.probabilities(torch.from_numpy(dataset.test.pixels[:10]))
    assert np.array_equal(found.numpy(), np.load(path / "predictions.npz")["probabilities"][:10])


@pytest.mark.parametrize("words", [(), VALIDATED])
def test_every_kind_of_statistics_is_measured_and_the_chosen_one_reported_and_saved(tmp_path, dataset, words):
    found = {}
    for kind in STATISTICS:
        path, summary = go(configuration(tmp_path / kind, *words, f"evaluation.statistics={kind}"), dataset)
        found[kind] = summary["test_accuracy_by_statistics"]
        assert set(found[kind]) == set(STATISTICS)
        assert summary["test_accuracy"] == found[kind][kind]
        network, _ = load_run(path)
        saved = np.load(path / "predictions.npz")["probabilities"]
        with torch.no_grad():
            again = network.probabilities(torch.from_numpy(dataset.test.pixels[:10]))
        assert np.array_equal(again.numpy(), saved[:10])
        if not words:
            last = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True)[-1]
            assert found[kind] == {other: last[f"test_accuracy_{other}"] for other in STATISTICS}
    if not words:  # what is measured changes no weight
        assert found["running"] == found["batch"] == found["reestimated"]


def test_statistics_are_refused_where_no_norm_keeps_any(tmp_path, dataset):
    with pytest.raises(InvalidConfig, match=r"evaluation\.statistics=batch.*must be running.*connector_norm=instance"):
        composed("network.connector_norm=instance", "evaluation.statistics=batch")
    _, summary = go(configuration(tmp_path, "network.connector_norm=instance"), dataset)
    assert summary["test_accuracy_by_statistics"] == {}


def test_a_run_with_a_smaller_last_batch_is_stopped_and_resumed_to_the_same_bytes(tmp_path, dataset):
    words = ("schedule.batch_size=15", "schedule.last_batch=keep")  # 40 images: 15, 15, 10
    path, _ = go(configuration(tmp_path / "whole", *words), dataset)
    assert "3 steps of 15 images, the last of 10" in (path / "run.log").read_text()
    for at in (3, 8):
        config = configuration(tmp_path / f"stopped-{at}", *words)
        with pytest.raises(Interrupted):
            go(config, dataset, Stop(at=at))
        again, _ = go(config, dataset)
        assert contents(again) == contents(path)


def test_the_best_validation_iterate_is_reported(tmp_path, dataset):
    path, summary = go(configuration(tmp_path, *VALIDATED, "evaluation.every=1"), dataset)
    rows = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True)
    best = int(rows["validation_accuracy"].argmax())
    assert summary["epoch_reported"] == best + 1
    assert summary["validation_accuracy"] == rows["validation_accuracy"][best]
    assert summary["test_accuracy"] == rows["test_accuracy"][best]
    assert (summary["train_images"], summary["validation_images"]) == (30, 10)


def test_an_unfinished_or_damaged_run_is_not_loaded(tmp_path, dataset):
    config = configuration(tmp_path)
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=2))
    with pytest.raises(RunFolderError, match="is not finished"):
        load_run(RunFolder(config).path)
    path, _ = go(config, dataset)
    weights = path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(RunFolderError, match=r"weights\.safetensors is damaged: SHA-256 \w+, expected \w+"):
        load_run(path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        load_run(tmp_path)


def test_a_signal_within_a_run_is_known_to_the_sweep_around_it():
    before, stop = signal.getsignal(signal.SIGTERM), StopRequest()
    with stop as sweep:
        with stop as run:
            signal.raise_signal(signal.SIGTERM)
            assert run.received == "SIGTERM"
        with pytest.raises(Interrupted, match="stopped by SIGTERM here"):
            sweep.leave_if_asked("here")
    assert signal.getsignal(signal.SIGTERM) is before
    with stop:
        stop.leave_if_asked("here")  # of another command: nothing came
