"""The network: opening layer, units with a connector after each, pixel mean, classifier (docs/spec.md, sections 2 and 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pdenet_repro.config.schema import CLASSES, NetworkConfig
from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.dynamics import Dynamic
from pdenet_repro.networks.layers import ACTIVATIONS, conv, is_kernel
from pdenet_repro.networks.norms import BatchNorm, Norm, connector_norm
from pdenet_repro.networks.unit import Unit


class Connector(nn.Module):
    """The layer ``sigma(norm(K Y))`` from ``inputs`` to ``outputs`` channels, with a 3x3 kernel (opening) or 1x1 kernel."""

    def __init__(self, inputs: int, outputs: int, size: int, norm: str, activation: str) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(outputs, inputs, size, size))
        self.norm = connector_norm(norm, outputs)
        self.sigma = ACTIVATIONS[activation]

    def forward(self, Y: Tensor) -> Tensor:
        """Return features (N, outputs, H, W) from Y (N, inputs, H, W)."""
        return self.sigma(self.norm(conv(Y, self.kernel)))


class PDENet(nn.Module):
    """Classifies images (N, 3, H, W): opening, units of one dynamic, connectors with 2x2 pooling, pixel mean, classifier.

    ``network(images)`` and ``network.probabilities(images)`` take raw pixels, uint8 of 0 to 255, and standardise them as for
    training. ``network.forward_standardized(images)`` takes floating-point images that ``network.standardize`` has standardised.
    Each raises TypeError for images of the other's type. ``forward_standardized`` also raises ValueError for values that no
    standardised image has. Most raw images that were converted to floating-point numbers have some, but dark ones need not.

    ``dynamic``: the class of the units' dynamic. Initial weights depend on ``seed`` alone, not on the device.
    ``batch_statistics``: batch norms use the statistics of the batch in evaluation mode too.
    """

    def __init__(
        self,
        dynamic: type[Dynamic],
        config: NetworkConfig,
        *,
        standardization: str = "per_image_and_channel",
        batch_statistics: bool = False,
        classes: int = CLASSES,
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
            Unit(dynamic(config.step_size, unit_norm, sigma), width, config.steps, memory) for width in config.widths
        )
        self.connectors = nn.ModuleList(
            Connector(inputs, outputs, 1, norm, sigma) for inputs, outputs in zip(widths, widths[1:], strict=False)
        )
        self.classifier = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, BatchNorm):
                module.use_batch_statistics = batch_statistics
        self._draw_weights(config, torch.Generator().manual_seed(seed))

    def _draw_weights(self, config: NetworkConfig, generator: torch.Generator) -> None:
        """Draw the initial weights in the order of the parameters (docs/spec.md, section 5).

        All time steps of a unit get the same draw, so that the smoothness term starts at its minimum, unless
        ``config.initial_draw`` is ``each_step``. Scales are 1 and shifts 0, unless ``config.initial_norms`` is ``drawn``.
        """
        for name, parameter in self.named_parameters():
            if is_norm_weight(name) and config.initial_norms == "ones":
                continue
            value = parameter.data
            parts = value if is_time_dependent(name) else value[None]  # one part for each time step
            for part in parts if config.initial_draw == "each_step" else parts[:1]:
                if is_kernel(name):
                    _draw_kernel(part, config.initialization, generator)
                else:
                    _draw_truncated_normal(part, 0.1, generator)
            if config.initial_draw == "once":
                parts.copy_(parts[:1].clone())
        with torch.no_grad():
            for unit in self.units:
                unit.dynamic.initialize(unit.theta)  # type: ignore[operator, union-attr]

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        return self.classifier.weight.dtype

    def standardize(self, images: Tensor) -> Tensor:
        """Standardise raw images (N, 3, H, W), whose values of 0 to 255 are uint8 or floating-point numbers.

        The arithmetic of uint8 images is in float32 or, for float64 weights, in float64; that of floating-point images is in
        their own type. The result has the type of the weights.
        """
        weights = self.dtype
        if not images.is_floating_point():
            images = images.to(torch.promote_types(weights, torch.float32))
        standardized: Tensor = standardize(images, self.standardization).to(weights)
        return standardized

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax, (N, classes), of raw images (N, 3, H, W) uint8.

        Raises
        ------
        TypeError
            ``images`` is not a tensor of uint8.
        ValueError
            ``images`` has another shape.
        """
        self._check_images(images, raw=True)
        return self.forward_unchecked(self.standardize(images))

    def forward_standardized(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax, (N, classes), of standardised images (N, 3, H, W) in the weights' type.

        Raises
        ------
        TypeError
            ``images`` is not a tensor of that type (under autocast: of any floating-point type).
        ValueError
            ``images`` has another shape, or a value beyond ``sqrt(3 H W)`` in modulus, which no standardised image has.
            Compiled code does not check the values.
        """
        self._check_images(images, raw=False)
        if not torch.compiler.is_compiling():
            self._check_values(images.detach())
        return self.forward_unchecked(images)

    def forward_unchecked(self, images: Tensor) -> Tensor:
        """Return the same scores as ``forward_standardized`` without the check of the values.

        The check waits for the GPU, and is an error within ``torch.func.vmap``.
        """
        means = self.pixel_means(images)
        with torch.autocast(means.device.type, enabled=False):  # the rounded scores of two classes could be equal
            scores: Tensor = self.classifier(means)
        return scores

    def pixel_means(self, images: Tensor) -> Tensor:
        """Return the classifier's input, the pixel means of the last connector's channels: (N, last width).

        ``images``: standardised, (N, 3, H, W), in the weights' type; TypeError or ValueError for another type or shape.
        """
        self._check_images(images, raw=False)
        Y: Tensor = self.opening(images)
        for i, (unit, connector) in enumerate(zip(self.units, self.connectors, strict=True)):
            Y = connector(unit(Y))
            if i + 1 < len(self.units):
                Y = F.avg_pool2d(Y, 2)
        # in the weights' precision under autocast too, as it is a sum of many values
        return Y.mean((2, 3), dtype=self.classifier.weight.dtype)

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the class probabilities (N, classes) of raw images (N, 3, H, W) uint8: float64 if the weights are, else float32.

        They are part of autograd's graph unless computed within ``torch.no_grad()``. Raises the errors of ``network(images)``.
        """
        return torch.softmax(self(images).to(torch.promote_types(self.dtype, torch.float32)), dim=1)

    def _check_images(self, images: Tensor, raw: bool) -> None:
        """Raise TypeError or ValueError, with the allowed values, for images that the network cannot take.

        Only type and shape are read, so that compiled code checks them once, at compilation.
        """
        weights, smallest = self.classifier.weight.dtype, 2 ** (len(self.units) - 1)  # a pixel for the last unit
        values = "raw pixels of uint8 (0 to 255)" if raw else f"standardised images of {_name(weights)}"
        wanted = f"a tensor of shape (N, 3, H, W), N at least 1, H and W at least {smallest}, of {values}"
        if not isinstance(images, Tensor):
            hint = "; torch.from_numpy makes one of an array" if hasattr(images, "__array__") else ""
            raise TypeError(f"images must be {wanted}, not {type(images).__name__}{hint}")
        rounded = images.is_floating_point() and torch.is_autocast_enabled(images.device.type)
        if images.dtype != torch.uint8 if raw else images.dtype != weights and not rounded:
            hint = ""
            if raw and images.is_floating_point():
                hint = "; standardise raw pixels of another type: network.forward_standardized(network.standardize(images))"
            elif images.dtype == torch.uint8:
                hint = "; network(images) takes raw pixels"
            raise TypeError(f"images must be {wanted}, not {_name(images.dtype)}{hint}")
        if images.ndim != 4 or images.shape[1] != 3 or not len(images) or min(images.shape[2:]) < smallest:
            hint = "; image[None] makes a batch of one image" if images.ndim == 3 else ""
            raise ValueError(f"images must be {wanted}, not of shape {tuple(images.shape)}{hint}")

    def _check_values(self, images: Tensor) -> None:
        """Raise ValueError for a value that no standardised image has.

        The sum of squares of n values with mean 0 and standard deviation at most 1 is less than n = 3 H W.
        """
        largest, most = images.abs().max().item(), images[0].numel() ** 0.5
        if largest > most * (1 + torch.finfo(images.dtype).eps):  # half precision rounds up by this factor at most
            raise ValueError(
                f"images must be standardised, so that no value is beyond {most:.4g} in modulus, but one is {largest:.4g}; "
                "standardise raw pixels: network.forward_standardized(network.standardize(images))"
            )

    def drift(self) -> float | None:
        """Return the largest drift (`Unit`) of all units since the last call; None if no unit runs backwards."""
        reversed_units = [unit for unit in self.units if isinstance(unit, Unit) and unit.memory == "reverse"]
        if not reversed_units:
            return None
        largest = torch.stack([unit.drift for unit in reversed_units]).max().item()
        for unit in reversed_units:
            unit.drift.zero_()
        return largest

    def weight_count(self) -> int:
        """Return the number of trainable weights."""
        return sum(parameter.numel() for parameter in self.parameters())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _draw_kernel(kernel: Tensor, law: str, generator: torch.Generator) -> None:
    """Draw the entries of a kernel (C_out, C_in, k, k) from a normal distribution, in place (docs/spec.md, section 5).

    ``law``: ``glorot``, with Glorot's standard deviation, truncated at two of them; ``normal_clipped``, with deviation 0.1,
    clipped to +-0.2.
    """
    outputs, inputs, *size = kernel.shape
    if law == "glorot":
        deviation = (2 / ((inputs + outputs) * size[0] * size[1])) ** 0.5
        _draw_truncated_normal(kernel, deviation, generator)
    else:
        kernel.normal_(std=0.1, generator=generator).clamp_(-0.2, 0.2)


def _draw_truncated_normal(values: Tensor, deviation: float, generator: torch.Generator) -> None:
    """Draw from a normal distribution, in place; draw anew what is further than two standard deviations from zero.

    ``nn.init.trunc_normal_`` is not used: its method, and with it the weights of a seed, changes between versions of PyTorch.
    """
    bound = values.new_tensor(2 * deviation)
    values.normal_(std=deviation, generator=generator)
    while (outside := values.abs() > bound).any():
        values.copy_(torch.where(outside, torch.empty_like(values).normal_(std=deviation, generator=generator), values))


def is_time_dependent(name: str) -> bool:
    """Whether a named parameter belongs to a unit and has a leading time axis."""
    return name.startswith("units.")


def is_norm_weight(name: str) -> bool:
    """Whether a named parameter is a norm's scale or shift."""
    return name.endswith((".scale", ".shift"))
