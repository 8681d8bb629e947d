"""Training and evaluating one network, stopped and resumed at will; what it finds goes into the run folder."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from pdenet_repro.config.schema import Config
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.data.stl10 import Dataset
from pdenet_repro.data.subset import draw_subset
from pdenet_repro.networks import memory
from pdenet_repro.runs import attempts, provenance
from pdenet_repro.runs.checkpoints import Checkpoint, Checkpoints
from pdenet_repro.runs.evaluator import Evaluator
from pdenet_repro.runs.folder import PROGRESS, RunFolder, with_present_names
from pdenet_repro.runs.results import Outcome, write_results
from pdenet_repro.runs.tensorboard import Events
from pdenet_repro.runs.work import EVALUATION, work_left
from pdenet_repro.system import device
from pdenet_repro.system.console import Bars, Log, epoch_line
from pdenet_repro.system.errors import CheckpointError, StorageError, first_line
from pdenet_repro.system.files import remove
from pdenet_repro.system.signals import Interrupted, StopRequest
from pdenet_repro.training.build import make_trainer
from pdenet_repro.training.evaluation import STATISTICS, accuracy, batch_norms
from pdenet_repro.training.interruptible import StoppedWhileCompiling

Result = TypeVar("Result")

RETRY_DELAYS = (1, 5, 15, 30, 60, 60, 60)  # seconds before each new attempt to write what a run cannot do without


class TrainingRun:
    """One run, in the process that holds its folder's lock.

    The checkpoint is the truth about an unfinished run: the CSV files are written anew from it.
    """

    def __init__(self, config: Config, dataset: Dataset, folder: RunFolder, log: Log, stop: StopRequest) -> None:
        self.config, self.dataset, self.folder, self.log, self.stop = config, dataset, folder, log, stop
        provenance.git_commit()  # remembered for the summary
        self.device = device.set_up(config)
        self.autocast = device.autocast(self.device, config.precision)
        self.chosen = draw_subset(dataset.train.labels, config.data, config.seed, dataset.folds)
        self.train, self.validation = (
            DeviceImages(dataset.train.pixels[part], dataset.train.labels[part], self.device)
            for part in (self.chosen.train, self.chosen.validation)
        )
        self.test = DeviceImages(dataset.test.pixels, dataset.test.labels, self.device)
        self.trainer = make_trainer(config, self.train, self.device, log.warn)
        self.network = self.trainer.network
        self.checkpoints = Checkpoints(folder.path / "checkpoints", config)
        self.attempts: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.timings: list[dict[str, Any]] = []
        self.seconds = 0.0  # of training in the current epoch
        self.best: dict[str, Any] = {"epoch": 0, "accuracy": -1.0}
        self.best_weights: dict[str, Any] = {}
        self.test_probabilities: np.ndarray | None = None  # of the last iterate, once it is evaluated
        self.started = time.monotonic()
        self.wall_seconds_before = 0.0  # of the attempts that this one goes on from
        self.evaluator = Evaluator(
            config, self.network, {"train": self.train, "validation": self.validation, "test": self.test}, self.autocast
        )

    def execute(self) -> dict[str, Any]:
        """Train what is still to train, evaluate, write the results; returns the summary."""
        self.log.say(self._plan())
        self._resume()
        trainer, epochs = self.trainer, self.config.schedule.epochs
        events = Events(self.folder.path / "tensorboard", trainer.progress.epoch, self.log.warn)
        self.bars = Bars(epochs, trainer.batches.steps, trainer.steps_taken, alone=not self.log.prefix)
        self.evaluator.after_batch = self._after_evaluated_batch
        self.saved_at = time.monotonic()
        try:
            while trainer.progress.epoch <= epochs:
                self._train_epoch()
                events.epoch(self.rows[-1], self.timings[-1])
            self._save()
            outcome = self._outcome()
            summary = self._persistently(lambda: write_results(outcome, self.folder, self.device))
            summary["wall_seconds"] = round(self._wall_seconds(), 3)
            events.result(self.config, summary, outcome.confusion, self.network)
        except StoppedWhileCompiling as stop:
            raise Interrupted(
                f"stopped by {stop} while compiling, before anything else was computed that is not saved in "
                f"{self.folder.path}: the same command goes on from there"
            ) from None
        finally:
            self.bars.close()
            events.close()
        self._persistently(lambda: self.folder.finish(summary))
        self.checkpoints.clear()
        remove(self.folder.path / PROGRESS)
        return summary

    def _plan(self) -> str:
        config, hardware, batches = self.config, device.hardware(self.device), self.trainer.batches
        where = hardware["gpu"] or f"{hardware['cpu']} with {hardware['threads']} threads"
        sizes = f"of {batches.batch_size} images"
        if rest := len(self.train) % batches.batch_size:
            sizes += f", the last of {rest}" if self.config.schedule.last_batch == "keep" else f"; {rest} are left out"
        held_out = f", {len(self.validation)} held out" if len(self.validation) else ""
        return (
            f"{config.dynamic} network of {self.network.weight_count():,} weights, recipe {config.recipe}; "
            f"{len(self.train)} training images of {config.data.name}{held_out}; "
            f"{config.schedule.epochs} epochs of {batches.steps} steps {sizes}; on {where}"
        )

    def _resume(self) -> None:
        """Go on from the newest checkpoint, if there is one, and begin the record of this attempt."""
        checkpoint = self.checkpoints.load(self.log.warn)
        if checkpoint is not None:
            try:
                self._restore(checkpoint)
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"the checkpoint of step {checkpoint.step} in {self.checkpoints.folder} is not one of this version "
                    f"({first_line(error)}); go on with the version that wrote it, or move that folder away"
                ) from error
        attempt = attempts.begin(
            device.hardware(self.device),
            (self.folder.path / "command.txt").read_text().strip(),
            min(self.trainer.progress.epoch, self.config.schedule.epochs),
            compiled=self.trainer.compiled,
            memory=str(self.network.units[0].memory),
        )
        if self.attempts and (change := attempts.compare(self.attempts[-1], attempt, self.config)):
            self.log.warn(change)
        self.attempts.append(attempt)

    def _restore(self, checkpoint: Checkpoint) -> None:
        values = checkpoint.values
        images = dict(self.dataset.checksums)
        if values.get("data_md5", images) != images:  # version 0.1 did not keep them
            raise CheckpointError(
                f"the checkpoints in {self.checkpoints.folder} are of a run on other images of {self.config.data.name}; train on "
                f"those (data.root=...), or give this run its own name=..."
            )
        self.trainer.restore(checkpoint.tensors, values["progress"])
        self.rows = [with_present_names(row) for row in values["rows"]]
        self.timings, self.seconds = values["timings"], values["seconds"]
        self.best, self.attempts = values["best"], values.get("attempts", [])
        self.wall_seconds_before = values.get("wall_seconds", 0.0)  # not in checkpoints of version 0.1
        self.best_weights = {
            name.removeprefix("best."): tensor.to(self.device)
            for name, tensor in checkpoint.tensors.items()
            if name.startswith("best.")
        }
        done = self.trainer.progress
        self.log.say(
            f"going on from the checkpoint at epoch {done.epoch}, step {done.step} of {self.trainer.batches.steps}"
        )

    def _save(self) -> None:
        tensors, progress = self.trainer.state()
        epoch = progress["epoch"] if progress["step"] else progress["epoch"] - 1
        attempts.advance(self.attempts[-1], epoch, compiled=self.trainer.compiled)
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_weights.items()}
        values = {
            "progress": progress,
            "rows": self.rows,
            "timings": self.timings,
            "seconds": self.seconds,
            "best": self.best,
            "wall_seconds": self._wall_seconds(),
            "attempts": self.attempts,
            "data_md5": dict(self.dataset.checksums),
        }
        checkpoint = Checkpoint(self.trainer.steps_taken, tensors, values)

        def write() -> None:
            self.folder.confirm()
            self.checkpoints.save(checkpoint)

        self._persistently(write)
        self.saved_at = time.monotonic()

    def _persistently(self, write: Callable[[], Result]) -> Result:
        """Call ``write``, again and again for minutes where that fails: the run cannot do without what it writes."""
        for delay in RETRY_DELAYS:
            try:
                return write()
            except StorageError as error:
                self.log.warn(f"{error}; trying again in {delay} s")
                time.sleep(delay)
        return write()

    def _leave_if_asked(self) -> None:
        if self.stop.received:
            self._save()
            done = self.trainer.progress
            where = (
                f"at epoch {done.epoch}, step {done.step}"
                if done.epoch <= self.config.schedule.epochs
                else "after training"
            )
            raise Interrupted(
                f"stopped by {self.stop.received} {where}; saved in {self.folder.path}: the same command goes on from there"
            )

    def _after_evaluated_batch(self, split: str, done: int, total: int) -> None:
        self.bars.evaluated(split, done, total)
        self._leave_if_asked()  # an evaluation changes nothing, so that all is saved

    def _train_epoch(self) -> None:
        trainer, bars = self.trainer, self.bars
        bars.start_epoch(trainer.progress.epoch, trainer.progress.step)
        clock = time.monotonic()
        for _ in trainer.epoch():
            self.seconds += time.monotonic() - clock
            bars.step()
            self._leave_if_asked()
            if time.monotonic() - self.saved_at >= self.config.checkpoint.seconds:
                self._save()
            clock = time.monotonic()
        device.synchronize(self.device)  # the last step's backward pass
        self.seconds += time.monotonic() - clock
        # Before the epoch is closed: a stop while evaluating comes back to this point.
        accuracies = self._epoch_accuracies()
        row = trainer.finish_epoch() | accuracies | trainer.weight_columns()
        images = self.config.schedule.images_per_epoch(len(self.train))
        drift = self.network.drift()
        timing = {
            "epoch": row["epoch"],
            "seconds": round(self.seconds, 3),
            "images_per_second": round(images / max(self.seconds, 1e-9), 2),
            "peak_memory_mib": round(device.peak_memory(self.device), 1),
            "reversal_drift": drift,
        }
        self.seconds = 0.0
        precision = self.config.precision
        if drift is not None and not drift <= (tolerated := memory.TOLERATED_DRIFT[precision]):
            self.log.warn(
                f"in epoch {row['epoch']} features that were computed backwards were off by {drift:.1e} of their norm, more than "
                f"the {tolerated:.0e} that is usual for precision={precision}: the gradients are not to be trusted; use "
                f"network.memory=recompute, or a smaller network.step_size"
            )
        self.rows.append(row)
        self.timings.append(timing)
        try:
            self.folder.write_rows("metrics.csv", self.rows)
            self.folder.write_rows("timings.csv", self.timings)
        except StorageError as error:  # they are written again, from the checkpoint, after every epoch and at the end
            self.log.warn(f"{error}; the training goes on")
        epochs, seconds_left = self.config.schedule.epochs, self._seconds_left()
        self.log.say(epoch_line(row, timing, epochs, seconds_left))
        with suppress(StorageError):  # of interest while the run goes on, no part of its result
            progress = {"epoch": row["epoch"], "epochs": epochs, "seconds_left": round(seconds_left)}
            self.folder.write(PROGRESS, json.dumps(progress) + "\n")

    def _wall_seconds(self) -> float:
        return self.wall_seconds_before + time.monotonic() - self.started

    def _seconds_left(self) -> float:
        """Until the run is finished, evaluation included, at the mean speeds so far."""
        left = work_left(self.config, self.trainer.steps_taken)
        images = len(self.timings) * self.config.schedule.images_per_epoch(len(self.train))
        training = sum(timing["seconds"] for timing in self.timings) / images
        evaluation = self.evaluator.seconds_an_image or EVALUATION * training
        return float(left.train * training + left.evaluate * evaluation)

    def _epoch_accuracies(self) -> dict[str, float | None]:
        epoch, evaluation = self.trainer.progress.epoch, self.config.evaluation
        found: dict[str, float | None] = {"validation_accuracy": None, "test_accuracy": None}
        found |= {f"test_accuracy_{statistics}": None for statistics in STATISTICS}
        if len(self.validation):
            probabilities = self.evaluator.probabilities("validation")
            found["validation_accuracy"] = value = accuracy(probabilities, self.validation.labels.cpu().numpy())
            if value > self.best["accuracy"]:
                self.best = {"epoch": epoch, "accuracy": value}
                self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        last = epoch == self.config.schedule.epochs and evaluation.iterate == "last"
        if last or (evaluation.every and epoch % evaluation.every == 0):
            self.test_probabilities = self.evaluator.probabilities("test")
            found["test_accuracy"] = accuracy(self.test_probabilities, self.dataset.test.labels)
            if batch_norms(self.network):
                found[f"test_accuracy_{evaluation.statistics}"] = found["test_accuracy"]
            if last or self.device.type == "cuda":  # where it costs seconds, or is done once
                found |= {
                    f"test_accuracy_{kind}": value for kind, value in self.evaluator.with_other_statistics().items()
                }
        return found

    def _accuracy_by_statistics(self, epoch: int) -> dict[str, float]:
        """Test accuracy of the iterate to report, by statistics of the batch norms; empty where it has none."""
        if not batch_norms(self.network):
            return {}
        row = self.rows[epoch - 1]
        known: dict[str, Any] = {kind: row.get(f"test_accuracy_{kind}") for kind in STATISTICS}
        if None in known.values():
            known |= self.evaluator.with_other_statistics()
            assert self.test_probabilities is not None
            known[self.config.evaluation.statistics] = accuracy(self.test_probabilities, self.dataset.test.labels)
        return known

    def _outcome(self) -> Outcome:
        """Everything the results are made of, with the network at the iterate to report."""
        epoch = self.config.schedule.epochs
        if self.config.evaluation.iterate == "best":
            epoch = self.best["epoch"]
            self.network.load_state_dict(self.best_weights)
            self.test_probabilities = None
        if self.test_probabilities is None:  # resumed after the last epoch, or not the last iterate
            self.test_probabilities = self.evaluator.probabilities("test")
        train_accuracy = accuracy(self.evaluator.probabilities("train"), self.train.labels.cpu().numpy())
        by_statistics = self._accuracy_by_statistics(epoch)
        if self.config.evaluation.statistics == "reestimated":
            self.evaluator.reestimate()  # into the weights that are saved
        return Outcome(
            config=self.config,
            network=self.network,
            dataset=self.dataset,
            subset=self.chosen,
            epoch=epoch,
            test_probabilities=self.test_probabilities,
            train_accuracy=train_accuracy,
            accuracy_by_statistics=by_statistics,
            rows=self.rows,
            timings=self.timings,
            attempts=self.attempts,
        )
