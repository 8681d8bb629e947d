"""Controls: what their equations do on random kernels in float64."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit
from pdenet_repro.networks.user_dynamic import dynamic_class

CONTROLS = Path(__file__).parents[2] / "docs" / "examples" / "controls.py"
Expansive, EqualSigns = (dynamic_class(compose(f"dynamic={CONTROLS}:{name}")) for name in ("Expansive", "EqualSigns"))
NARROW = "network.widths=[12,46,91,182]"  # the paper's over sqrt(2), rounded up


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weights(channels, seed=0):
    return SymmetricWeights(normal(channels, channels, 3, 3, seed=seed) / 10, torch.ones(channels).double(),
                            normal(channels, seed=seed + 1))  # fmt: skip


def test_the_expansive_flow_decreases_no_distance():
    dynamic, theta = Expansive(1.0, Norm("none"), "relu"), (weights(3),)
    Y, Z = normal(20, 3, 6, 6, seed=3), normal(20, 3, 6, 6, seed=4)
    for _ in range(5):
        before = (Y - Z).flatten(1).norm(dim=1)
        (Y,), (Z,) = dynamic.step((Y,), theta), dynamic.step((Z,), theta)
        assert ((Y - Z).flatten(1).norm(dim=1) > before).all()


def test_equal_signs_have_real_eigenvalues_of_both_signs_and_run_backwards():
    dynamic, theta = EqualSigns(1e-6, Norm("none"), "tanh"), (weights(2), weights(2, seed=5))
    state = normal(1, 2, 4, 4, seed=6), normal(1, 2, 4, 4, seed=7)
    back = dynamic.inverse_step(dynamic.step(state, theta), theta)
    assert all(torch.allclose(a, b, atol=1e-14) for a, b in zip(back, state, strict=True))
    size = 2 * 4 * 4

    def step(flat):
        parts = tuple(part.reshape(1, 2, 4, 4) for part in flat.split(size))
        return torch.cat([part.flatten() for part in dynamic.step(parts, theta)])

    J = torch.autograd.functional.jacobian(step, torch.cat([part.flatten() for part in state]))
    values = np.linalg.eigvals(((J - torch.eye(2 * size)) / 1e-6).numpy())
    assert np.abs(values.imag).max() < 1e-3 * np.abs(values.real).max()
    assert values.real.min() < -0.01
    assert values.real.max() > 0.01


def test_equal_signs_train_backwards_as_forwards():
    units = []
    for memory in ("store", "reverse"):
        unit = Unit(EqualSigns(0.5, Norm("instance"), "tanh"), 4, 3, memory).double()
        for seed, parameter in enumerate(unit.parameters()):
            parameter.data = normal(*parameter.shape, seed=seed) / 5
        unit(normal(2, 4, 6, 6, seed=9)).square().sum().backward()
        units.append(unit)
    for stored, reverse in zip(*(unit.parameters() for unit in units), strict=True):
        assert torch.allclose(stored.grad, reverse.grad, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("control", "original"), [("Expansive", "parabolic"), ("EqualSigns", "hamiltonian")])
def test_they_build_networks_of_the_same_weights(control, original):
    flipped, unchanged = (
        build_network(compose("data=shapes", "network=tiny", f"dynamic={dynamic}")).eval()
        for dynamic in (f"{CONTROLS}:{control}", original)
    )
    assert flipped.weight_count() == unchanged.weight_count()
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(flipped(images), unchanged(images))


@pytest.mark.parametrize("dynamic", ["resnet", f"{CONTROLS}:StartsParabolic"])
def test_the_narrow_residual_networks_have_the_weights_of_the_parabolic_one(dynamic):
    weights = [build_network(compose(*words)).weight_count() for words in ([f"dynamic={dynamic}", NARROW], [])]
    assert abs(weights[0] / weights[1] - 1) < 0.015


def test_starts_parabolic_is_parabolic_before_training_and_its_kernels_are_trained_apart():
    tiny = "data=shapes", "network=tiny"
    network = build_network(compose(*tiny, f"dynamic={CONTROLS}:StartsParabolic"))
    parabolic = build_network(compose(*tiny, "dynamic=parabolic"))
    weights = dict(network.named_parameters())
    parabolic.load_state_dict(
        {name: weights[name.replace("kernel", "kernel1") if name.startswith("units.") else name]
         for name, _ in parabolic.named_parameters()}, strict=False
    )  # fmt: skip
    images = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scores = network(images)
    assert torch.equal(scores, parabolic(images))
    scores.square().sum().backward()
    of_unit = network.units[0].theta[0]
    assert of_unit.kernel1.abs().max() > 0
    assert not torch.allclose(of_unit.kernel1.grad, -of_unit.kernel2.grad)


def test_the_file_prints_the_sizes_of_every_control_that_docs_restrictions_has(capsys):
    runpy.run_path(str(CONTROLS), run_name="__main__")
    lines = [re.split(r" *\[|\] *|  +", line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert [name for name, *_ in lines].count("resnet") == 2
    assert {"Expansive", "EqualSigns", "StartsParabolic"} < {name for name, *_ in lines}
    printed = {
        (w, weights, f"{int(operations.replace(',', '')) / 1e9:.2f} · 10⁹") for _, w, weights, operations in lines
    }
    page = (CONTROLS.parents[1] / "restrictions.md").read_text()
    rows = page.split("| network | widths | weights |")[1].split("\n\n")[0].splitlines()[2:]
    table = {tuple(row.strip("|").split(" | ")[1:4]) for row in rows} - {("", "", "")}
    ((_, weights, operations),) = printed - table
    assert table < printed
    assert f"the wide `resnet` ({weights} weights, {operations} operations" in " ".join(page.split())
