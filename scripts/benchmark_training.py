"""How fast does training run? A plain loop, this package, and the bound of the machine, in one run.

    python scripts/benchmark_training.py                             # CPU: three dynamics, batches of 32 and 128
    python scripts/benchmark_training.py --device cuda               # GPU: also tf32 and bfloat16 (make bench-gpu)

Each variant runs in a process of its own; they take turns, so that what disturbs the machine disturbs all. Images per
second are the best of the rounds; ratios the median over the rounds. The bound is the time in which the machine's fastest
matrix product does the convolutions' arithmetic (and, on a GPU, at least that of moving each feature once for each
convolution). The plain loop is scripts/plain_loop.py; that it computes the same objective is checked first.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measuring import header, synchronize, write_json

from pdenet_repro import build_network, compose, device
from pdenet_repro.data import shapes, source
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.cost import training_flops
from pdenet_repro.session import make_trainer
from pdenet_repro.text import aligned, duration

VARIANTS = {  # name: settings; the plain loop is a variant of its own
    "cpu": {
        "eager": ["performance=eager"],
        "compiled": ["performance=compile"],
        "compiled, bfloat16": ["performance=compile", "precision=bfloat16"],
    },
    "cuda": {
        "eager": ["performance=eager"],
        "compiled": ["performance=compile"],
        "compiled, tf32": ["performance=compile", "precision=tf32"],
        "compiled, bfloat16": ["performance=compile", "precision=bfloat16"],
        "eager, bfloat16": ["performance=eager", "precision=bfloat16"],
    },
}
FRACTIONS = [0.1 * k for k in range(1, 11)]  # of the 5,000 training images of STL-10: Figure 2


def main() -> None:
    """Measure, print, write."""
    given = arguments()
    results: list[dict[str, Any]] = []
    for words in [[f"dynamic={name}", *given.settings] for name in given.dynamics]:
        for batch in given.batches:
            results += compare([*words, f"schedule.batch_size={batch}", f"device={given.device}"], batch, given)
    write_json(given.output, results=results, **header(torch.device(given.device)))


def arguments() -> argparse.Namespace:
    """Of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dynamics", nargs="+", default=["parabolic", "hamiltonian", "second_order"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--variants", nargs="+", help="some of those below, default all; plain always runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of a round")
    parser.add_argument("--workers", type=int, default=2, help="processes of the plain loop's DataLoader")
    parser.add_argument("--settings", nargs="*", default=["data=shapes"], help="of the runs; data=stl10 data.root=...")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/training.json"))
    return parser.parse_args()


def compare(words: list[str], batch: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """All variants of one dynamic and batch size, in turns."""
    config = compose(*words)
    offered = VARIANTS["cuda" if given.device.startswith("cuda") else "cpu"]
    chosen = {name: offered[name] for name in given.variants or offered}
    context = multiprocessing.get_context("spawn")
    parties: dict[str, tuple[Any, Connection]] = {}
    for name, settings in {"plain": None, **chosen}.items():
        ours, theirs = context.Pipe()
        task = (theirs, words if settings is None else [*words, *settings], settings is None, given.workers)
        process = context.Process(target=work, args=task)
        process.start()
        parties[name] = (process, ours)
    first = {name: pipe.recv() for name, (_, pipe) in parties.items()}
    deviation = abs(first["plain"]["loss"] / first["eager" if "eager" in first else next(iter(chosen))]["loss"] - 1)
    assert deviation < 1e-4, f"the plain loop computes another objective: {first}"
    seconds: dict[str, list[float]] = {name: [] for name in parties}
    rates = []
    for _ in range(given.rounds):
        rates.append(matrix_rate(torch.device(given.device), torch.float32))
        for name, (_, pipe) in parties.items():
            pipe.send(given.steps)
            seconds[name].append(pipe.recv() / (given.steps * batch))
    peaks = {}
    for name, (process, pipe) in parties.items():
        pipe.send(0)
        peaks[name] = pipe.recv()
        process.join()
    bound = training_flops(config.network, config.dynamic) / max(rates)
    passes = sum(round(5000 * share) // batch * batch for share in FRACTIONS) * config.schedule.epochs
    rows = [
        {
            "dynamic": config.dynamic,
            "batch": batch,
            "variant": name,
            "images_per_second": 1 / min(times),
            "times_plain": median(p / t for p, t in zip(seconds["plain"], times, strict=True)),
            "times_bound": median(times) / bound,
            "first_step_seconds": first[name]["seconds"],
            "peak_mib": peaks[name],
            "study_hours_per_dynamic": passes * median(times) / 3600,
            "seconds_per_image": times,
        }
        for name, times in seconds.items()
    ]
    show(rows, bound, max(rates))
    best = {"variant": "bound", "flops_per_second": max(rates), "images_per_second": 1 / bound}
    return [*rows, {"dynamic": config.dynamic, "batch": batch, **best}]


def show(rows: list[dict[str, Any]], bound: float, rate: float) -> None:
    """One table."""
    first = rows[0]
    print(f"\n{first['dynamic']}, batch {first['batch']}: bound {1 / bound:.1f} images/s, at {rate / 1e9:.0f} GFLOP/s")
    lines = [("variant", "images/s", "x plain", "time / bound", "first step", "peak MiB", "study, 10 fractions")]
    for row in rows:
        lines.append((
            row["variant"], f"{row['images_per_second']:.1f}", f"{row['times_plain']:.2f}", f"{row['times_bound']:.2f}",
            f"{row['first_step_seconds']:.1f} s", f"{row['peak_mib']:.0f}", duration(3600 * row["study_hours_per_dynamic"]),
        ))  # fmt: skip
    print("\n".join(aligned(lines, left=(0,))), flush=True)


def work(pipe: Connection, words: list[str], plain: bool, workers: int) -> None:
    """A process that takes as many steps as it is told and answers with the seconds; 0 ends it."""
    config = compose(*words)
    where = torch.device(config.device)
    begin = time.perf_counter()
    step = plain_step(config, where, workers) if plain else own_step(config, where)
    loss = step()
    synchronize(where)
    pipe.send({"loss": loss, "seconds": time.perf_counter() - begin})
    step()
    while steps := pipe.recv():
        synchronize(where)
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(where)
        pipe.send(time.perf_counter() - begin)
    pipe.send(device.peak_memory(where))


def own_step(config: Any, where: torch.device) -> Callable[[], float]:
    """A training step of this package."""
    device.set_up(config)
    dataset = source.load(config.data, print)
    images = DeviceImages(dataset.train.pixels, dataset.train.labels, where)
    trainer = make_trainer(config, images, where, print)

    def forever() -> Any:
        while True:
            yield from (progress.data_loss + progress.smoothness + progress.decay for progress in trainer.epoch())
            trainer.finish_epoch()

    steps = forever()
    return lambda: next(steps)


def plain_step(config: Any, where: torch.device, workers: int) -> Callable[[], float]:
    """A training step of the plain loop, from the same weights; the first on our first batch, so that losses compare."""
    import plain_loop

    from pdenet_repro.data.batches import TrainingBatches

    dataset = source.load(config.data, print)
    root = config.data.root or str(shapes.ensure())
    network = plain_loop.PlainNetwork(config.dynamic, config.network.widths, config.network.steps)
    network.take_weights(build_network(config).state_dict())
    network.to(where).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=config.schedule.learning_rate, momentum=config.optimizer.momentum
    )
    first = TrainingBatches(
        DeviceImages(dataset.train.pixels, dataset.train.labels, where),
        config.schedule.batch_size, config.data.standardization, config.data.augmentation, config.seed,
    )  # fmt: skip
    first.start_epoch(1)
    batch: Any = first.batch(0)

    def forever() -> Any:
        yield plain_loop.train_step(network, optimizer, *batch)
        batches = plain_loop.loader(root, config.schedule.batch_size, workers)
        while True:
            for images, labels in batches:
                yield plain_loop.train_step(
                    network, optimizer, images.to(where, non_blocking=True), labels.to(where, non_blocking=True)
                )

    steps = forever()
    return lambda: next(steps)


def matrix_rate(where: torch.device, kind: torch.dtype) -> float:
    """Floating-point operations per second of the fastest of a few large products: of matrices, and as a convolution."""
    trials = []
    for n in (1024, 2048, 4096) if where.type == "cpu" else (4096, 8192):
        A, B = (torch.randn(n, n, device=where, dtype=kind) for _ in range(2))
        trials.append((2 * n**3, lambda A=A, B=B: A @ B))
    images = torch.randn(32, 256, 12, 12, device=where, dtype=kind)
    kernel = torch.randn(256, 256, 3, 3, device=where, dtype=kind)
    trials.append((2 * 9 * 256 * 256 * 32 * 100, lambda: torch.nn.functional.conv2d(images, kernel)))  # 10 x 10 results
    best = 0.0
    for operations, run in trials:
        run()
        for _ in range(4):
            synchronize(where)
            begin = time.perf_counter()
            run()
            synchronize(where)
            best = max(best, operations / (time.perf_counter() - begin))
    return best


if __name__ == "__main__":
    main()
