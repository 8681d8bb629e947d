"""How fast does training run? A plain loop, this package, and the bound of the machine, in one run.

    python scripts/benchmark_training.py                             # CPU: three dynamics, batches of 32 and 128
    python scripts/benchmark_training.py --device cuda               # GPU: also tf32 (make bench-gpu)

Each variant runs in a process of its own, in turns with the plain loop (scripts/plain_loop.py), so that what disturbs the
machine disturbs both; that both compute the same objective is checked first. On a GPU all variants are started at once: they
compile side by side. Images per second are the best of the rounds; ratios the median over the rounds. The bound is the longer of
two times: of the convolutions' arithmetic at the rate of the fastest matrix product in the variant's precision, and of the
fewest bytes moved (networks/cost.py) at the bandwidth of a copy, both measured in the same run. The last column is what
Figure 2's ten runs of a dynamic would take: training, compilation once, evaluation.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measuring import header, synchronize, write_json

from pdenet_repro import build_network, compose, device
from pdenet_repro.data import shapes, source
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.cost import training_flops, training_numbers
from pdenet_repro.plan import work_left
from pdenet_repro.session import make_trainer
from pdenet_repro.study import standing
from pdenet_repro.text import aligned, duration
from pdenet_repro.training.evaluation import class_probabilities

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
    """All variants of one dynamic and batch size."""
    where = torch.device(given.device)
    offered = VARIANTS[where.type]
    chosen = {name: offered[name] for name in given.variants or offered}
    plain = Party(words, True, given.workers)
    # the CPU's memory has no room for all of them in batches of 128; a GPU's has, and compilers want its many cores
    groups = [chosen] if where.type == "cuda" else [{name: settings} for name, settings in chosen.items()]
    rows: list[dict[str, Any]] = []
    for group in groups:
        parties = {name: Party([*words, *settings], False, given.workers) for name, settings in group.items()}
        for name, party in parties.items():
            deviation = abs(party.first["loss"] / plain.first["loss"] - 1)
            close = 1e-4 if compose(*party.words).precision == "float32" else 0.02
            assert deviation < close, f"{name} computes another objective than the plain loop: {deviation:.1e} off"
        seconds: dict[str, list[float]] = {name: [] for name in ["plain", *parties]}
        for _ in range(given.rounds):
            for name, party in {"plain": plain, **parties}.items():
                seconds[name].append(party.ask("train", given.steps) / (given.steps * batch))
        if not rows:
            rows.append(row("plain", plain, seconds["plain"], seconds["plain"], batch))
        rows += [row(name, party, seconds["plain"], seconds[name], batch) for name, party in parties.items()]
        for each in parties.values():
            each.end()
    plain.end()
    show(rows)
    return rows


class Party:
    """A process that trains in one way and answers how long it took."""

    def __init__(self, words: list[str], plain: bool, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.words = words
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, words, plain, workers))
        self.process.start()

    @cached_property
    def first(self) -> dict[str, float]:
        """Objective and seconds of the first step."""
        return self.pipe.recv()

    def ask(self, what: str, amount: int = 0) -> Any:
        """For ``train`` and ``evaluate`` the seconds of so many steps or batches; for ``peak`` MiB."""
        self.pipe.send((what, amount))
        return self.pipe.recv()

    def end(self) -> None:
        """Have the process leave."""
        self.pipe.send(("end", 0))
        self.process.join()


def row(name: str, party: Party, plain: list[float], seconds: list[float], batch: int) -> dict[str, Any]:
    """What is known of a variant; ``plain``, ``seconds``: of an image, in rounds."""
    config, times = compose(*party.words), median(seconds)
    where = torch.device(config.device)
    found = {
        "dynamic": config.dynamic,
        "batch": batch,
        "variant": name,
        "images_per_second": 1 / min(seconds),
        "times_plain": median(p / t for p, t in zip(plain, seconds, strict=True)),
        "first_step_seconds": party.first["seconds"],
        "peak_mib": party.ask("peak"),
        "seconds_per_image": seconds,
        "plain_seconds_per_image": plain,
    }
    rate, bandwidth = matrix_rate(where, config.precision), copy_rate(where)
    size = 2 if config.precision == "bfloat16" else 4
    arithmetic = training_flops(config.network, config.dynamic) / rate
    transfer = size * training_numbers(config.network) / bandwidth
    found |= {
        "flops_per_second": rate,
        "bytes_per_second": bandwidth,
        "bound_arithmetic": arithmetic,
        "bound_transfer": transfer,
        "times_bound": times / max(arithmetic, transfer),
    }
    if name != "plain":
        once, again = (party.ask("evaluate", 1) for _ in range(2))
        images = config.evaluation.batch_size
        runs = [
            compose(*party.words, "data=stl10", f"data.fraction={k / 10}", "output_root=/none") for k in range(1, 11)
        ]
        left = [work_left(standing(run)) for run in runs]
        training, evaluation = (sum(getattr(each, of) for each in left) for of in ("train", "evaluate"))
        found["evaluated_per_second"] = images / again
        found["study_seconds"] = training * times + evaluation * again / images + found["first_step_seconds"] + once
    return found


def show(rows: list[dict[str, Any]]) -> None:
    """One table."""
    first = rows[0]
    print(f"\n{first['dynamic']}, batch {first['batch']}")
    lines = [
        ("variant", "images/s", "x plain", "bound", "time / bound", "first step", "peak MiB", "evaluated/s", "10 runs")
    ]
    for r in rows:
        evaluated = (
            (f"{r['evaluated_per_second']:.1f}", duration(r["study_seconds"])) if "study_seconds" in r else ("", "")
        )
        lines.append((
            r["variant"], f"{r['images_per_second']:.1f}", f"{r['times_plain']:.2f}",
            f"{1 / max(r['bound_arithmetic'], r['bound_transfer']):.1f}", f"{r['times_bound']:.2f}",
            f"{r['first_step_seconds']:.1f} s", f"{r['peak_mib']:.0f}", *evaluated,
        ))  # fmt: skip
    print("\n".join(aligned(lines, left=(0,))), flush=True)


def work(pipe: Connection, words: list[str], plain: bool, workers: int) -> None:
    """The process of a `Party`."""
    config = compose(*words)
    where = torch.device(config.device)
    begin = time.perf_counter()
    step, evaluate = plain_step(config, where, workers) if plain else own_step(config, where)
    loss = step()
    synchronize(where)
    pipe.send({"loss": loss, "seconds": time.perf_counter() - begin})
    step()
    while (asked := pipe.recv())[0] != "end":
        what, amount = asked
        if what == "peak":
            pipe.send(device.peak_memory(where))
            continue
        synchronize(where)
        begin = time.perf_counter()
        for _ in range(amount):
            step() if what == "train" else evaluate()
        synchronize(where)
        pipe.send(time.perf_counter() - begin)


def own_step(config: Any, where: torch.device) -> tuple[Callable[[], float], Callable[[], Any]]:
    """A training step of this package, and the evaluation of a batch."""
    device.set_up(config)
    dataset = source.load(config.data, print)
    images = DeviceImages(dataset.train.pixels, dataset.train.labels, where)
    trainer = make_trainer(config, images, where, print)

    def forever() -> Any:
        while True:
            yield from (progress.data_loss + progress.smoothness + progress.decay for progress in trainer.epoch())
            trainer.finish_epoch()

    steps = forever()
    size, autocast = config.evaluation.batch_size, device.autocast(where, config.precision)
    batch = DeviceImages(dataset.test.pixels[:size], dataset.test.labels[:size], where)
    return lambda: next(steps), lambda: class_probabilities(trainer.network, batch, size, autocast)


def plain_step(config: Any, where: torch.device, workers: int) -> tuple[Callable[[], float], None]:
    """A training step of the plain loop, from the same weights; the first on our first batch, so that losses compare."""
    import plain_loop

    from pdenet_repro.data.batches import TrainingBatches

    torch.backends.cudnn.allow_tf32 = False  # PyTorch's default rounds convolutions on a GPU; the baseline is float32
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
    return lambda: next(steps), None


def matrix_rate(where: torch.device, precision: str) -> float:
    """Floating-point operations per second of the fastest of a few large products: of matrices, and as a convolution."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    kind = {"device": where, "dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
    trials = []
    for n in (1024, 2048, 4096) if where.type == "cpu" else (4096, 8192):
        A, B = (torch.randn(n, n, **kind) for _ in range(2))
        trials.append((2 * n**3, lambda A=A, B=B: A @ B))
    images, kernel = torch.randn(32, 256, 12, 12, **kind), torch.randn(256, 256, 3, 3, **kind)
    trials.append((2 * 9 * 256 * 256 * 32 * 100, lambda: torch.nn.functional.conv2d(images, kernel)))  # 10 x 10 results
    return max(operations / fastest(run, where) for operations, run in trials)


def copy_rate(where: torch.device) -> float:
    """Bytes per second, read and written, of copying a tensor much larger than any cache."""
    source = torch.zeros(2**26 if where.type == "cpu" else 2**28, device=where)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), where)


def fastest(run: Callable[[], Any], where: torch.device) -> float:
    """Seconds of the fastest of five calls after a first one."""
    times = []
    for _ in range(6):
        synchronize(where)
        begin = time.perf_counter()
        run()
        synchronize(where)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


if __name__ == "__main__":
    main()
