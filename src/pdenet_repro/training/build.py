"""Builds the trainer of a configuration."""

from collections.abc import Callable
from dataclasses import replace

import torch

from pdenet_repro.config.dynamics import facts_of
from pdenet_repro.config.schema import Config
from pdenet_repro.data import source
from pdenet_repro.data.batches import DeviceImages, TrainingBatches
from pdenet_repro.networks import memory
from pdenet_repro.networks.build import build_network
from pdenet_repro.system import device
from pdenet_repro.training import compilation
from pdenet_repro.training.evaluation import largest_batch
from pdenet_repro.training.objective import Objective
from pdenet_repro.training.optimizer import projected_sgd
from pdenet_repro.training.trainer import Trainer


def make_trainer(
    config: Config, images: DeviceImages, where: torch.device, warn: Callable[[str], None] = lambda line: None
) -> Trainer:
    """Return a trainer with initial weights, ready for its first step on the training images ``images``.

    ``where``: the device that holds the images; ``warn`` is called with a sentence if something cannot be compiled.
    """
    reversible = facts_of(config.dynamic, config.dynamic_file).reversible
    # all memory and not what is free now, so that a resumed run makes the same choice
    itemsize = 8 if config.precision == "float64" else 4
    mode = memory.memory_mode(
        config.network, reversible, config.schedule.batch_size, device.total_memory(where), itemsize
    )
    network = build_network(replace(config, network=replace(config.network, memory=mode))).to(where)
    objective = Objective(network, config.objective, config.network.step_size)
    optimizer = projected_sgd(network, config)
    batches = TrainingBatches(images, config.schedule, network.standardize, config.data.augmentation, config.seed)
    trainer = Trainer(network, objective, optimizer, batches, config.schedule, device.autocast(where, config.precision))
    schedule, an_epoch = config.schedule, config.schedule.images_per_epoch(len(images))
    if compilation.is_worthwhile(config, schedule.epochs * an_epoch, where):
        full, last = schedule.batch_size, an_epoch % schedule.batch_size
        learned = [full, last] if compilation.is_worthwhile(config, schedule.epochs * last, where) else [full]
        evaluated = largest_batch(source.TEST_IMAGES[config.data.name], config.evaluation.batch_size)
        trainer.compiler = compilation.compile_run(trainer, learned, evaluated, warn)
    return trainer
