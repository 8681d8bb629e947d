"""One run, top to bottom: configuration, data, run folder, then the session that trains and evaluates."""

import re
from typing import Any

from pdenet_repro import device, provenance
from pdenet_repro.config import Config, check
from pdenet_repro.data import source, subset
from pdenet_repro.errors import InvalidConfig, OutOfMemory
from pdenet_repro.interrupt import stop_request
from pdenet_repro.run_folder import RunFolder
from pdenet_repro.tracking import Log


def refuse_nonsense(config: Config) -> None:
    """Everything about a configuration that can be judged in milliseconds; InvalidConfig names key, value and remedy."""
    check(config)
    learned, _ = subset.counts(config.data, source.images_per_class(config.data))
    images = 10 * learned
    if config.schedule.batch_size > images:
        raise InvalidConfig(
            f"schedule.batch_size={config.schedule.batch_size}: must be at most {images}, the images to learn from"
        )
    device.refuse_missing_gpu(config)


def run(config: Config) -> None:
    """Carry out one run, or go on with it, or say that it is finished.

    Raises
    ------
    UserError
        For a reason the user can mend.
    Interrupted
        When a signal asked to stop; the state is saved.
    """
    refuse_nonsense(config)
    log, folder = Log(config.short_name), RunFolder(config)
    if summary := folder.finished():
        log.say(f"already finished: {result_line(summary, folder)}")
        return
    dataset = source.load(config.data, log.say)
    with folder.locked(log.say), stop_request as stop:
        if not (summary := folder.finished()):  # another process may have held the lock and finished it meanwhile
            log.path = folder.path / "run.log"
            folder.begin(provenance.command())
            from pdenet_repro.session import Session  # torch takes seconds to import: only now that it is needed

            try:
                summary = Session(config, dataset, folder, log, stop).carry_out()
            except Exception as error:
                mendable = out_of_memory(error, config) or error
                folder.record_failure(mendable)
                raise mendable from error.__cause__
    log.say(result_line(summary, folder))


# What PyTorch, CUDA and its libraries say.
NO_MEMORY = "OutOfMemoryError|out of memory|ALLOC_FAILED|can't allocate memory"


def is_of_memory(error: Exception) -> bool:
    """Whether an allocation failed."""
    return isinstance(error, MemoryError) or bool(re.search(NO_MEMORY, repr(error)))


def out_of_memory(error: Exception, config: Config) -> OutOfMemory | None:
    """What to change in a run, where an allocation failed; None for any other error."""
    if not is_of_memory(error):
        return None
    return OutOfMemory(
        f"the memory does not suffice for schedule.batch_size={config.schedule.batch_size} and evaluation.batch_size="
        f"{config.evaluation.batch_size} with network.widths={config.network.widths}; make one of them smaller, or use "
        "network.memory=recompute (reverse for hamiltonian and second_order)"
    )


def result_line(summary: dict[str, Any], folder: RunFolder) -> str:
    """The outcome of a run in one line."""
    right, of = round(summary["test_accuracy"] * summary["test_images"]), summary["test_images"]
    return (
        f"{summary['dynamic']}, {summary['train_images']} training images, seed {summary['seed']}: "
        f"test accuracy {summary['test_accuracy']:.2%} ({right} of {of}); all of it is in {folder.path}"
    )
