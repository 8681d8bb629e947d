"""Stochastic gradient descent with heavy-ball momentum, projected onto a box (docs/spec.md, section 7)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pdenet_repro.config.schema import Config
from pdenet_repro.networks.layers import is_kernel
from pdenet_repro.networks.pdenet import PDENet, is_time_dependent


class ProjectedSGD(torch.optim.Optimizer):
    """Projected SGD: ``v <- lr g + momentum v;  x <- clip(x - v, -bound, bound)``.

    The learning rate is inside the momentum, unlike in ``torch.optim.SGD``: after a change of rate the two differ. The
    projection applies to every weight, the initial ones included; the momentum is not clipped. ``bound=None`` means no
    projection. Each parameter group may have its own bound, and its own ``rate_factor``, which multiplies the learning rate.
    """

    def __init__(
        self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float, momentum: float, bound: float | None
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "bound": bound, "rate_factor": 1.0})
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
    def size_after_step(self) -> Tensor:
        """Return an upper bound of all absolute weights and velocities after ``step`` with the gradients in ``.grad``.

        The bound, a scalar tensor, is the sum of all absolute values that the step adds up. It is infinite or NaN if a
        gradient is, and if the step would overflow.
        """
        total = torch.zeros(())
        for group in self.param_groups:
            x = group["params"]
            summands = (
                (1.0, x),
                (group["momentum"], [self.state[p]["velocity"] for p in x]),
                (group["lr"] * group["rate_factor"], [p.grad for p in x]),
            )
            total = sum((factor * torch.stack(torch._foreach_norm(part, 1)).sum() for factor, part in summands), total)
        return total

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights once from the gradients in ``.grad``."""
        for group in self.param_groups:
            x = group["params"]
            v = [self.state[p]["velocity"] for p in x]
            torch._foreach_mul_(v, group["momentum"])
            torch._foreach_add_(v, [p.grad for p in x], alpha=group["lr"] * group["rate_factor"])
            torch._foreach_sub_(x, v)
            self._project(group)


def projected_sgd(network: PDENet, config: Config) -> ProjectedSGD:
    """Return the optimizer of a network; ``optimizer.bounded`` chooses the weights that are projected onto the box.

    With ``optimizer.scale_rate_in_units`` the learning rate of the units is divided by h: a unit's weights are samples of a
    function theta(t) on [0, T], ``h`` apart, and the gradient of an objective J with respect to this function, in the inner
    product of L^2(0, T), is ``(1 / h) dJ/dtheta_j`` at ``t_j`` (up to O(h)). A step along it moves theta(t) equally far for
    every number of time steps; a step along ``dJ/dtheta_j`` moves it ``h`` times as far.
    """
    settings = config.optimizer
    in_units = 1 / config.network.step_size if settings.scale_rate_in_units else 1.0
    groups: dict[tuple[float, float | None], list[Tensor]] = {}
    for name, weight in network.named_parameters():
        factor = in_units if is_time_dependent(name) else 1.0
        bound = settings.bound if settings.bounded == "all" or is_kernel(name) else None
        groups.setdefault((factor, bound), []).append(weight)
    return ProjectedSGD(
        [{"params": weights, "rate_factor": factor, "bound": bound} for (factor, bound), weights in groups.items()],
        config.schedule.learning_rate, settings.momentum, settings.bound,
    )  # fmt: skip
