"""How much memory and time does backpropagation through one Hamiltonian unit take, with and without stored features?

``python scripts/benchmark_memory.py --help`` lists the options. The benchmark compares ``network.memory=store``,
``reverse`` and ``recompute`` with MemCNN, RevTorch and ``torch.utils.checkpoint``. A Hamiltonian time step is an
additive coupling, so that all of them compute the same; the benchmark first checks that their gradients agree.
"""

import argparse
import importlib
import json
import math
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint_sequential

from pdenet_repro import build_network, compose
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.system import device, gpu_driver
from pdenet_repro.system.arguments import whole_number
from pdenet_repro.system.errors import UserError
from pdenet_repro.training.compilation import Compiler

OURS = ("store", "reverse", "recompute")
COMPILED = ("store, compiled", "reverse, compiled")
LIBRARIES = {"memcnn": "MemCNN", "revtorch": "RevTorch"}
VARIANTS = (*OURS, *COMPILED, *LIBRARIES, "checkpoint")


@cache
def compiler() -> Compiler:
    """Return the compiler that all units of this process share, since a new one would drop what was compiled before."""
    return Compiler(print)


class Half(nn.Module):
    """``h F(Y; theta)``, the update of one half of the channels, with its own copy of the weights of one time step."""

    def __init__(self, layer: Callable[..., Tensor], theta: Any, step_size: float) -> None:
        super().__init__()
        self.layer, self.kind, self.h = layer, type(theta), step_size
        self.theta = nn.ParameterList([weight.detach().clone() for weight in theta])

    def forward(self, Y: Tensor) -> Tensor:
        """Map (N, C/2, H, W) to the same shape."""
        return self.h * self.layer(Y, self.kind(*self.theta))


class SymplecticEuler(nn.Module):
    """A Hamiltonian time step (docs/spec.md, section 3): ``Y <- Y + f(Z)``, then ``Z <- Z + g(Y)``, on halves of the channels."""

    def __init__(self, f: Half, g: Half) -> None:
        super().__init__()
        self.f, self.g = f, g

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        Y, Z = features.chunk(2, dim=1)
        Y = Y + self.f(Z)
        return torch.cat([Y, Z + self.g(Y)], dim=1)


class Checkpointed(nn.Sequential):
    """Time steps in about sqrt(steps) segments of ``torch.utils.checkpoint``, as PyTorch's documentation advises."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        result: Tensor = checkpoint_sequential(self, round(math.sqrt(len(self))), features, use_reentrant=False)
        return result


def make(variant: str, steps: int, channels: int) -> nn.Module:
    """Return the unit in one variant; all variants have the same weights and the final time 3 of the paper's three steps."""
    memory = variant.split(",")[0] if variant in OURS + COMPILED else "store"
    unit = Unit(DYNAMICS["hamiltonian"](3 / steps, Norm("instance"), "relu"), channels, steps, memory)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in unit.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    if variant in OURS:
        return unit
    if variant in COMPILED:
        unit.step, unit.adjoint_step = (compiler()(step, variant) for step in (unit.step, unit.adjoint_step))
        return unit
    F, h = unit.dynamic.F, unit.dynamic.h
    halves = [(Half(F, theta1, h), Half(F, theta2, -h)) for theta1, theta2 in unit.thetas()]
    if variant == "checkpoint":
        return Checkpointed(*(SymplecticEuler(f, g) for f, g in halves))
    library: Any = importlib.import_module(variant)
    if variant == "revtorch":
        reversible: nn.Module = library.ReversibleSequence(
            nn.ModuleList(library.ReversibleBlock(f, g) for f, g in halves)
        )
        return reversible
    # the first block keeps the unit's input, which the layer before needs for its own derivative
    couplings = [library.AdditiveCoupling(f, g) for f, g in halves]
    return nn.Sequential(*(library.InvertibleModuleWrapper(c, keep_input=i == 0) for i, c in enumerate(couplings)))


class Pass:
    """A forward and backward pass of a variant; calling the object runs it."""

    def __init__(
        self, variant: str, steps: int, options: argparse.Namespace, dtype: torch.dtype = torch.float32
    ) -> None:
        where = torch.device(options.device)
        self.module = make(variant, steps, options.channels).to(where, dtype)
        shape = (2, options.batch, options.channels, options.side, options.side)
        self.Y, self.v = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(where, dtype)

    def forget(self) -> None:
        """Drop the gradients of the last call."""
        self.module.zero_grad(set_to_none=True)
        self.Y = self.Y.detach().requires_grad_()

    def __call__(self) -> None:
        """Compute the gradients of ``<v, unit(Y)>``."""
        self.forget()
        # as in a network, the module's input is no leaf: MemCNN writes to the gradient of its input
        self.module(1 * self.Y).backward(self.v)

    def gradients(self) -> list[Tensor]:
        """Return the gradients with respect to the features and to the six weights of a step, the latter stacked over time."""
        if isinstance(self.module, Unit):
            return [self.Y.grad, *(weight.grad for weight in self.module.parameters())]
        halves = [module for module in self.module.modules() if isinstance(module, Half)]
        by_layer = ([half.theta for half in halves if half.h > 0], [half.theta for half in halves if half.h < 0])
        return [
            self.Y.grad,
            *(torch.stack([w.grad for w in over_time]) for t in by_layer for over_time in zip(*t, strict=True)),
        ]

    def gradient_mib(self) -> float:
        """Return the MiB of the gradients themselves, which are the same for all variants."""
        return sum(gradient.nbytes for gradient in self.gradients()) / 2**20


class DeepStep:
    """A forward and backward pass of the whole ``network=deep``; calling the object runs it."""

    def __init__(self, memory: str, options: argparse.Namespace) -> None:
        config = compose("network=deep", "dynamic=hamiltonian", f"network.memory={memory}")
        where = torch.device(options.device)
        self.network = build_network(config).to(where)
        self.images = torch.randint(0, 256, (options.batch, 3, 96, 96), dtype=torch.uint8).to(where)

    def forget(self) -> None:
        """Drop the gradients of the last call."""
        self.network.zero_grad(set_to_none=True)

    def __call__(self) -> None:
        """Compute the gradients of a function of all class scores."""
        self.forget()
        self.network(self.images).square().sum().backward()

    def gradient_mib(self) -> float:
        """Return the MiB of the gradients."""
        return sum(p.nbytes for p in self.network.parameters()) / 2**20


def available(variants: list[str], deep: bool) -> list[str]:
    """Return the variants that can be measured; print a line for each library that is not installed.

    With ``deep``, for the whole network, these are only the package's own variants without compilation.
    """
    missing = set(COMPILED) if deep or not compiler().found else set()
    for name in (v for v in variants if v in LIBRARIES and not deep):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.add(name)
            print(
                f"{LIBRARIES[name]} is not installed and is left out; pip install -c constraints.txt -e '.[bench]' installs it"
            )
    return [v for v in variants if v not in missing and (v in OURS or not deep)]


def check(variants: list[str], options: argparse.Namespace) -> float:
    """Return the largest relative difference of any gradient from that of ``store``, in float64 at the fewest steps."""
    passes = {name: Pass(name, min(options.steps), options, torch.float64) for name in variants}
    for each in passes.values():
        each()
    expected = passes["store"].gradients()
    worst = max(
        ((a - b).abs().max() / b.abs().max()).item()
        for each in passes.values() for a, b in zip(each.gradients(), expected, strict=True)
    )  # fmt: skip
    if not worst < 1e-10:
        sys.exit(
            f"error: the gradients of the variants differ by {worst:.1e}, relative; must agree to 1e-10 in float64"
        )
    return worst


def measure(name: str, variants: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure in this process the ``seconds`` of passes, in turns, or their ``peak`` MiB beyond weights, gradients and input."""
    where, rows = torch.device(options.device), []
    for steps in ["deep"] if options.deep else options.steps:
        make_pass = (lambda v: DeepStep(v, options)) if options.deep else (lambda v, n=steps: Pass(v, n, options))
        if name == "seconds":
            found = measuring.interleaved({v: make_pass(v) for v in variants}, options.repeats, where)
            rows += [{"variant": v, "steps": steps, "seconds": found[v]} for v in variants]
        else:
            for v in variants:
                once = make_pass(v)
                once()  # compiles, and lets libraries allocate their working memory
                once.forget()
                rows.append(
                    {"variant": v, "steps": steps, "mib": measuring.peak_growth(once, where) - once.gradient_mib()}
                )
                del once
    if set(variants) & set(COMPILED) and not compiler().all_compiled:
        sys.exit("error: the compiler failed, so that the variants called compiled ran without compilation")
    return rows


def merge(seconds: list[dict[str, Any]], peaks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per variant and number of steps: seconds, their least and median, ratios to ``store``, MiB."""
    stored = {row["steps"]: row["seconds"] for row in seconds if row["variant"] == "store"}
    rows = []
    for time, peak in zip(seconds, peaks, strict=True):
        least, middle, of_store = min(time["seconds"]), median(time["seconds"]), stored[time["steps"]]
        ratios = {"to_store_min": least / min(of_store), "to_store_median": middle / median(of_store)}
        rows.append(time | {"min": least, "median": middle} | ratios | {"mib": peak["mib"]})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| steps | backward pass | memory, MiB | time, least | median | to store, least | median |",
        "|--:|:--|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        times = f"{r['min'] * 1e3:.0f} ms | {r['median'] * 1e3:.0f} ms | {r['to_store_min']:.2f} | {r['to_store_median']:.2f}"
        lines.append(f"| {r['steps']} | {LIBRARIES.get(r['variant'], r['variant'])} | {r['mib']:.1f} | {times} |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw memory, and time as a multiple of that of ``store``, against the number of steps."""
    from matplotlib.figure import Figure

    styles = {
        "store": ("#000000", "o"), "reverse": ("#0072b2", "s"), "recompute": ("#009e73", "D"),
        "memcnn": ("#d55e00", "^"), "revtorch": ("#cc79a7", "v"), "checkpoint": ("#e69f00", "P"),
        "store, compiled": ("#000000", "o"), "reverse, compiled": ("#0072b2", "s"),
    }  # fmt: skip
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for name in dict.fromkeys(row["variant"] for row in rows):
        chosen = [row for row in rows if row["variant"] == name]
        (colour, marker), steps = styles[name], [row["steps"] for row in chosen]
        style = {
            "color": colour,
            "marker": marker,
            "label": LIBRARIES.get(name, name),
            "linewidth": 1.8,
            "markersize": 5,
            "linestyle": "--" if name in COMPILED else "-",
        }
        axes[0].plot(steps, [row["mib"] for row in chosen], **style)
        axes[1].plot(steps, [row["to_store_median"] for row in chosen], **style)
    for axis, what in zip(axes, ("peak memory without weights, MiB", "forward and backward, times store"), strict=True):
        axis.set_xscale("log")
        axis.set_xticks(steps, [str(n) for n in steps])
        axis.minorticks_off()
        axis.set_xlabel("time steps of the unit")
        axis.set_ylabel(what)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[1].set_ylim(bottom=0)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"look at   {path}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument(
        "--steps", type=whole_number(1), nargs="+", default=[3, 12, 24, 48, 192], help="numbers of time steps"
    )
    made.add_argument("--channels", type=whole_number(1), default=32, help="channels of the unit, both halves together")
    made.add_argument("--side", type=whole_number(1), default=48, help="pixels of the features' side")
    made.add_argument("--batch", type=whole_number(1), default=4, help="images in a batch")
    made.add_argument("--repeats", type=whole_number(1), default=7, help="timed passes of each variant, in turns")
    made.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    made.add_argument("--allocator", choices=("kept", "system"), default="kept", help="on the CPU: freed memory kept for the "
                      "next features, as in training, or glibc's defaults, as in any other program")  # fmt: skip
    made.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=VARIANTS, help="variants to measure besides store"
    )
    made.add_argument("--deep", action="store_true", help="the whole network=deep instead of a unit")
    made.add_argument("--output", type=Path, default=Path("outputs/benchmarks/memory.json"), help="file of the numbers")
    made.add_argument(
        "--plot", type=Path, nargs="?", const=Path("docs/images/memory.png"), help="also draw the numbers"
    )
    made.add_argument("--part", choices=("seconds", "peak"), help=argparse.SUPPRESS)
    return made


def main() -> None:
    """Check that all variants compute the same; measure them in other processes; print, write and draw the numbers."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # MemCNN uses deprecated names of PyTorch
    options = parser().parse_args()
    try:
        config = compose(f"device={options.device}")
        gpu_driver.refuse_missing_gpu(config)
        if options.device != "cpu" or (options.part != "peak" and options.allocator == "kept"):
            device.set_up(config)
    except UserError as error:
        sys.exit(f"error: {error}")
    if options.part:
        print(json.dumps(measure(options.part, options.variants, options)))
        return
    origin = measuring.header(torch.device(options.device))
    variants = available([v for v in VARIANTS if v == "store" or v in options.variants], options.deep)
    if not options.deep:
        print(f"gradients agree to {check(variants, options):.1e} in float64", flush=True)
    rows = merge(*(measuring.in_a_process(each, "--variants", *variants) for each in ("seconds", "peak")))
    print(table(rows))
    measuring.write_json(options.output, **origin, options={k: str(v) for k, v in vars(options).items()}, rows=rows)
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
