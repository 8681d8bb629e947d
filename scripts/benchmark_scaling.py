"""How do time and memory of training grow with images, batch size, time steps, channels and resolution?

``python scripts/benchmark_scaling.py --help`` lists the options. The benchmark varies each size alone, around a small base.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import numpy as np
import torch

from pdenet_repro import compose
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.system import device, gpu_driver
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import UserError
from pdenet_repro.training.build import make_trainer


@dataclass(frozen=True)
class Axis:
    """A size that is varied: its name, the power with which time should grow in it, and its values."""

    label: str
    power: int
    values: tuple[int, ...]


AXES = {
    "images": Axis("training images in an epoch", 1, (32, 64, 128, 256)),
    "batch": Axis("images in a batch", 1, (8, 16, 32, 64)),
    "steps": Axis("time steps of a unit", 1, (3, 6, 12, 24)),
    "width": Axis("channels of both units", 2, (32, 64, 128, 256)),
    "side": Axis("pixels of an image's side", 2, (48, 64, 96, 128)),
}
BASE = {"images": 0, "batch": 16, "steps": 3, "width": 32, "side": 64}  # images 0: one batch, a training step


class Epoch:
    """An epoch of training on random images, or one step if images is 0; calling the object runs it."""

    def __init__(self, dynamic: str, sizes: dict[str, int], where: torch.device) -> None:
        config = compose(
            f"dynamic={dynamic}", "network=tiny", f"network.widths=[{sizes['width']},{sizes['width']}]",
            f"network.steps={sizes['steps']}", f"schedule.batch_size={sizes['batch']}", "network.memory=store",
            "performance=eager", f"device={where}",
        )  # fmt: skip
        random = np.random.default_rng(0)
        count = sizes["images"] or sizes["batch"]
        pixels = random.integers(0, 256, (count, 3, sizes["side"], sizes["side"]), dtype=np.uint8)
        images = DeviceImages(pixels, random.integers(0, 10, count), where)
        self.trainer = make_trainer(config, images, where)

    def __call__(self) -> None:
        """Train every step of the epoch and finish it."""
        for _ in self.trainer.epoch():
            pass
        self.trainer.finish_epoch()


def measure(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure in this process, for every value of every size, the ``seconds`` of an epoch, in turns, or its ``peak`` MiB."""
    where, rows = torch.device(options.device), []
    for axis in options.axes:
        values = AXES[axis].values[: options.points]
        if name == "seconds":
            epochs = {str(value): Epoch(options.dynamic, BASE | {axis: value}, where) for value in values}
            found = measuring.interleaved(epochs, options.repeats, where)
            rows += [{"axis": axis, "value": value, "seconds": found[str(value)]} for value in values]
        else:
            for value in values:
                epoch = Epoch(options.dynamic, BASE | {axis: value}, where)
                epoch()  # lets libraries allocate their working memory
                rows.append({"axis": axis, "value": value, "mib": measuring.peak_growth(epoch, where)})
                del epoch
    return rows


def exponent(rows: list[dict[str, Any]], key: str) -> float:
    """Return the exponent of the power law through the last two points of a size."""
    before, last = rows[-2:]
    return float(np.log(last[key] / before[key]) / np.log(last["value"] / before["value"]))


def table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table with one row per size: values, seconds, MiB, and the exponents of time and memory at the end."""
    lines = ["| varied | values | median s | MiB | time grows with power | memory |", "|:--|:--|:--|:--|--:|--:|"]
    for axis in dict.fromkeys(row["axis"] for row in rows):
        chosen = [row for row in rows if row["axis"] == axis]
        columns = [", ".join(f"{row[key]:.3g}" for row in chosen) for key in ("value", "median", "mib")]
        powers = [f"{exponent(chosen, key):.2f}" if len(chosen) > 1 else "" for key in ("median", "mib")]
        lines.append(f"| {AXES[axis].label} | {' | '.join([*columns, *powers])} |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw time (above) and memory (below) on logarithmic axes, one column per size, and the expected power laws in grey."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["axis"] for row in rows))
    figure = Figure(figsize=(2.7 * len(names) + 0.6, 5.2), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False, sharex="col", sharey="row")
    for column, name in enumerate(names):
        chosen, meant = [row for row in rows if row["axis"] == name], AXES[name]
        x = np.array([row["value"] for row in chosen])
        for axis, key, power in ((axes[0, column], "median", meant.power), (axes[1, column], "mib", MEMORY[name])):
            y = np.array([row[key] for row in chosen])
            axis.plot(x, y[-1] * (x / x[-1]) ** power, color="#999999", linestyle="--", label=POWERS[power])
            axis.plot(x, y, color="#0072b2", marker="o", linewidth=1.8, markersize=5)
            axis.set(xscale="log", yscale="log")
            axis.set_xticks(x, [str(n) for n in x])
            axis.xaxis.minorticks_off()
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(frameon=False, fontsize=9)
        axes[1, column].set_xlabel(meant.label)
    axes[0, 0].set_ylabel("time, s")
    axes[1, 0].set_ylabel("peak memory, MiB")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"look at   {path}")


# Expected exponents of memory; features take most of it, not weights.
MEMORY = {"images": 0, "batch": 1, "steps": 1, "width": 1, "side": 2}
POWERS = {0: "constant", 1: "linear", 2: "quadratic"}


def main() -> None:
    """Measure time and memory in separate processes; print, write and draw the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--dynamic", default="parabolic", help="dynamic of both units")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), help="what to vary")
    parser.add_argument("--points", type=whole_number(1), default=4, help="values of each, from the smallest on")
    parser.add_argument("--repeats", type=whole_number(1), default=2, help="timed epochs or steps, in turns")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/scaling.json"), help="file of the numbers"
    )
    parser.add_argument(
        "--plot", type=Path, nargs="?", const=Path("docs/images/scaling.png"), help="also draw the numbers"
    )
    parser.add_argument("--part", choices=("seconds", "peak"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        config = compose(f"device={options.device}")
        gpu_driver.refuse_missing_gpu(config)
        if options.device != "cpu" or options.part != "peak":
            device.set_up(config)
    except UserError as error:
        sys.exit(f"error: {error}")
    if options.part:
        print(json.dumps(measure(options.part, options)))
        return
    origin = measuring.header(torch.device(options.device))
    seconds, peaks = measuring.in_a_process("seconds"), measuring.in_a_process("peak")
    rows = [a | {"median": median(a["seconds"]), "mib": b["mib"]} for a, b in zip(seconds, peaks, strict=True)]
    print(table(rows))
    measuring.write_json(options.output, **origin, base=BASE, dynamic=options.dynamic, rows=rows)
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
