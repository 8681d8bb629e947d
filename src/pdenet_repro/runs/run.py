"""Executes one run: checks its configuration, reads the data, locks the run folder, and has the network trained."""

from typing import Any

from pdenet_repro.config.check import check
from pdenet_repro.config.dynamics import reversible_names
from pdenet_repro.config.schema import CLASSES, Config
from pdenet_repro.data import source, subset
from pdenet_repro.runs.folder import RunFolder
from pdenet_repro.system.console import Log
from pdenet_repro.system.environment import load_torch
from pdenet_repro.system.errors import InvalidConfig, OutOfMemory, is_out_of_memory
from pdenet_repro.system.formatting import duration
from pdenet_repro.system.gpu_driver import refuse_missing_gpu
from pdenet_repro.system.signals import stop_request


def refuse_unusable(config: Config, here: bool = True) -> None:
    """Check everything in a configuration that can be checked in milliseconds; InvalidConfig names key, value and remedy.

    ``here=False``: the run will train on another machine, so that this one needs no GPU.
    """
    check(config)
    learned, _ = subset.counts(config.data, source.images_per_class(config.data))
    images = CLASSES * learned
    if config.schedule.batch_size > images:
        raise InvalidConfig(
            f"schedule.batch_size={config.schedule.batch_size}: must be at most {images}, the number of training images"
        )
    if (
        config.network.connector_norm == "batch_per_pixel"
        and config.schedule.last_batch == "keep"
        and images % config.schedule.batch_size == 1
    ):
        raise InvalidConfig(
            f"schedule.batch_size={config.schedule.batch_size}: leaves one of {images} images for an epoch's last batch, but "
            f"network.connector_norm=batch_per_pixel normalises over the images of a batch; choose another size, or "
            f"schedule.last_batch=drop"
        )
    if here:
        refuse_missing_gpu(config)


def run(config: Config, command: str, name: str = "") -> None:
    """Train and evaluate one network, from its checkpoint if there is one; print its result if it is finished already.

    ``command``: the command that was typed, to be recorded. ``name``: stands before the run's lines if others train at once.

    Raises
    ------
    UserError
        The run failed for a reason that the user can remove.
    Interrupted
        A stop signal came; the state is saved, unless a function was being compiled for a training step.
    """
    refuse_unusable(config)
    log, folder = Log(name), RunFolder(config)
    if summary := folder.finished():
        log.say(f"already finished: {result_line(summary, folder)}")
        return
    dataset = source.load(config.data, log.say)
    with folder.locked(log.say), stop_request as stop:
        if not (summary := folder.finished()):  # another process may have held the lock and finished it meanwhile
            log.path = folder.path / "run.log"
            folder.begin(command)
            try:
                load_torch(log.warn)  # takes seconds, so it comes only when it is needed
                from pdenet_repro.runs.training_run import TrainingRun

                summary = TrainingRun(config, dataset, folder, log, stop).execute()
            except Exception as error:
                mendable = out_of_memory(error, config) or error
                folder.record_failure(mendable)
                raise mendable from error.__cause__
    log.say(result_line(summary, folder))


def out_of_memory(error: Exception, config: Config) -> OutOfMemory | None:
    """Return an error that says which settings need less memory, if an allocation failed; None for any other error."""
    if not is_out_of_memory(error):
        return None
    return OutOfMemory(
        f"the memory does not suffice for schedule.batch_size={config.schedule.batch_size} and evaluation.batch_size="
        f"{config.evaluation.batch_size} with network.widths={config.network.widths}; make one of them smaller, or use "
        f"network.memory=recompute (reverse for {reversible_names()})"
    )


def result_line(summary: dict[str, Any], folder: RunFolder) -> str:
    """Return one line with the result of a finished run."""
    right, of = round(summary["test_accuracy"] * summary["test_images"]), summary["test_images"]
    time = duration(summary["training_seconds"])
    if "wall_seconds" in summary:  # the time of all attempts; version 0.1 did not measure it
        time = f"{duration(summary['wall_seconds'])} ({time} of training)"
    return (
        f"{summary['dynamic']}, {summary['train_images']} training images, seed {summary['seed']}: "
        f"test accuracy {summary['test_accuracy']:.2%} ({right} of {of}) in {time}; all of it is in {folder.path}"
    )
