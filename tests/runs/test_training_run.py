"""A run repeated, stopped or crashed at any moment and resumed ends in the same bytes."""

import contextlib
import errno
import functools
import hashlib
import json
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from pdenet_repro import compose, load_run
from pdenet_repro.config.schema import STATISTICS
from pdenet_repro.data.stl10 import Dataset, Images
from pdenet_repro.runs import provenance
from pdenet_repro.runs.folder import RunFolder, load_summary
from pdenet_repro.runs.training_run import TrainingRun
from pdenet_repro.runs.work import work_left
from pdenet_repro.system import device
from pdenet_repro.system.console import Log
from pdenet_repro.system.errors import CheckpointError, InvalidConfig, NonFiniteNumbers, RunFolderError, StorageError
from pdenet_repro.system.signals import Interrupted, stop_request

SAME = ("metrics.csv", "weights.safetensors", "predictions.npz", "confusion.csv")
PLAIN = ("evaluation.every=1",)
VALIDATED = ("recipe=jmiv", "data.validation=0.25", "network=tiny", "schedule=short")  # best iterate, augmentation


class Stop:
    """A stop request that is there from the ``at``-th query on; ``at=None``: never."""

    def __init__(self, at=None):
        self.at, self.queries = at, 0

    @property
    def received(self):
        self.queries += 1
        return "SIGTERM" if self.at is not None and self.queries >= self.at else None


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


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Hundreds of runs end here; tests/runs/test_tensorboard.py draws their picture."""
    monkeypatch.setattr("pdenet_repro.runs.tensorboard.confusion_figure", lambda matrix, names: None)
    monkeypatch.setattr("pdenet_repro.runs.tensorboard.pixels", lambda figure: np.zeros((1, 1, 3), np.uint8))


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
        summary = TrainingRun(config, dataset, folder, log, stop or Stop()).execute()
    return folder.path, summary


def test_the_time_left_includes_the_evaluation(tmp_path, dataset):
    config = configuration(tmp_path)
    with RunFolder(config).locked():
        training = TrainingRun(config, dataset, RunFolder(config), Log(), Stop())
    training.history.timings = [{"seconds": 20.0}]  # of an epoch of 40 images
    left = work_left(config)
    assert training._seconds_left() == pytest.approx(0.5 * left.train + 0.5 / 3 * left.evaluate)
    training.evaluator.evaluated, training.evaluator.seconds = 10, 20.0
    assert training._seconds_left() == pytest.approx(0.5 * left.train + 2.0 * left.evaluate)


def test_wall_time_is_counted_over_interruptions(tmp_path, dataset):
    config = configuration(tmp_path)
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=7))
    checkpoint = max((RunFolder(config).path / "checkpoints").glob("step-*"))
    with safe_open(checkpoint, "pt") as file:
        before = json.loads(file.metadata()["values"])["wall_seconds"]
    assert before > 0
    path, summary = go(config, dataset)
    assert summary["wall_seconds"] > max(before, summary["training_seconds"])
    assert not (path / "progress.json").exists()


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
    assert "in epoch 1 features that were computed backwards had a relative error of" in capsys.readouterr().err


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
    moments = whole.queries
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


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("pdenet_repro.system.files.RETRY_DELAYS", (0, 0))


@pytest.mark.slow
def test_a_write_that_fails_once_costs_nothing(tmp_path, dataset, monkeypatch, impatient):
    """A disk that is full for a moment; writes before the training end the attempt, since nothing is lost yet."""
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
        if number <= 3:  # the heartbeat, config.yaml, command.txt
            with pytest.raises(StorageError, match="No space left on device"):
                go(config, dataset)
        path, _ = go(config, dataset)
        assert contents(path) == contents(undisturbed), f"write {number} of {total}"


def test_a_disk_that_stays_full_ends_the_attempt_and_nothing_saved_is_lost(tmp_path, dataset, monkeypatch, impatient):
    undisturbed, _ = go(configuration(tmp_path / "whole"), dataset)
    config, replace, full = configuration(tmp_path / "full", "checkpoint.seconds=0"), os.replace, False

    def fill(source, target):
        nonlocal full
        full = full or "step-00000004" in str(target)
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("pdenet_repro.system.files.os.replace", fill)
        with pytest.raises(StorageError, match="No space left on device"):
            go(config, dataset)
    path, _ = go(config, dataset)
    assert "trying again in 0 s" in (path / "run.log").read_text()
    assert "continuing from the checkpoint at epoch 1, step 3" in (path / "run.log").read_text()
    assert contents(path) == contents(undisturbed)


@pytest.mark.parametrize("victim", ["add_scalar", "add_image", "flush"])
def test_a_failure_of_tensorboard_or_a_picture_ends_no_training(tmp_path, dataset, monkeypatch, victim):
    from torch.utils.tensorboard import SummaryWriter

    def fail(*_, **__):
        raise RuntimeError("no picture today")

    monkeypatch.setattr(SummaryWriter, victim, fail)
    path, _ = go(configuration(tmp_path), dataset)
    assert load_summary(path)
    assert (path / "run.log").read_text().count("no more events for TensorBoard are written") == 1


@pytest.mark.parametrize("fault", ["a folder", "a full disk"])
def test_a_run_log_that_cannot_be_written_ends_no_training(tmp_path, dataset, capsys, fault):
    config = configuration(tmp_path)
    path = RunFolder(config).path
    path.mkdir(parents=True)
    if fault == "a folder":
        (path / "run.log").mkdir()
    else:
        (path / "run.log").symlink_to("/dev/full")
    path, _ = go(config, dataset)
    assert load_summary(path)
    assert capsys.readouterr().err.count("cannot write") == 1


def test_every_attempt_is_recorded(tmp_path, dataset):
    config = configuration(tmp_path)
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=8))
    path, summary = go(config, dataset)
    first, second = summary["attempts"]
    assert (first["epochs"], second["epochs"]) == ([1, 2], [2, 3])
    assert first["from"] <= first["to"] <= second["from"] <= second["to"]
    assert first["compiled"] is second["compiled"] is False
    assert second["memory"] == "store"
    assert set(first) >= {"git_commit", "versions", "hardware", "threads", "device", "command"}
    assert "what computes this run has changed" not in (path / "run.log").read_text()


def test_what_changes_on_resume_is_warned_of_or_refused(tmp_path, dataset, monkeypatch):
    config = configuration(tmp_path)
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=8))
    real = device.hardware
    monkeypatch.setattr(device, "hardware", lambda where: real(where) | {"threads": 64})
    with pytest.raises(CheckpointError, match=r"resume=exact: .*threads: \d+ before, 64 now"):
        go(replace(config, resume="exact"), dataset)
    path, summary = go(config, dataset)
    assert "64 now" in (path / "run.log").read_text()
    assert [attempt["threads"] for attempt in summary["attempts"]][1] == 64


def test_a_run_on_a_gpu_goes_on_without_one_only_if_that_is_typed(tmp_path, dataset, monkeypatch):
    config, real = configuration(tmp_path), device.hardware
    with monkeypatch.context() as patch:
        patch.setattr(device, "hardware", lambda where: real(where) | {"device": "cuda:0", "gpu": "some GPU"})
        with pytest.raises(Interrupted):
            go(config, dataset, Stop(at=8))
    with pytest.raises(CheckpointError, match=r"device=auto: .*computed on cuda:0 so far.*give device=cpu to continue"):
        go(replace(config, device="auto"), dataset)
    path, _ = go(config, dataset)
    assert "device: cuda:0 before, cpu now" in (path / "run.log").read_text()


def test_a_run_goes_on_with_its_own_images_only(tmp_path, dataset):
    config = configuration(tmp_path)
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=8))
    with pytest.raises(CheckpointError, match=r"are of a run on other images"):
        go(config, replace(dataset, checksums={"train_X.bin": "of another"}))
    go(config, dataset)


def test_a_checkpoint_of_version_0_1_is_gone_on_from(tmp_path, dataset):
    """It had neither attempts nor checksums, fewer columns, and one under another name."""
    undisturbed, _ = go(configuration(tmp_path / "whole"), dataset)
    config = configuration(tmp_path / "old")
    with pytest.raises(Interrupted):
        go(config, dataset, Stop(at=8))
    (newest,) = (RunFolder(config).path / "checkpoints").glob("step-*")
    with safe_open(newest, "pt") as file:
        values = json.loads(file.metadata()["values"])
    del values["attempts"], values["data_md5"]
    for row in values["rows"]:
        for kind in STATISTICS:
            del row[f"test_accuracy_{kind}"]
        row["train_accuracy"] = row.pop("running_train_accuracy")
    data = save(load_file(newest), {"values": json.dumps(values), "run": "old digest"})
    newest.unlink()
    (newest.parent / f"{newest.name[:14]}{hashlib.sha256(data).hexdigest()[:16]}.safetensors").write_bytes(data)
    path, _ = go(config, dataset)
    assert contents(path) == contents(undisturbed)


def test_a_folder_that_is_moved_while_its_run_goes_on_stops_it(tmp_path, dataset):
    config = configuration(tmp_path, "checkpoint.seconds=0")
    path = RunFolder(config).path

    class Moving(Stop):
        @property
        def received(self):
            if super().received and path.exists():
                path.rename(tmp_path / "moved")
            return None

    with pytest.raises(RunFolderError, match="was removed, moved or replaced"):
        go(config, dataset, Moving(at=4))
    assert not path.exists()
    assert not (tmp_path / "moved" / "summary.json").exists()


def test_a_summary_of_another_configuration_is_not_taken_for_the_result(tmp_path, dataset):
    one, other = configuration(tmp_path / "a"), configuration(tmp_path / "b", "seed=1")
    path, _ = go(one, dataset)
    there, _ = go(other, dataset)
    (path / "summary.json").write_bytes((there / "summary.json").read_bytes())
    with pytest.raises(RunFolderError, match=r"summary\.json is of another configuration"):
        RunFolder(one).finished()


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_weights_change(tmp_path, dataset):
    """The root of the total variation has an infinite slope at 0 if nothing is added under it."""
    config = configuration(tmp_path, "objective.eps=1e-50", "checkpoint.seconds=0")
    for _ in range(2):
        with pytest.raises(NonFiniteNumbers, match=r"its gradient, .*, is not at epoch 1, step 1, .*objective\.eps"):
            go(config, dataset)
    path = RunFolder(config).path
    assert not (path / "summary.json").exists()
    assert not (path / "checkpoints").exists()


def test_float64_trains_evaluates_and_saves_in_float64(tmp_path, dataset):
    double, _ = go(configuration(tmp_path / "double", "precision=float64"), dataset)
    single, _ = go(configuration(tmp_path / "single"), dataset)
    network, _ = load_run(double)
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    found, expected = (np.load(path / "predictions.npz")["probabilities"] for path in (double, single))
    assert (found.dtype, expected.dtype) == (np.float64, np.float32)
    assert np.allclose(found, expected, atol=0.05)
    assert not np.array_equal(found, expected)
    with torch.no_grad():
        again = network.probabilities(torch.from_numpy(dataset.test.pixels[:10]))
    assert np.array_equal(again.numpy(), found[:10])


@pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled")
def test_a_stop_while_compiling_is_answered_at_once_and_saves_nothing_halfway(tmp_path, dataset, monkeypatch):
    """The compiler never ends; the signal ends the attempt."""
    from torch._inductor import compile_fx

    def stop_and_wait(*_, **__):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("the signal did not end the compilation")

    monkeypatch.setattr(compile_fx, "fx_codegen_and_compile", stop_and_wait)
    config = configuration(tmp_path, "performance=compile")
    with (
        torch._inductor.config.patch({"force_disable_caches": True}),
        torch._functorch.config.patch({"enable_autograd_cache": False}),
        pytest.raises(Interrupted, match=r"stopped by SIGTERM while compiling"),
        stop_request as stop,
    ):
        go(config, dataset, stop)
    assert not (RunFolder(config).path / "checkpoints").exists()


def test_a_non_finite_objective_stops_before_the_weights_are_touched(tmp_path, dataset):
    words = ("schedule.learning_rate=1e30", "optimizer.bound=null", "network.norm=none", "network.connector_norm=none")
    config = configuration(tmp_path, *words, "checkpoint.seconds=0")
    with pytest.raises(
        NonFiniteNumbers, match=r"epoch 1, step 2, learning rate 1e\+30; .*Lower schedule\.learning_rate"
    ):
        go(config, dataset)
    path = RunFolder(config).path
    assert not (path / "summary.json").exists()
    with pytest.raises(NonFiniteNumbers, match="epoch 1, step 2"):  # and again: it continues from the good step
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
        training = TrainingRun(config, dataset, folder, Log(), Stop())
        head = "second"
        assert training.execute()["git_commit"].startswith("first+changes-")
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
    with pytest.raises(RunFolderError, match=r"weights\.safetensors is damaged: its SHA-256 is \w+, expected \w+"):
        load_run(path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        load_run(tmp_path)
