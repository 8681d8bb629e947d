"""The training loop: forward pass, objective, backward pass, projected step. It reads and writes no files."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pdenet_repro.config.schema import ScheduleConfig
from pdenet_repro.data.batches import TrainingBatches
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.system.errors import NonFiniteNumbers
from pdenet_repro.training.objective import Objective
from pdenet_repro.training.optimizer import ProjectedSGD
from pdenet_repro.training.schedule import learning_rate


@dataclass
class Progress:
    """The state of the loop: ``step`` steps of ``epoch`` are done; the other numbers are sums over these steps."""

    epoch: int = 1
    step: int = 0
    data_loss: float = 0.0
    smoothness: float = 0.0
    decay: float = 0.0
    correct: int = 0
    images: int = 0


class StepCompiler(Protocol):
    """The part of `pdenet_repro.training.compilation.Compiler` that this module uses."""

    @property
    def all_compiled(self) -> bool:
        """Whether every function that was called so far is compiled."""


class Trainer:
    """Minimises the objective over shuffled batches; ``state`` returns its whole state, and ``restore`` continues from it."""

    def __init__(
        self,
        network: PDENet,
        objective: Objective,
        optimizer: ProjectedSGD,
        batches: TrainingBatches,
        schedule: ScheduleConfig,
        autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.network, self.objective, self.optimizer = network, objective, optimizer
        self.batches, self.schedule, self.autocast = batches, schedule, autocast
        # compilation replaces this function by a compiled one
        self.forward: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = self._forward
        self.compiler: StepCompiler | None = None  # None if the steps are not compiled
        self.progress = Progress()

    @property
    def rate(self) -> float:
        """The learning rate of the current epoch."""
        schedule = self.schedule
        return learning_rate(self.progress.epoch, schedule.learning_rate, schedule.milestones, schedule.factor)

    @property
    def compiled(self) -> bool:
        """Whether compiled code computes the steps; a failure in the next step is not yet known."""
        return self.compiler is not None and self.compiler.all_compiled

    @property
    def steps_taken(self) -> int:
        """The number of steps since the beginning of the run."""
        return (self.progress.epoch - 1) * self.batches.steps + self.progress.step

    def epoch(self) -> Iterator[Progress]:
        """Take the remaining steps of the current epoch; yield the progress after each.

        Raises
        ------
        NonFiniteNumbers
            The objective or its gradient is infinite or NaN, or the step would overflow. The weights are those before
            the step.
        """
        self.network.train()
        self.batches.start_epoch(self.progress.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        while self.progress.step < self.batches.steps:
            self._one_step(*self.batches.batch(self.progress.step))
            yield self.progress

    def _forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the objective of a batch, and a tensor (4,) of its three terms and the number of correct predictions."""
        with self.autocast():
            scores = self.network.forward_unchecked(images)
        terms = self.objective(scores.to(self.network.dtype), labels)
        correct = (scores.argmax(1) == labels).sum()
        return terms.total, torch.stack([*terms, correct.to(terms.data.dtype)]).detach()

    def _one_step(self, images: Tensor, labels: Tensor) -> None:
        total, report = self.forward(images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        size = self.optimizer.size_after_step()
        data, smoothness, decay, correct, size_after_step = torch.cat([report, size.to(report)[None]]).tolist()
        self._check_finite(data, smoothness, decay, size_after_step)
        self.optimizer.step()
        progress = self.progress
        progress.step += 1
        progress.data_loss += data
        progress.smoothness += smoothness
        progress.decay += decay
        progress.correct += int(correct)
        progress.images += len(labels)

    def _check_finite(self, data: float, smoothness: float, decay: float, size_after_step: float) -> None:
        loss = data + smoothness + decay
        if math.isfinite(loss) and math.isfinite(size_after_step):
            return
        fault = f"the objective is {loss} (data {data:g}, smoothness {smoothness:g}, decay {decay:g})"
        advice = (
            "Lower schedule.learning_rate or network.step_size, or choose another network.norm; if smoothness or decay is not "
            "finite, lower objective.alpha1 or objective.alpha2"
        )
        if math.isfinite(loss):
            fault = f"the objective is finite ({loss:g}), but its gradient, or the step along it, is not"
            advice = (
                "Raise objective.eps or network.norm_eps where they are small, or lower schedule.learning_rate or "
                "network.step_size"
            )
        raise NonFiniteNumbers(
            f"{fault} at epoch {self.progress.epoch}, step {self.progress.step + 1}, learning rate {self.rate:g}; the weights "
            f"of the step before are kept. {advice}"
        )

    def finish_epoch(self) -> dict[str, Any]:
        """Return the means over the epoch's steps and the largest weight for metrics.csv; move on to the next epoch.

        ``running_train_accuracy`` is the share of the epoch's training images that were classified correctly, each with the
        weights of its step and the statistics of its batch in batch norms; a run's ``train_accuracy`` is that of its final
        network in evaluation mode.
        """
        done = self.progress
        row = {
            "epoch": done.epoch,
            "learning_rate": self.rate,
            "loss": (done.data_loss + done.smoothness + done.decay) / done.step,
            "data_loss": done.data_loss / done.step,
            "smoothness": done.smoothness / done.step,
            "decay": done.decay / done.step,
            "running_train_accuracy": done.correct / done.images,
            "largest_weight": torch.stack([p.detach().abs().max() for p in self.network.parameters()]).max().item(),
        }
        self.progress = Progress(epoch=done.epoch + 1)
        return row

    def weight_columns(self) -> dict[str, float]:
        """Return the columns of metrics.csv about the current weights.

        ``smoothness_above_floor``: see `Objective`. ``kernel_entry_max``, ``kernel_share_on_box``: the largest absolute entry
        of the units' kernels, and the share of entries at the bound of the projection (``largest_weight`` is over all weights,
        scales included, which start at 1). ``kernel_norm_unit_I``: the Frobenius norm of all kernels of unit I together.
        """
        with torch.no_grad():
            units = [[p for name, p in unit.named_parameters() if is_kernel(name)] for unit in self.network.units]
            entries = torch.cat([p.detach().abs().flatten() for unit in units for p in unit])
            bound = self.optimizer.param_groups[0]["bound"]
            kernel_norms = [torch.stack([p.norm() for p in unit]).norm().item() for unit in units]
        return {
            "smoothness_above_floor": self.objective.smoothness_above_floor(),
            "kernel_entry_max": entries.max().item(),
            "kernel_share_on_box": (entries >= bound).double().mean().item() if bound is not None else 0.0,
        } | {f"kernel_norm_unit_{i}": norm for i, norm in enumerate(kernel_norms, start=1)}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights, running statistics and momentum as tensors by name, and the progress."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors[f"velocity.{name}"] = self.optimizer.state[parameter]["velocity"]
        return tensors, asdict(self.progress)

    def restore(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Set the state to what ``state`` returned."""
        self.network.load_state_dict(
            {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        )
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter]["velocity"].copy_(tensors[f"velocity.{name}"])
        self.progress = Progress(**progress)
