"""Prints what a sweep still has to do, and how long that takes here, estimated from a few training steps; starts no run."""

import time
from collections.abc import Sequence
from dataclasses import replace

from pdenet_repro.config.schema import IMAGE_SIDE, Config
from pdenet_repro.runs.folder import path_of
from pdenet_repro.runs.work import Work
from pdenet_repro.sweeps.plan import names
from pdenet_repro.sweeps.state import State, counted, state_of, work_to_do
from pdenet_repro.system.environment import load_torch
from pdenet_repro.system.formatting import aligned, duration

STEPS = 2  # measured steps, after one to warm up
CPU_IMAGES = 8  # in a measured step: on a CPU an image costs the same in a small batch


def seconds_per_image(config: Config) -> tuple[float, float]:
    """Measure the seconds to train on an image and to evaluate one, with random images on the configuration's device."""
    load_torch()
    import numpy as np

    from pdenet_repro.data.batches import DeviceImages
    from pdenet_repro.system import device as devices
    from pdenet_repro.training.build import make_trainer
    from pdenet_repro.training.evaluation import class_probabilities

    device = devices.set_up(config)
    batch = config.schedule.batch_size if device.type == "cuda" else min(CPU_IMAGES, config.schedule.batch_size)
    random = np.random.RandomState(0)
    images = DeviceImages(
        random.randint(0, 256, ((STEPS + 1) * batch, 3, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint8),
        random.randint(0, 10, (STEPS + 1) * batch),
        device,
    )
    # with a small learning rate the measurement cannot diverge
    schedule = replace(config.schedule, batch_size=batch, learning_rate=1e-6)
    trainer = make_trainer(replace(config, schedule=schedule, performance="eager"), images, device)

    def wait() -> float:
        devices.synchronize(device)
        return time.monotonic()

    marks = [wait() for _ in trainer.epoch()]
    training = (marks[-1] - marks[0]) / (STEPS * batch)
    autocast = devices.autocast(device, config.precision)
    if device.type == "cuda":  # the first evaluation also searches for the fastest convolutions
        class_probabilities(trainer.network, images, config.evaluation.batch_size, autocast)
    begin = wait()
    class_probabilities(trainer.network, images, config.evaluation.batch_size, autocast)
    return training, (wait() - begin) / len(images)


def show(configs: Sequence[Config]) -> None:
    """Print for each run its state and the image passes and the time that are left, then their sums."""
    name, speeds = names(configs), dict[str, tuple[float, float]]()
    rows, states, failed = [("run", "state", "passes to train", "to evaluate", "time")], [], []
    train = evaluate = 0
    seconds = 0.0
    for config in configs:
        found, path = state_of(config), path_of(config)
        work = Work(0, 0) if found.state is State.DONE else work_to_do(config)
        if work != Work(0, 0) and _network(config) not in speeds:
            speeds[_network(config)] = seconds_per_image(config)
        training, evaluation = speeds.get(_network(config), (0.0, 0.0))
        left = work.train * training + work.evaluate * evaluation
        rows.append((name[path], str(found.state), f"{work.train:,}", f"{work.evaluate:,}", duration(left)))
        states.append(found.state)
        failed += [f"failed: {name[path]}: {found.reason}"] * (found.state is State.FAILED)
        train, evaluate, seconds = train + work.train, evaluate + work.evaluate, seconds + left
    print("\n".join(aligned(rows, left=(0, 1))))
    print(f"\n{len(configs)} runs: {counted(states)}")
    print(f"{train:,} image passes to train, {evaluate:,} to evaluate")
    if speeds:
        from pdenet_repro.system import device as devices

        where = devices.description(devices.set_up(configs[0]))
        print(
            f"about {duration(seconds)} on {where}, one run after the other, estimated from {STEPS} steps of each network "
            f"that are not compiled (long runs are compiled, and take less time)"
        )
    print("\n".join(failed), end="\n" * bool(failed))


def _network(config: Config) -> str:
    """Return a key that is equal for runs that take the same time for an image."""
    parts = (config.network, config.precision, config.schedule.batch_size, config.objective.smoothness)
    return f"{config.dynamic} {parts}"
