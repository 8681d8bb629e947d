"""The asymmetry of Jacobians with the norm free: that of the dense matrix, and like one over the side of the grid."""

import copy
import csv
import re
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch
from scipy.stats import norm as gaussian
from small_runs import subject_of

from pdenet_repro.analysis.jacobian import Evaluation, asymmetry, estimated_asymmetry, evaluations
from pdenet_repro.analysis.spectrum import measure as spectrum
from pdenet_repro.networks.layers import SymmetricLayer, SymmetricWeights
from pdenet_repro.networks.norms import Norm

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = ("parabolic", "hamiltonian", "second_order")


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def evaluation(Y, K):
    """A symmetric layer with ReLU and instance norm, without a scale and a shift of its own."""
    channels = len(K)
    theta = SymmetricWeights(K, torch.ones(channels).double(), torch.zeros(channels).double())
    return Evaluation(SymmetricLayer(Norm("instance", 1e-12), "relu"), Y, theta)


def slope(sides, values):
    """The exponent p of ``side^p`` in values of the asymmetry, by least squares."""
    return np.polyfit(np.log(sides), np.log(values), 1)[0]


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_the_asymmetry_of_normal_features_in_closed_form(side):
    """``sqrt(2 - 4 / pi) / side`` for K = I and n = side^2 values z at normal quantiles, half of which are positive.

    J is ``-D (I - P)`` over the deviation, D diagonal with entries 0 and 1, P the projection onto 1 and z. So ``|J|^2`` is
    ``tr D = n / 2``, and ``|D P - P D|^2 = 2 tr(D P) - 2 |P D P|^2`` with ``tr(D P) = 1/2 + 1/2`` and ``|P D P|^2 = 1/4 + 1/4
    + 2 E(z D)^2``, ``E(z D) = 1 / sqrt(2 pi)``; both are divided by the deviation. The next term is of relative order 1 / n.
    """
    n = side**2
    z = torch.from_numpy(gaussian.ppf((np.arange(n) + 0.5) / n))
    Y = z[torch.randperm(n, generator=torch.Generator().manual_seed(0))].reshape(1, 1, side, side)
    identity = torch.zeros(1, 1, 3, 3).double()
    identity[0, 0, 1, 1] = 1
    found = asymmetry(evaluation(Y, identity).jacobian(frozen=False).dense())
    assert found * side == pytest.approx((2 - 4 / np.pi) ** 0.5, rel=0.5 / n)


def test_the_asymmetry_of_random_kernels_falls_like_one_over_the_side():
    """Exact Frobenius norms, geometric means over draws of kernels and features."""
    sides, draws = np.array([4, 8, 16]), []
    for seed in range(6):
        K = normal(2, 2, 3, 3, seed=seed)
        layers = [evaluation(normal(1, 2, side, side, seed=10 + seed), K) for side in sides]
        draws.append([asymmetry(each.jacobian(frozen=False).dense()) for each in layers])
    assert slope(sides, np.exp(np.log(draws).mean(0))) == pytest.approx(-1, abs=0.1)


def test_the_estimate_is_the_asymmetry_of_the_matrix_and_falls_like_one_over_the_side_of_crops():
    subject = subject_of("parabolic")
    unit = copy.deepcopy(subject.network.units[0]).double()
    for seed, parameter in enumerate(layer.kernel for layer in unit.theta):
        parameter.data = 0.2 * normal(*parameter.shape, seed=seed)
    Y = normal(1, 4, 32, 32, seed=2)
    (layer,) = next(evaluations(unit, Y))
    for side in (2, 4):
        one = layer.cropped(side, frozen=False)
        exact = asymmetry(one.jacobian(frozen=False).dense())
        assert estimated_asymmetry(one, directions=200) == pytest.approx(exact, rel=0.1)
    assert estimated_asymmetry(layer.cropped(8, frozen=True)) < 1e-10
    found = [(row["side"], row["asymmetry"]) for row in spectrum.asymmetries(unit, Y) if row["step"] == 1]
    assert [side for side, _ in found] == [2, 4, 8, 16, 32]
    assert slope(*zip(*found[1:], strict=True)) == pytest.approx(-1, abs=0.15)


def test_the_page_has_the_published_asymmetries_which_fall_like_one_over_the_side():
    """Medians over units, steps and images for each network, trained and at initial weights."""
    values: dict[str, dict[int, list[float]]] = {}
    for folder in PUBLISHED:
        with (DOCS / "results" / "analysis" / folder / "spectrum_asymmetry.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                of_network = values.setdefault(row["network"], {})
                of_network.setdefault(int(row["side"]), []).append(float(row["asymmetry"]))
    medians = {name: {side: median(each) for side, each in sorted(by_side.items())} for name, by_side in values.items()}
    assert len(medians) == 2 * len(PUBLISHED)
    for by_side in medians.values():
        assert slope([*by_side], [*by_side.values()]) == pytest.approx(-1, abs=0.15)
    page = " ".join((DOCS / "analysis.md").read_text().split())
    pattern = r"(\S+) to (\S+) on crops of 2 x 2 pixels, (\S+) to (\S+) on 16 x 16 and (\S+) to (\S+) at 96 x 96"
    numbers = iter(re.search(pattern, page).groups())
    for side, digits in ((2, 2), (16, 3), (96, 3)):
        of_side = [by_side[side] for by_side in medians.values()]
        assert [next(numbers), next(numbers)] == [f"{end(of_side):.{digits}f}" for end in (min, max)]
