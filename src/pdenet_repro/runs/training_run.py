"""Trains and evaluates one network, can be stopped and resumed at any step, and writes the results into the run folder."""

import json
import time
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np

from pdenet_repro.config.schema import STATISTICS, Config
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.data.stl10 import Dataset
from pdenet_repro.data.subset import draw_subset
from pdenet_repro.networks import memory
from pdenet_repro.runs import attempts, provenance
from pdenet_repro.runs.checkpoints import Checkpoint, Checkpoints, History
from pdenet_repro.runs.evaluator import Evaluator
from pdenet_repro.runs.folder import PROGRESS, RunFolder, with_present_names
from pdenet_repro.runs.results import Outcome, write_results
from pdenet_repro.runs.tensorboard import Events
from pdenet_repro.runs.work import EVALUATION_COST, work_left
from pdenet_repro.system import device
from pdenet_repro.system.console import Bars, Log, epoch_line
from pdenet_repro.system.errors import CheckpointError, StorageError, first_line
from pdenet_repro.system.files import remove, write_with_retries
from pdenet_repro.system.signals import Interrupted, StopRequest
from pdenet_repro.training.build import make_trainer
from pdenet_repro.training.evaluation import accuracy, batch_norms
from pdenet_repro.training.interruptible import StoppedWhileCompiling


class TrainingRun:
    """One run, in the process that holds its folder's lock.

    An unfinished run continues from its checkpoint alone: the CSV files are written anew from it.
    """

    def __init__(self, config: Config, dataset: Dataset, folder: RunFolder, log: Log, stop: StopRequest) -> None:
        self.config, self.dataset, self.folder, self.log, self.stop = config, dataset, folder, log, stop
        provenance.git_commit()  # for the summary: keeps the commit of the code that runs
        self.device = device.set_up(config)
        self.autocast = device.autocast(self.device, config.precision)
        self.chosen = draw_subset(dataset.train.labels, config.data, config.seed, dataset.folds)
        self.train, self.validation = (
            DeviceImages(dataset.train.pixels[part], dataset.train.labels[part], self.device)
            for part in (self.chosen.train, self.chosen.validation)
        )
        test = DeviceImages(dataset.test.pixels, dataset.test.labels, self.device)
        self.trainer = make_trainer(config, self.train, self.device, log.warn)
        self.network = self.trainer.network
        self.checkpoints = Checkpoints(folder.path / "checkpoints", config)
        self.history = History()
        self.best_weights: dict[str, Any] = {}
        self.test_probabilities: np.ndarray | None = None  # of the last iterate, once it is evaluated
        self.started = time.monotonic()  # _restore sets it back by the time of earlier attempts
        self.evaluator = Evaluator(
            config, self.network, {"train": self.train, "validation": self.validation, "test": test}, self.autocast
        )

    def execute(self) -> dict[str, Any]:
        """Train the epochs that are left, evaluate, write the results and return the summary; Interrupted when stopped."""
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
                events.epoch(self.history.rows[-1], self.history.timings[-1])
            self._save()
            outcome = self._outcome()
            summary = write_with_retries(lambda: write_results(outcome, self.folder, self.device), self.log.warn)
            summary["wall_seconds"] = round(time.monotonic() - self.started, 3)
            events.result(self.config, summary, outcome.confusion, self.network)
        except StoppedWhileCompiling as stop:
            raise Interrupted(
                f"stopped by {stop} while compiling, so that the steps since the last checkpoint in {self.folder.path} are lost; "
                f"the same command continues from that checkpoint, or from the start if there is none"
            ) from None
        finally:
            self.bars.close()
            events.close()
        write_with_retries(lambda: self.folder.finish(summary), self.log.warn)
        self.checkpoints.clear()
        remove(self.folder.path / PROGRESS)
        return summary

    def _plan(self) -> str:
        config, batches = self.config, self.trainer.batches
        sizes = f"of {batches.batch_size} images"
        if rest := len(self.train) % batches.batch_size:
            sizes += f", the last of {rest}" if self.config.schedule.last_batch == "keep" else f"; {rest} are left out"
        held_out = f", {len(self.validation)} held out" if len(self.validation) else ""
        return (
            f"{config.dynamic} network of {self.network.weight_count():,} weights, recipe {config.recipe}; "
            f"{len(self.train)} training images of {config.data.name}{held_out}; "
            f"{config.schedule.epochs} epochs of {batches.steps} steps {sizes}; on {device.description(self.device)}"
        )

    def _resume(self) -> None:
        """Restore the newest checkpoint, if there is one, and begin the record of this attempt."""
        checkpoint = self.checkpoints.load(self.log.warn)
        if checkpoint is not None:
            try:
                self._restore(checkpoint)
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"the checkpoint of step {checkpoint.step} in {self.checkpoints.folder} cannot be used by this version "
                    f"({first_line(error)}); continue with the version that wrote it, or move that folder away"
                ) from error
        attempt = attempts.begin(
            device.hardware(self.device),
            (self.folder.path / "command.txt").read_text("utf-8").strip(),
            min(self.trainer.progress.epoch, self.config.schedule.epochs),
            compiled=self.trainer.compiled,
            memory=str(self.network.units[0].memory),
        )
        before = self.history.attempts
        if before and (change := attempts.compare(before[-1], attempt, self.config)):
            self.log.warn(change)
        before.append(attempt)

    def _restore(self, checkpoint: Checkpoint) -> None:
        values = checkpoint.values
        images = dict(self.dataset.checksums)
        if values.get("data_md5", images) != images:  # version 0.1 did not save them
            raise CheckpointError(
                f"the checkpoints in {self.checkpoints.folder} are of a run on other images of {self.config.data.name}; train on "
                f"those (data.root=...), or give this run its own name=..."
            )
        self.trainer.restore(checkpoint.tensors, values["progress"])
        # version 0.1 saved neither attempts nor wall_seconds, and had another name for a column
        self.history = History(**{entry.name: values[entry.name] for entry in fields(History) if entry.name in values})
        self.history.rows = [with_present_names(row) for row in self.history.rows]
        self.started -= self.history.wall_seconds
        self.best_weights = {
            name.removeprefix("best."): tensor.to(self.device)
            for name, tensor in checkpoint.tensors.items()
            if name.startswith("best.")
        }
        done, steps = self.trainer.progress, self.trainer.batches.steps
        self.log.say(f"continuing from the checkpoint at epoch {done.epoch}, step {done.step} of {steps}")

    def _save(self) -> None:
        tensors, progress = self.trainer.state()
        epoch = progress["epoch"] if progress["step"] else progress["epoch"] - 1
        attempts.advance(self.history.attempts[-1], epoch, compiled=self.trainer.compiled)
        self.history.wall_seconds = time.monotonic() - self.started
        tensors |= {f"best.{name}": tensor for name, tensor in self.best_weights.items()}
        values = {"progress": progress, "data_md5": dict(self.dataset.checksums), **vars(self.history)}
        checkpoint = Checkpoint(self.trainer.steps_taken, tensors, values)

        def write() -> None:
            self.folder.confirm()
            self.checkpoints.save(checkpoint)

        write_with_retries(write, self.log.warn)
        self.saved_at = time.monotonic()

    def _leave_if_stopped(self) -> None:
        if not self.stop.received:
            return
        self._save()
        done, epochs = self.trainer.progress, self.config.schedule.epochs
        where = f"at epoch {done.epoch}, step {done.step}" if done.epoch <= epochs else "after training"
        raise Interrupted(
            f"stopped by {self.stop.received} {where}; saved in {self.folder.path}: the same command continues from there"
        )

    def _after_evaluated_batch(self, split: str, done: int, total: int) -> None:
        self.bars.evaluated(split, done, total)
        self._leave_if_stopped()  # saves the state before this evaluation, which changes nothing

    def _train_epoch(self) -> None:
        trainer, history = self.trainer, self.history
        self.bars.start_epoch(trainer.progress.epoch, trainer.progress.step)
        clock = time.monotonic()
        for _ in trainer.epoch():
            history.seconds += time.monotonic() - clock
            self.bars.step()
            self._leave_if_stopped()
            if time.monotonic() - self.saved_at >= self.config.checkpoint.seconds:
                self._save()
            clock = time.monotonic()
        device.synchronize(self.device)  # waits for the last step's backward pass
        history.seconds += time.monotonic() - clock
        # Before finish_epoch, so that a run that is stopped while it evaluates is resumed at this point.
        accuracies = self._epoch_accuracies()
        row = trainer.finish_epoch() | accuracies | trainer.weight_columns()
        images = self.config.schedule.images_per_epoch(len(self.train))
        timing = {
            "epoch": row["epoch"],
            "seconds": round(history.seconds, 3),
            "images_per_second": round(images / max(history.seconds, 1e-9), 2),
            "peak_memory_mib": round(device.peak_memory(self.device), 1),
            "reversal_drift": self.network.drift(),
        }
        history.seconds = 0.0
        history.rows.append(row)
        history.timings.append(timing)
        self._report_epoch(row, timing)

    def _report_epoch(self, row: dict[str, Any], timing: dict[str, Any]) -> None:
        """Write and print the results of an epoch. A file that cannot be written ends no training: checkpoints have it all."""
        drift, precision = timing["reversal_drift"], self.config.precision
        if drift is not None and not drift <= (tolerated := memory.TOLERATED_DRIFT[precision]):
            self.log.warn(
                f"in epoch {row['epoch']} features that were computed backwards had a relative error of {drift:.1e}, more than "
                f"the {tolerated:.0e} that is tolerated for precision={precision}: the gradients are not to be trusted; use "
                f"network.memory=recompute, or a smaller network.step_size"
            )
        try:
            self.folder.write_rows("metrics.csv", self.history.rows)
            self.folder.write_rows("timings.csv", self.history.timings)
        except StorageError as error:
            self.log.warn(f"{error}; the training continues")
        epochs, seconds_left = self.config.schedule.epochs, self._seconds_left()
        self.log.say(epoch_line(row, timing, epochs, seconds_left))
        with suppress(StorageError):  # the file only shows the progress, and is no part of the result
            progress = {"epoch": row["epoch"], "epochs": epochs, "seconds_left": round(seconds_left)}
            self.folder.write(PROGRESS, json.dumps(progress) + "\n")

    def _seconds_left(self) -> float:
        """Return the seconds until the run is finished, evaluation included, at the mean speeds so far."""
        left = work_left(self.config, self.trainer.steps_taken)
        timings = self.history.timings
        images = len(timings) * self.config.schedule.images_per_epoch(len(self.train))
        training = sum(timing["seconds"] for timing in timings) / images
        evaluation = self.evaluator.seconds_per_image or EVALUATION_COST * training
        return float(left.train * training + left.evaluate * evaluation)

    def _epoch_accuracies(self) -> dict[str, float | None]:
        """Return validation and test accuracies as columns of ``metrics.csv``; None for what is not evaluated this epoch."""
        epoch, evaluation, best = self.trainer.progress.epoch, self.config.evaluation, self.history.best
        columns = ("validation_accuracy", "test_accuracy", *(f"test_accuracy_{kind}" for kind in STATISTICS))
        found: dict[str, float | None] = dict.fromkeys(columns)
        if len(self.validation):
            found["validation_accuracy"] = value = self.evaluator.accuracy("validation")
            if value > best["accuracy"]:
                best |= {"epoch": epoch, "accuracy": value}
                self.best_weights = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        last = epoch == self.config.schedule.epochs and evaluation.iterate == "last"
        if last or (evaluation.every and epoch % evaluation.every == 0):
            self.test_probabilities = self.evaluator.probabilities("test")
            found["test_accuracy"] = value = accuracy(self.test_probabilities, self.dataset.test.labels)
            if last or self.device.type == "cuda":  # once, or where two more evaluations take only seconds
                by_statistics = self.evaluator.accuracy_by_statistics(value)
            else:
                by_statistics = {evaluation.statistics: value} if batch_norms(self.network) else {}
            found |= {f"test_accuracy_{kind}": value for kind, value in by_statistics.items()}
        return found

    def _outcome(self) -> Outcome:
        """Return everything that the results are made of, with the network at the iterate that is reported."""
        epoch = self.config.schedule.epochs
        if self.config.evaluation.iterate == "best":
            epoch = self.history.best["epoch"]
            self.network.load_state_dict(self.best_weights)
            self.test_probabilities = None
        if self.test_probabilities is None:  # resumed after the last epoch, or not the last iterate
            self.test_probabilities = self.evaluator.probabilities("test")
        train_accuracy = self.evaluator.accuracy("train")
        row = self.history.rows[epoch - 1]
        by_statistics: dict[str, Any] = {kind: row.get(f"test_accuracy_{kind}") for kind in STATISTICS}
        if None in by_statistics.values():
            test_accuracy = accuracy(self.test_probabilities, self.dataset.test.labels)
            by_statistics = self.evaluator.accuracy_by_statistics(test_accuracy)
        if self.config.evaluation.statistics == "reestimated":
            self.evaluator.reestimate()  # the new statistics are saved with the weights
        return Outcome(
            config=self.config,
            network=self.network,
            dataset=self.dataset,
            subset=self.chosen,
            epoch=epoch,
            test_probabilities=self.test_probabilities,
            train_accuracy=train_accuracy,
            accuracy_by_statistics=by_statistics,
            history=self.history,
        )
