"""Stochastic gradient descent with heavy-ball momentum, projected onto a box (SPEC section 7)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class ProjectedSGD(torch.optim.Optimizer):
    """``v <- lr g + momentum v;  x <- clip(x - v, -bound, bound)``.

    The learning rate is inside the momentum, unlike ``torch.optim.SGD``: after a change of rate the two differ. The
    projection applies to every weight, the initial ones included; the momentum is not clipped. ``bound=None``: none.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float, bound: float | None) -> None:
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
    def size_after_step(self) -> Tensor:
        """A bound on every weight and velocity after ``step`` with the gradients in ``.grad``, as a scalar tensor.

        It is the sum of all absolute values that the step adds up. It is infinite or NaN where a gradient is, and where
        the step would overflow.
        """
        total = torch.zeros(())
        for group in self.param_groups:
            x = group["params"]
            summands = (
                (1.0, x),
                (group["momentum"], [self.state[p]["velocity"] for p in x]),
                (group["lr"], [p.grad for p in x]),
            )
            total = sum((factor * torch.stack(torch._foreach_norm(part, 1)).sum() for factor, part in summands), total)
        return total

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
