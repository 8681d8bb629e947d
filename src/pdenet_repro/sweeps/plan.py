"""What a sweep still has to do and how long that takes here, from a short calibration; starts nothing."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pdenet_repro.config.schema import Config
from pdenet_repro.data import source, subset
from pdenet_repro.runs.checkpoints import Checkpoints
from pdenet_repro.runs.folder import path_of
from pdenet_repro.sweeps.sweep import Standing, State, standing
from pdenet_repro.system import device as devices
from pdenet_repro.system.formatting import aligned, duration

STEPS = 2  # measured, after one to warm up
CPU_IMAGES = 8  # of a calibration step: on a CPU an image costs the same in a small batch


@dataclass(frozen=True)
class Work:
    """Images that a run still has to pass through its network."""

    train: int
    evaluate: int


def work_left(run: Standing) -> Work:
    """What is left of a run, from the step of its newest checkpoint."""
    config = run.config
    if run.state is State.DONE:
        return Work(0, 0)
    learned, held_out = (10 * n for n in subset.counts(config.data, source.images_per_class(config.data)))
    schedule, evaluation = config.schedule, config.evaluation
    steps = schedule.steps_per_epoch(learned)
    done = Checkpoints(path_of(config) / "checkpoints", config).newest_step()
    epochs = range(done // steps + 1, schedule.epochs + 1)
    tests = sum(1 for epoch in epochs if evaluation.every and epoch % evaluation.every == 0)
    if evaluation.iterate == "best" or not evaluation.every or schedule.epochs % evaluation.every:
        tests += 1
    if config.network.connector_norm == "batch":  # at the end with the other two statistics of these norms, too
        tests += 2
    return Work(
        train=len(epochs) * schedule.images_per_epoch(learned) - done % steps * schedule.batch_size,
        evaluate=tests * source.TEST_IMAGES[config.data.name] + learned + len(epochs) * held_out,
    )


def seconds_an_image(config: Config) -> tuple[float, float]:
    """Measured seconds to train on an image and to evaluate one, on random images, on the device of the configuration."""
    import numpy as np

    from pdenet_repro.data.batches import DeviceImages
    from pdenet_repro.runs.training_run import make_trainer
    from pdenet_repro.training.evaluation import class_probabilities

    device = devices.set_up(config)
    batch = config.schedule.batch_size if device.type == "cuda" else min(CPU_IMAGES, config.schedule.batch_size)
    random = np.random.RandomState(0)
    images = DeviceImages(
        random.randint(0, 256, ((STEPS + 1) * batch, 3, 96, 96), dtype=np.uint8),
        random.randint(0, 10, (STEPS + 1) * batch),
        device,
    )
    schedule = replace(
        config.schedule, batch_size=batch, learning_rate=1e-6
    )  # whatever the rate, this must not diverge
    trainer = make_trainer(replace(config, schedule=schedule, performance="eager"), images, device)

    def wait() -> float:
        devices.synchronize(device)
        return time.monotonic()

    marks = [wait() for _ in trainer.epoch()]
    training = (marks[-1] - marks[0]) / (STEPS * batch)
    autocast = devices.autocast(device, config.precision)
    if device.type == "cuda":  # the first evaluation there also chooses the fastest of the convolutions
        class_probabilities(trainer.network, images, config.evaluation.batch_size, autocast)
    begin = wait()
    class_probabilities(trainer.network, images, config.evaluation.batch_size, autocast)
    return training, (wait() - begin) / len(images)


def show(configs: Sequence[Config]) -> None:
    """Print every run with its state, image passes and seconds left, then the sums."""
    runs = [standing(config) for config in configs]
    left = [work_left(run) for run in runs]
    speeds: dict[str, tuple[float, float]] = {}
    for run, work in zip(runs, left, strict=True):
        if work.train + work.evaluate and _network(run.config) not in speeds:
            speeds[_network(run.config)] = seconds_an_image(run.config)
    seconds = [
        work.train * training + work.evaluate * evaluation
        for run, work in zip(runs, left, strict=True)
        for training, evaluation in [speeds.get(_network(run.config), (0.0, 0.0))]
    ]
    rows = [("run", "state", "passes to train", "to evaluate", "time")]
    for run, work, time_left in zip(runs, left, seconds, strict=True):
        rows.append(
            (run.config.short_name, str(run.state), f"{work.train:,}", f"{work.evaluate:,}", duration(time_left))
        )
    print("\n".join(aligned(rows, left=(0, 1))))
    count = Counter(str(run.state) for run in runs)
    states = ", ".join(f"{count[state]} {state}" for state in State if count[state])
    print(f"\n{len(runs)} runs: {states}")
    print(
        f"{sum(work.train for work in left):,} image passes to train, {sum(work.evaluate for work in left):,} to evaluate"
    )
    if speeds:
        found = devices.hardware(devices.set_up(configs[0]))
        where = found["gpu"] or f"{found['cpu']} with {found['threads']} threads"
        print(
            f"about {duration(sum(seconds))} on {where}, one run after the other, judged from {STEPS} steps of each network "
            f"that are not compiled (long runs are, and take less)"
        )
    for run in runs:
        if run.state is State.FAILED:
            print(f"failed: {run.config.short_name}: {run.reason}")


def _network(config: Config) -> str:
    """Runs with the same key take the same time an image."""
    parts = (config.network, config.precision, config.schedule.batch_size, config.objective.smoothness)
    return f"{config.dynamic} {parts}"
