"""How fast is training in a plain PyTorch loop and in this package, compared with the bound that the machine sets?

    python scripts/benchmark_training.py                             # CPU: three dynamics, batches of 32 and 128
    python scripts/benchmark_training.py --device cuda               # GPU: also tf32 (make bench-gpu)

Each variant runs in its own process, in turns with the plain loop (scripts/plain_loop.py), so that other load slows both
alike; first the script checks that both compute the same objective. Images per second are the best of the rounds, ratios are
the median over the rounds. The bound is the longer of two times: the arithmetic of direct convolutions at the rate of the
fastest matrix product in the variant's precision, and the fewest bytes that must be moved (networks/cost.py) at the bandwidth
of a copy; both rates are measured in the same run. Convolutions with fewer multiplications (networks/winograd.py) can be
faster. The last column is the time of Figure 2's ten runs of a dynamic: training, first steps, evaluation.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measuring import copy_rate, header, matrix_rate, write_json

from pdenet_repro import build_network, compose
from pdenet_repro.data import shapes, source
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.cost import memory_accesses, training_flops
from pdenet_repro.runs.work import work_left
from pdenet_repro.system import device, gpu_driver
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import UserError
from pdenet_repro.system.formatting import aligned, duration
from pdenet_repro.training.build import make_trainer
from pdenet_repro.training.evaluation import class_probabilities

VARIANTS = {  # name: settings, by kind of device; the plain loop is always measured too
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

ROOM = 40 * 2**30  # estimated bytes of a GPU's memory in which all variants fit at once


def main() -> None:
    """Measure and print the tables; after each table, write all numbers so far."""
    given = arguments()
    where = torch.device(given.device)
    offered = VARIANTS[where.type]
    unknown = sorted(set(given.variants or ()) - set(offered))
    if unknown:
        sys.exit(f"error: --variants {unknown[0]!r}: must be one of {', '.join(map(repr, offered))}")
    try:
        gpu_driver.refuse_missing_gpu(compose(f"device={given.device}"))
    except UserError as error:
        sys.exit(f"error: {error}")
    chosen = {name: offered[name] for name in given.variants or offered}
    origin, results = header(where), list[dict[str, Any]]()
    for words in [[f"dynamic={name}", *given.settings] for name in given.dynamics]:
        for batch in given.batches:
            words_of_all = [*words, f"schedule.batch_size={batch}", f"device={given.device}"]
            with ExitStack() as stack:
                rows = compare(words_of_all, batch, chosen, given, stack)
            show(rows)
            results += rows
            write_json(given.output, **origin, results=results)


def arguments() -> argparse.Namespace:
    """Parse the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dynamics", nargs="+", default=["parabolic", "hamiltonian", "second_order"])
    parser.add_argument("--batches", nargs="+", type=whole_number(1), default=[32, 128])
    parser.add_argument("--variants", nargs="+", help="variants beside the plain loop; default all: "
                        + "; ".join(f"{kind}: {', '.join(map(repr, names))}" for kind, names in VARIANTS.items()))  # fmt: skip
    parser.add_argument("--rounds", type=whole_number(1), default=3)
    parser.add_argument("--steps", type=whole_number(1), default=2, help="training steps in a round")
    parser.add_argument("--workers", type=whole_number(0), default=2, help="processes of the plain loop's DataLoader")
    parser.add_argument("--settings", nargs="*", default=["data=shapes"], help="such as data=stl10 data.root=FOLDER")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/training.json"))
    return parser.parse_args()


def compare(
    words: list[str], batch: int, chosen: dict[str, list[str]], given: argparse.Namespace, stack: ExitStack
) -> list[dict[str, Any]]:
    """Measure the plain loop and all variants for one dynamic and batch size; return their rows."""
    where = torch.device(given.device)
    # A large GPU holds all variants at once, the CPU's memory does not in batches of 128. First steps run one at a time.
    all_at_once = where.type == "cuda" and device.total_memory(where) > ROOM
    if all_at_once:
        compile_all(words, chosen, given)
    plain = TrainingProcess("plain", words, True, given.workers, stack)
    plain.first = plain.request("first")
    rows: list[dict[str, Any]] = []
    for group in [chosen] if all_at_once else [{name: settings} for name, settings in chosen.items()]:
        with ExitStack() as inner:
            processes = [TrainingProcess(name, [*words, *more], False, 0, inner) for name, more in group.items()]
            for process in processes:
                process.first = process.request("first")
                deviation = abs(process.first["loss"] / plain.first["loss"] - 1)
                if not deviation < (1e-4 if process.precision == "float32" else 0.02):
                    sys.exit(
                        f"error: {process.name} computes another objective than the plain loop: {deviation:.1e} off"
                    )
            seconds: dict[str, list[float]] = {process.name: [] for process in [plain, *processes]}
            for _ in range(given.rounds):
                for process in [plain, *processes]:
                    seconds[process.name].append(process.request("train", given.steps) / (given.steps * batch))
            for process in [*([] if rows else [plain]), *processes]:
                rows.append(row(process, seconds["plain"], seconds[process.name], batch))
    return rows


def compile_all(words: list[str], chosen: dict[str, list[str]], given: argparse.Namespace) -> None:
    """Fill the compiler's cache for all variants at the same time, since each compilation uses one core."""
    with ExitStack() as stack:
        settings = [[*words, *more] for more in chosen.values() if "performance=compile" in more]
        processes = [TrainingProcess("compiling", each, False, 0, stack) for each in settings]
        for what in ("first", "evaluate"):
            for process in processes:
                process.send(what, 1)
            for process in processes:
                process.receive()


class TrainingProcess:
    """A process that trains one variant and measures its time; it ends when ``stack`` is closed."""

    def __init__(self, name: str, words: list[str], plain: bool, workers: int, stack: ExitStack) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, self.words, self.precision = name, words, compose(*words).precision
        self.first: dict[str, float] = {}
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, words, plain, workers))
        self.process.start()
        theirs.close()
        stack.callback(self.stop)

    def send(self, what: str, amount: int = 1) -> None:
        """Send an order: ``first`` (two steps; the first compiles), ``train`` or ``evaluate`` (``amount`` batches), ``peak``."""
        self.pipe.send((what, amount))

    def receive(self) -> Any:
        """Return the answer: objective and seconds of the first step, seconds, or MiB. Exit if the process failed."""
        try:
            answer = self.pipe.recv()
        except EOFError:
            sys.exit(f"error: the process of {self.name!r} ended without an answer; it may have run out of memory")
        if isinstance(answer, str):
            sys.exit(f"error: {self.name}: {answer}")
        return answer

    def request(self, what: str, amount: int = 1) -> Any:
        """Send an order, and return the answer to it."""
        self.send(what, amount)
        return self.receive()

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(20)
        self.process.kill()


def row(process: TrainingProcess, plain: list[float], seconds: list[float], batch: int) -> dict[str, Any]:
    """Return a row of the table; ``plain``, ``seconds``: seconds per image in each round, of the plain loop and the variant."""
    config, times = compose(*process.words), median(seconds)
    where = torch.device(config.device)
    found = {
        "dynamic": config.dynamic,
        "batch": batch,
        "variant": process.name,
        "images_per_second": 1 / min(seconds),
        "times_plain": median(p / t for p, t in zip(plain, seconds, strict=True)),
        "first_step_seconds": process.first["seconds"],
        "peak_mib": process.request("peak"),
        "seconds_per_image": seconds,
        "plain_seconds_per_image": plain,
    }
    rate, bandwidth = matrix_rate(where, config.precision), copy_rate(where)
    size = 2 if config.precision == "bfloat16" else 4
    arithmetic = training_flops(config.network, config.dynamic) / rate
    transfer = size * memory_accesses(config.network) / bandwidth
    found |= {
        "flops_per_second": rate,
        "bytes_per_second": bandwidth,
        "bound_arithmetic": arithmetic,
        "bound_transfer": transfer,
        "times_bound": times / max(arithmetic, transfer),
    }
    if process.name != "plain":
        once, again = process.request("evaluate"), process.request("evaluate", 3) / 3
        images = config.evaluation.batch_size
        runs = [
            compose(*process.words, "data=stl10", f"data.fraction={k / 10}", "output_root=/none") for k in range(1, 11)
        ]
        left = [work_left(run) for run in runs]
        training, evaluation = (sum(getattr(each, of) for each in left) for of in ("train", "evaluate"))
        found["first_evaluation_seconds"], found["evaluated_per_second"] = once, images / again
        found["study_seconds"] = training * times + evaluation * again / images
        found["study_seconds"] += len(runs) * (
            found["first_step_seconds"] + once
        )  # each run waits for its compiled code
    return found


def show(rows: list[dict[str, Any]]) -> None:
    """Print one table."""
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
    """Answer the orders of a `TrainingProcess`; this is what its process runs."""
    try:
        config = compose(*words)
        where = torch.device(config.device)
        step, evaluate = plain_step(config, where, workers) if plain else own_step(config, where)
        answer: Any
        while True:
            what, amount = pipe.recv()
            device.synchronize(where)
            begin = time.perf_counter()
            if what == "first":
                answer = {"loss": step(), "seconds": time.perf_counter() - begin}
                step()
            elif what == "peak":
                answer = device.peak_memory(where)
            else:
                for _ in range(amount):
                    step() if what == "train" else evaluate()
                device.synchronize(where)
                answer = time.perf_counter() - begin
            pipe.send(answer)
    except EOFError:  # the other side has closed the pipe
        return
    except Exception as error:  # every error is reported, since the other side waits for an answer
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def own_step(config: Any, where: torch.device) -> tuple[Callable[[], float], Callable[[], Any]]:
    """Return functions for a training step of this package, which returns the objective, and for evaluating a batch."""
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


def plain_step(config: Any, where: torch.device, workers: int) -> tuple[Callable[[], float], Callable[[], Any]]:
    """Return functions for a step of the plain loop and for an evaluation, which does nothing here.

    The network begins with the package's initial weights and its first batch, so that losses can be compared.
    """
    import plain_loop

    from pdenet_repro.data.batches import TrainingBatches

    torch.backends.cudnn.allow_tf32 = False  # PyTorch's default rounds convolutions on a GPU; the baseline is float32
    dataset = source.load(config.data, print)
    root = config.data.root or str(shapes.ensure())
    network = plain_loop.PlainNetwork(config.dynamic, config.network.widths, config.network.steps)
    network.load_weights(build_network(config).state_dict())
    network.to(where).train()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=config.schedule.learning_rate, momentum=config.optimizer.momentum
    )
    first = TrainingBatches(
        DeviceImages(dataset.train.pixels, dataset.train.labels, where),
        config.schedule, build_network(config).standardize, config.data.augmentation, config.seed,
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
    return lambda: next(steps), lambda: None


if __name__ == "__main__":
    main()
