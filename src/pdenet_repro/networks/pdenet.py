"""The architecture of the study: opening layer, units with connectors between them, pixel mean, classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pdenet_repro.config.schema import NetworkConfig
from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.layers import ACTIVATIONS, conv
from pdenet_repro.networks.norms import BatchNorm, Norm, connector_norm
from pdenet_repro.networks.unit import Unit


class Connector(nn.Module):
    """``sigma(BN(K Y))`` from ``inputs`` to ``outputs`` channels: 3x3 as the opening layer, 1x1 between units."""

    def __init__(self, inputs: int, outputs: int, size: int, norm: str, activation: str) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(outputs, inputs, size, size))
        self.norm = connector_norm(norm, outputs)
        self.sigma = ACTIVATIONS[activation]

    def forward(self, Y: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return self.sigma(self.norm(conv(Y, self.kernel)))


class PDENet(nn.Module):
    """Classifies images (N, 3, H, W): opening, units of one dynamic, connectors with 2x2 pooling, pixel mean, classifier.

    Raw images (uint8, 0..255) are standardised as the network was trained; floating-point images are taken to be
    standardised already. Initial weights depend on ``seed`` alone, not on the device. ``batch_statistics``: batch norms
    use those of the batch at test time too.
    """

    def __init__(
        self,
        dynamic: str,
        config: NetworkConfig,
        *,
        standardization: str = "per_image_and_channel",
        batch_statistics: bool = False,
        classes: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.standardization = standardization
        norm, sigma = config.connector_norm, config.activation
        unit_norm = Norm(config.norm, config.norm_eps)
        memory = "store" if config.memory == "auto" else config.memory
        widths = [*config.widths, config.last_width or config.widths[-1]]
        self.opening = Connector(3, widths[0], 3, norm, sigma)
        self.units = nn.ModuleList(
            Unit(DYNAMICS[dynamic](config.step_size, unit_norm, sigma), width, config.steps, memory)
            for width in config.widths
        )
        self.connectors = nn.ModuleList(
            Connector(inputs, outputs, 1, norm, sigma) for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
        self.classifier = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.of_batch = batch_statistics
        self._initialize(config.initialization, torch.Generator().manual_seed(seed))

    def _initialize(self, kernels: str, generator: torch.Generator) -> None:
        """SPEC section 5: the same kernel at every time step, so that the smoothness term starts at its minimum."""
        for name, parameter in self.named_parameters():
            value = parameter.data
            if "kernel" in name:
                draw = value[0] if is_time_dependent(name) else value
                outputs, inputs, *size = draw.shape
                if kernels == "glorot":
                    deviation = (2 / ((inputs + outputs) * size[0] * size[1])) ** 0.5
                    nn.init.trunc_normal_(draw, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator)
                else:
                    draw.normal_(std=0.1, generator=generator).clamp_(-0.2, 0.2)
                value.copy_(draw.clone())
            elif name.startswith("classifier"):
                nn.init.trunc_normal_(value, std=0.1, a=-0.2, b=0.2, generator=generator)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return self.classifier.weight.dtype

    def features(self, images: Tensor) -> Tensor:
        """The pixel means of the last connector's channels, (N, last width), of images (N, 3, H, W).

        TypeError or ValueError for images that cannot be classified.
        """
        self._refuse_unusable(images)
        Y = standardize(images, self.standardization, self.dtype) if images.dtype == torch.uint8 else images
        Y = self.opening(Y)
        for i, (unit, connector) in enumerate(zip(self.units, self.connectors, strict=True)):
            Y = connector(unit(Y))
            if i + 1 < len(self.units):
                Y = F.avg_pool2d(Y, 2)
        return Y.mean((2, 3))

    def _refuse_unusable(self, images: Tensor) -> None:
        """One sentence in place of what a convolution says. Looks at attributes alone, which compiled code does once."""
        weights, smallest = self.dtype, 2 ** (len(self.units) - 1)  # a pixel for the last unit
        if not isinstance(images, Tensor):
            hint = "; torch.from_numpy makes one of an array" if hasattr(images, "__array__") else ""
            raise TypeError(f"images must be {_tensor(smallest, weights)}, not {type(images).__name__}{hint}")
        rounded = images.is_floating_point() and torch.is_autocast_enabled(images.device.type)
        if images.dtype not in (torch.uint8, weights) and not rounded:
            raise TypeError(f"images must be {_tensor(smallest, weights)}, not {_name(images.dtype)}")
        if images.ndim != 4 or images.shape[1] != 3 or not len(images) or min(images.shape[2:]) < smallest:
            hint = "; image[None] makes a batch of one image" if images.ndim == 3 else ""
            raise ValueError(f"images must be {_tensor(smallest, weights)}, not of shape {tuple(images.shape)}{hint}")

    def forward(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (N, classes), of images (N, 3, H, W)."""
        return self.classifier(self.features(images))

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (N, classes) of images (N, 3, H, W); differentiable, so use it within ``torch.no_grad()``."""
        return torch.softmax(self(images).to(self.dtype), dim=1)

    def drift(self) -> float | None:
        """Largest relative drift of the units run backwards since it was last asked for; None if none is."""
        reversed_units = [unit for unit in self.units if isinstance(unit, Unit) and unit.memory == "reverse"]
        if not reversed_units:
            return None
        largest = torch.stack([unit.drift for unit in reversed_units]).max().item()
        for unit in reversed_units:
            unit.drift.zero_()
        return largest

    def weight_count(self) -> int:
        """Number of trainable weights."""
        return sum(parameter.numel() for parameter in self.parameters())


def _tensor(smallest: int, weights: torch.dtype) -> str:
    """What a network takes, for its refusals."""
    return (
        f"a tensor of shape (N, 3, H, W), N at least 1, H and W at least {smallest}, of uint8 (0 to 255) or, "
        f"standardised, {_name(weights)}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def is_time_dependent(name: str) -> bool:
    """Whether a named parameter belongs to a unit and has a leading time axis."""
    return name.startswith("units.")


def is_norm_weight(name: str) -> bool:
    """Whether a named parameter is a norm's scale or shift."""
    return name.endswith((".scale", ".shift"))
