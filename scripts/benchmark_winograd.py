"""From how many channels on are Winograd's convolutions faster than direct ones?

``python scripts/benchmark_winograd.py`` times one compiled symmetric layer forward and backward on the CPU, with both kinds of
convolution. Its table is the reason for ``FEWEST_CHANNELS`` in networks/winograd.py.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measuring import header, interleaved, write_json
from torch import Tensor

from pdenet_repro import compose
from pdenet_repro.networks import winograd
from pdenet_repro.networks.layers import SymmetricLayer, SymmetricWeights
from pdenet_repro.networks.norms import Norm
from pdenet_repro.system import device
from pdenet_repro.system.arguments import whole_number

SIZES = ("256x12", "128x24", "64x48", "32x96", "128x12", "64x24", "32x48")


def gradients(channels: int, side: int, batch: int, fewest: int) -> Callable[[], list[Tensor]]:
    """Return a function for the gradients of a layer, compiled with Winograd's convolutions from ``fewest`` channels on."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, batch, channels, side, side, generator=random)
    Y, v = (each.contiguous(memory_format=torch.channels_last) for each in features)
    K = (0.5 / channels) ** 0.5 / 3 * torch.randn(channels, channels, 3, 3, generator=random)
    inputs = [weight.requires_grad_() for weight in (Y.detach(), K, torch.ones(channels), torch.zeros(channels))]
    layer = torch.compile(SymmetricLayer(Norm("instance"), "tanh").__call__, dynamic=False)

    def run() -> list[Tensor]:
        winograd.FEWEST_CHANNELS = fewest  # compiled code is only reused for the same value
        return list(torch.autograd.grad(layer(inputs[0], SymmetricWeights(*inputs[1:])), inputs, v))

    return run


def main() -> None:
    """Measure, print and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="channels x pixels of a side")
    parser.add_argument("--batch", type=whole_number(1), default=32)
    parser.add_argument("--repeats", type=whole_number(1), default=7)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks/winograd.json"))
    given = parser.parse_args()
    origin = header(device.set_up(compose("device=cpu")))
    rows: list[dict[str, Any]] = []
    print("| channels, pixels | direct | Winograd | ratio | gradients differ by |\n|---|---:|---:|---:|---:|")
    for channels, side in (map(int, size.split("x")) for size in given.sizes):
        torch._dynamo.reset()
        ways = {way: gradients(channels, side, given.batch, n) for way, n in (("direct", 1 << 30), ("winograd", 1))}
        pairs = list(zip(*(run() for run in ways.values()), strict=True))
        found = interleaved(ways, given.repeats)
        direct, ours = (median(found[way]) for way in ways)
        row = {"channels": channels, "side": side, "seconds": found, "ratio": direct / ours}
        row["difference"] = max(float((b - a).norm() / a.norm()) for a, b in pairs)
        rows.append(row)
        cells = (f"{channels}, {side}x{side}", f"{1e3 * direct:.0f} ms", f"{1e3 * ours:.0f} ms", f"{row['ratio']:.2f}")
        print(f"| {' | '.join(cells)} | {row['difference']:.1e} |", flush=True)
    write_json(given.output, **origin, batch=given.batch, rows=rows)


if __name__ == "__main__":
    main()
