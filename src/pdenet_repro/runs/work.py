"""Counts the images that a run still has to train on and to evaluate."""

from dataclasses import dataclass

from pdenet_repro.config.schema import CLASSES, Config
from pdenet_repro.data import source, subset
from pdenet_repro.networks.cost import forward_flops, training_flops

# Time to evaluate an image as a multiple of the time to train on it, until it is measured: a forward pass, no backward pass.
EVALUATION_COST = 1 / 3


@dataclass(frozen=True)
class Work:
    """Numbers of images, counted once in each pass, that a run still has to train on and to evaluate."""

    train: int
    evaluate: int

    def flops(self, config: Config) -> int:
        """Return the number of floating-point operations of these passes."""
        network, dynamic = config.network, config.dynamic
        return self.train * training_flops(network, dynamic) + self.evaluate * forward_flops(network, dynamic)


def work_left(config: Config, steps_done: int = 0) -> Work:
    """Return what is left of a run after ``steps_done`` training steps, its last evaluation included."""
    schedule, evaluation = config.schedule, config.evaluation
    learned, held_out = (CLASSES * n for n in subset.counts(config.data, source.images_per_class(config.data)))
    steps = schedule.steps_per_epoch(learned)
    epochs = range(steps_done // steps + 1, schedule.epochs + 1)
    tests = sum(1 for epoch in epochs if evaluation.every and epoch % evaluation.every == 0)
    at_the_end = evaluation.iterate == "best" or bool(epochs)
    if evaluation.iterate == "best" or (epochs and (not evaluation.every or schedule.epochs % evaluation.every)):
        tests += 1
    if config.network.connector_norm == "batch" and at_the_end:  # the other two kinds of batch-norm statistics
        tests += 2
    return Work(
        train=len(epochs) * schedule.images_per_epoch(learned) - steps_done % steps * schedule.batch_size,
        evaluate=tests * source.TEST_IMAGES[config.data.name] + learned + len(epochs) * held_out,
    )
