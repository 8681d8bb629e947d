"""The study's training as one would write it in PyTorch without this package: the baseline of benchmark_training.py.

It uses torchvision's STL10 with per-image transforms, a DataLoader, a module of stock layers, torch.optim.SGD, a loop over the
weights for the regulariser and another that clamps them. benchmark_training.py checks that it computes the same objective.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class LabelledSTL10(datasets.STL10):  # type: ignore[misc] # torchvision has no annotations
    """torchvision's STL10 without its check at every start, which needs and hashes the 2.8 GB of unlabelled images."""

    def _check_integrity(self) -> bool:
        return True


def loader(root: str, batch: int, workers: int) -> DataLoader[tuple[torch.Tensor, int]]:
    """Return a loader of shuffled batches: images (N, 3, 96, 96), standardised by image and channel, and labels (N,)."""

    def standardize(image: torch.Tensor) -> torch.Tensor:
        image = 255 * image
        deviation = image.std((1, 2), keepdim=True).clamp_min(1 / 96)
        return (image - image.mean((1, 2), keepdim=True)) / deviation

    transform = transforms.Compose([transforms.ToTensor(), transforms.Lambda(standardize)])
    images = LabelledSTL10(root, "train", transform=transform)
    return DataLoader(images, batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0,
                      pin_memory=torch.cuda.is_available(), multiprocessing_context="fork" if workers else None)  # fmt: skip


class SymmetricLayer(nn.Module):
    """The symmetric layer of one time step, equation (6), docs/spec.md, section 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.norm = nn.InstanceNorm2d(channels, eps=1e-3, affine=True)

    def forward(self, Y: torch.Tensor) -> torch.Tensor:
        """Return F(Y) of features (N, C, H, W), in the same shape."""
        Z = F.relu(self.norm(F.conv2d(Y, self.kernel, padding=1)))
        return -F.conv_transpose2d(Z, self.kernel, padding=1)


class PlainUnit(nn.Module):
    """A unit: the time steps of one dynamic, docs/spec.md, section 3."""

    def __init__(self, dynamic: str, channels: int, steps: int) -> None:
        super().__init__()
        self.dynamic, half = dynamic, dynamic == "hamiltonian"
        lists = [[SymmetricLayer(channels // 2 if half else channels) for _ in range(steps)] for _ in range(1 + half)]
        self.layers: Any = nn.ModuleList(nn.ModuleList(layers) for layers in lists)

    def forward(self, Y: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape, with time step h = 1."""
        if self.dynamic == "hamiltonian":
            Y, Z = Y.chunk(2, 1)
            for first, second in zip(*self.layers, strict=True):
                Y = Y + first(Z)
                Z = Z - second(Y)
            return torch.cat([Y, Z], 1)
        if self.dynamic == "parabolic":
            for layer in self.layers[0]:
                Y = Y + layer(Y)
            return Y
        before = Y
        for layer in self.layers[0]:
            Y, before = 2 * Y - before + layer(Y), Y
        return Y


def connector(inputs: int, outputs: int, size: int) -> nn.Module:
    """Return an opening layer or a connector: convolution, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=1e-4), nn.ReLU())


class PlainNetwork(nn.Module):
    """The network of recipe `paper` with the given widths, one unit for each, and time steps of a unit."""

    def __init__(self, dynamic: str, widths: list[int], steps: int) -> None:
        super().__init__()
        self.opening = connector(3, widths[0], 3)
        self.units = nn.ModuleList(PlainUnit(dynamic, width, steps) for width in widths)
        pairs = zip(widths, [*widths[1:], widths[-1]], strict=True)
        self.connectors = nn.ModuleList(connector(inputs, outputs, 1) for inputs, outputs in pairs)
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, Y: torch.Tensor) -> torch.Tensor:
        """Map standardised images (N, 3, 96, 96) to class scores (N, 10)."""
        Y = self.opening(Y)
        for i, (unit, connect) in enumerate(zip(self.units, self.connectors, strict=True)):
            Y = connect(unit(Y))
            if i + 1 < len(self.units):
                Y = F.avg_pool2d(Y, 2)
        scores: torch.Tensor = self.classifier(Y.mean((2, 3)))
        return scores

    def load_weights(self, state: dict[str, torch.Tensor]) -> None:
        """Copy the weights from the state of a `PDENet`, whose unit weights have a leading time axis."""
        own = self.state_dict()
        for name, value in state.items():
            match name.split("."):
                case ["units", unit, "theta", layer, weight]:
                    inner = {"kernel": "kernel", "scale": "norm.weight", "shift": "norm.bias"}[weight]
                    for step, each in enumerate(value):
                        own[f"units.{unit}.layers.{layer}.{step}.{inner}"].copy_(each)
                case ["opening" | "connectors" as kind, *number, "kernel"]:
                    own[".".join([kind, *number, "0.weight"])].copy_(value)
                case ["opening" | "connectors" as kind, *number, "norm", "scale" | "shift" as weight]:
                    own[".".join([kind, *number, "1", "weight" if weight == "scale" else "bias"])].copy_(value)
                case ["classifier", _]:
                    own[name].copy_(value)


def objective(network: PlainNetwork, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy, total variation in time and weight decay, with the paper's alphas (docs/spec.md, section 6)."""
    loss = F.cross_entropy(scores, labels)
    for unit in network.units:
        for layers in cast(Any, unit).layers:
            for one, following in zip(layers, layers[1:], strict=False):
                for a, b in zip(one.parameters(), following.parameters(), strict=True):
                    loss = loss + 3e-4 * torch.sqrt((b - a) ** 2 + 1e-3).sum()
    for weight in network.parameters():
        loss = loss + 5e-4 / 2 * (weight**2).sum()
    return loss


def train_step(
    network: PlainNetwork, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Take one step of SGD with momentum and projection; return the objective before it."""
    loss = objective(network, network(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for weight in network.parameters():
            weight.clamp_(-1, 1)
    return loss.item()
