"""Stochastic gradient descent with heavy-ball momentum, projected onto a box (docs/spec.md, section 7)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pdenet_repro.config.schema import Config
from pdenet_repro.networks.pdenet import PDENet


class ProjectedSGD(torch.optim.Optimizer):
    """``v <- lr g + momentum v;  x <- clip(x - v, -bound, bound)``.

    The learning rate is inside the momentum, unlike ``torch.optim.SGD``: after a change of rate the two differ. The
    projection applies to every weight, the initial ones included; the momentum is not clipped. ``bound=None``: none;
    each parameter group may have a bound of its own.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, momentum: float, bound: float | None
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "bound": bound})
        with torch.no_grad():
            for group in self.param_groups:
                for x in group["params"]:
                    self.state[x]["velocity"] = torch.zeros_like(x)
                self._project(group)

    @staticmethod
    def _project(group: dict[str, Any]) -> None:
        if group["bound"] is not None:
            torch._foreach_clamp_min_(group["params"], -group["bound"])
            torch._foreach_clamp_max_(group["params"], group["bound"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the gradients in ``.grad``."""
        for group in self.param_groups:
            x = group["params"]
            v = [self.state[p]["velocity"] for p in x]
            torch._foreach_mul_(v, group["momentum"])
            torch._foreach_add_(v, [p.grad for p in x], alpha=group["lr"])
            torch._foreach_sub_(x, v)
            self._project(group)


def projected_sgd(network: PDENet, config: Config) -> ProjectedSGD:
    """The optimizer of a network; ``optimizer.bounded`` says which of its weights stay within the bound."""
    settings = config.optimizer
    named = list(network.named_parameters())
    groups: list[dict[str, Any]] = [{"params": [p for _, p in named]}]
    if settings.bounded == "kernels":
        groups = [
            {"params": [p for name, p in named if "kernel" in name]},
            {"params": [p for name, p in named if "kernel" not in name], "bound": None},
        ]
    return ProjectedSGD(groups, config.schedule.learning_rate, settings.momentum, settings.bound)
