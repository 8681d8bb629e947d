"""The objective of Sections 2 and 4: mean cross-entropy, smoothness in time (11) and weight decay."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pdenet_repro.config.schema import ObjectiveConfig
from pdenet_repro.networks.pdenet import PDENet, is_norm_weight, is_time_dependent


def total_variation(theta: Tensor, step_size: float, eps: float) -> Tensor:
    """Return ``sum_{j,i} sqrt( ((theta_{j+1,i} - theta_{j,i}) / h)^2 + eps )`` of weights (steps, ...), the sum in (11)."""
    return torch.sqrt((theta.diff(dim=0) / step_size).square() + eps).sum()


def h1_seminorm(theta: Tensor, step_size: float) -> Tensor:
    """Return ``1/2 sum_{j,i} ((theta_{j+1,i} - theta_{j,i}) / h)^2`` of weights (steps, ...) (Haber & Ruthotto 2017)."""
    return (theta.diff(dim=0) / step_size).square().sum() / 2


class Terms(NamedTuple):
    """The objective's summands, each a scalar tensor that contains its factor (``loss_factor``, alpha1, alpha2)."""

    data: Tensor
    smoothness: Tensor
    decay: Tensor

    @property
    def total(self) -> Tensor:
        """The objective: the sum of the terms."""
        return self.data + self.smoothness + self.decay


class Objective:
    """The mean cross-entropy, times ``loss_factor``, plus the regulariser of a network's weights (docs/spec.md, sections 6, 12).

    ``config.decay`` says which weights decay: ``all`` (v1), ``no_connector_norms`` (all but scale and shift of the opening
    layer and the connectors, as in the authors' toolbox), ``no_norms`` (v2).
    """

    def __init__(self, network: PDENet, config: ObjectiveConfig, step_size: float) -> None:
        self.config, self.step_size = config, step_size
        named = dict(network.named_parameters())
        self.time_dependent = [p for name, p in named.items() if is_time_dependent(name)]
        self.decaying = [p for name, p in named.items() if not name.startswith("classifier") and self._decays(name)]
        self.classifier = [p for name, p in named.items() if name.startswith("classifier")]
        # the factor of the units' terms: h if the sum over a unit's steps approximates an integral over time
        self.quadrature_weight = step_size if config.quadrature == "integral" else 1.0
        self.decaying_in_time: list[Tensor] = []
        if config.quadrature == "integral":
            in_time = {id(p) for p in self.time_dependent}
            self.decaying_in_time = [p for p in self.decaying if id(p) in in_time]
            self.decaying = [p for p in self.decaying if id(p) not in in_time]

    def _decays(self, name: str) -> bool:
        if not is_norm_weight(name) or self.config.decay == "all":
            return True
        return self.config.decay == "no_connector_norms" and is_time_dependent(name)

    def smoothness(self) -> Tensor:
        """Return ``alpha1`` times the chosen seminorm in time of all weights of the units, a scalar tensor.

        With ``quadrature=integral`` the sum over the steps is multiplied by h: ``alpha1 sum_j h phi(...)``.
        """
        found = self._smoothness()
        return found if self.config.quadrature == "sum" else self.quadrature_weight * found

    @torch.no_grad()
    def smoothness_above_floor(self) -> float:
        """Return the smoothness term less its floor, the least value, which it has for weights that are constant in time.

        The floor of the total variation is ``sqrt(eps)`` for each difference, times the factors of the term. As it is most of
        the term with ``network=paper``, the rest is computed directly, in float64. The floor of the other seminorm is 0.
        """
        config = self.config
        if config.smoothness != "tv":
            return float(self.smoothness())
        squares = [(p.double().diff(dim=0) / self.step_size).square() for p in self.time_dependent]
        above = sum(float((d / ((d + config.eps).sqrt() + config.eps**0.5)).sum()) for d in squares)
        return self.quadrature_weight * config.alpha1 * above

    def _smoothness(self) -> Tensor:
        config, zero = self.config, self.classifier[0].new_zeros(())
        if config.smoothness == "tv":
            return config.alpha1 * sum(
                (total_variation(p, self.step_size, config.eps) for p in self.time_dependent), zero
            )
        if config.smoothness == "h1":
            return config.alpha1 * sum((h1_seminorm(p, self.step_size) for p in self.time_dependent), zero)
        return zero

    def decay(self) -> Tensor:
        """Return ``alpha2 / 2`` times the sum of squares of the decaying weights, a scalar tensor.

        With ``quadrature=integral`` the squares of the units' weights are multiplied by h.
        """
        alpha2, zero = self.config.alpha2, self.classifier[0].new_zeros(())
        of_classifier = alpha2 if self.config.alpha2_classifier is None else self.config.alpha2_classifier
        inner = sum((p.square().sum() for p in self.decaying), zero)
        outer = sum((p.square().sum() for p in self.classifier), zero)
        total = alpha2 / 2 * inner + of_classifier / 2 * outer
        if self.decaying_in_time:
            in_time = sum((p.square().sum() for p in self.decaying_in_time), zero)
            total = total + self.quadrature_weight * alpha2 / 2 * in_time
        return total

    def __call__(self, scores: Tensor, labels: Tensor) -> Terms:
        """Return the terms for the class scores (N, classes) of a batch and its labels (N,)."""
        data = self.config.loss_factor * F.cross_entropy(scores, labels)
        return Terms(data, self.smoothness(), self.decay())
