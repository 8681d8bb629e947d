"""Backpropagation that stores, recomputes or reverses gives the same; reversing keeps no time steps."""

from dataclasses import replace

import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.config.schema import NetworkConfig
from pdenet_repro.networks.dynamics import DYNAMICS, Dynamic, HamiltonianZFirst, SecondOrderFromZero
from pdenet_repro.networks.memory import memory_mode, stored_bytes
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit

REVERSIBLE = [name for name, scheme in DYNAMICS.items() if scheme.facts.reversible]
SCHEMES = DYNAMICS | {"z_first": HamiltonianZFirst, "from_zero": SecondOrderFromZero}
REVERSED = [name for name, scheme in SCHEMES.items() if scheme.facts.reversible]


def gradients(dynamic, memory, steps, norm="instance", activation="relu", dtype=torch.float64, step_size=None):
    """Output and gradients of a unit with random weights, and its drift."""
    generator = torch.Generator().manual_seed(steps)
    scheme = SCHEMES[dynamic](step_size or 3 / steps, Norm(norm), activation)
    unit = Unit(scheme, 8, steps, memory).to(dtype)
    for p in unit.parameters():
        p.data = 0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype)
    Y = torch.randn(2, 8, 10, 10, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    out = unit(Y)
    (out * torch.randn(out.shape, generator=generator, dtype=torch.float64)).sum().backward()
    return [out.detach(), Y.grad, *[p.grad for p in unit.parameters()]], unit.drift.item()


def largest_difference(found, expected):
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("steps", [3, 24, 96])
@pytest.mark.parametrize("dynamic", REVERSED)
def test_reversed_gradients_are_the_stored_ones(dynamic, steps):
    expected, _ = gradients(dynamic, "store", steps)
    found, drift = gradients(dynamic, "reverse", steps)
    assert largest_difference(found, expected) < 1e-10
    assert drift < (1e-11 if dynamic == "from_zero" else 1e-12)  # starting from zero, features grow with time


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("norm", ["channel", "channel_rms", "none"])
@pytest.mark.parametrize("dynamic", REVERSED)
def test_with_every_norm(dynamic, norm, activation):
    expected, _ = gradients(dynamic, "store", 6, norm, activation, step_size=0.7)
    found, _ = gradients(dynamic, "reverse", 6, norm, activation, step_size=0.7)
    assert largest_difference(found, expected) < 1e-10


@pytest.mark.parametrize("steps", [3, 24, 96])
@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_recomputed_gradients_are_the_stored_ones(dynamic, steps):
    expected, _ = gradients(dynamic, "store", steps)
    found, _ = gradients(dynamic, "recompute", steps)
    assert largest_difference(found, expected) < 1e-14


@pytest.mark.parametrize("dynamic", REVERSED)
def test_gradients_of_the_gradient_check(dynamic):
    """Not against our own other path: against differences of the output."""
    unit = Unit(SCHEMES[dynamic](0.5, Norm("instance"), "tanh"), 4, 3, "reverse").double()
    generator = torch.Generator().manual_seed(0)
    for p in unit.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    Y = torch.randn(1, 4, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda Y, *_: unit(Y), (Y, *unit.parameters()), atol=1e-6)


@pytest.mark.parametrize("dynamic", REVERSED)
def test_a_dynamic_without_an_adjoint_step_of_its_own_has_the_same(dynamic, monkeypatch):
    found, _ = gradients(dynamic, "reverse", 6)
    monkeypatch.setattr(SCHEMES[dynamic], "adjoint_step", Dynamic.adjoint_step)
    expected, _ = gradients(dynamic, "reverse", 6)
    assert largest_difference(found, expected) < 1e-12


def test_features_of_zeros_are_on_the_kink_until_there_are_shifts():
    """What `store` takes for the slope of ReLU at exactly 0 reversal cannot know: its features come back as 1e-16."""

    def difference(shift):
        found = []
        for memory in ("store", "reverse"):
            generator = torch.Generator().manual_seed(0)
            unit = Unit(DYNAMICS["hamiltonian"](1.0, Norm("channel"), "relu"), 8, 3, memory).double()
            for name, p in unit.named_parameters():
                size = {"scale": 0.0, "shift": shift}.get(name.rpartition(".")[2], 0.3)
                p.data = size * torch.randn(p.shape, generator=generator, dtype=torch.float64) + name.endswith("scale")
            Y = torch.randn(2, 8, 24, 24, generator=generator, dtype=torch.float64).relu()
            Y[..., :12] = 0
            (unit(Y.requires_grad_()) ** 2).sum().backward()
            found.append([p.grad for name, p in unit.named_parameters() if "kernel" in name])
        return largest_difference(found[1], found[0])

    assert difference(0.01) < 1e-6
    assert difference(0.0) > 1e-3  # a limit of the method, told in docs/memory.md


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_four_hundred_steps(dynamic):
    expected, _ = gradients(dynamic, "store", 400)
    found, drift = gradients(dynamic, "reverse", 400)
    assert largest_difference(found, expected) < 1e-10
    assert drift < 1e-12
    _, drift = gradients(dynamic, "reverse", 400, dtype=torch.float32)
    assert drift < 1e-4


def saved_bytes(dynamic, memory, steps):
    """What autograd keeps between forward and backward, features only, each storage once."""
    unit = Unit(DYNAMICS[dynamic](0.1, Norm("instance"), "relu"), 8, steps, memory)
    kept = {}

    def pack(tensor):
        if tensor.ndim == 4 and tensor.shape[-1] == 16:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    Y = torch.randn(2, 8, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = unit(Y)
    assert out.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("dynamic", REVERSIBLE)
def test_reversing_keeps_the_last_state_whatever_the_number_of_steps(dynamic):
    few, many = saved_bytes(dynamic, "reverse", 3), saved_bytes(dynamic, "reverse", 200)
    state = 2 * 8 * 16 * 16 * 4
    assert few == many
    assert many <= 2 * state  # the second-order state is two features
    assert saved_bytes(dynamic, "store", 24) > 6 * saved_bytes(dynamic, "store", 3)


def test_the_state_stays_in_float32_under_bfloat16():
    torch.manual_seed(0)
    unit = Unit(DYNAMICS["second_order"](0.1, Norm("instance"), "relu"), 8, 12, "reverse")
    torch.nn.init.normal_(unit.theta[0].kernel, std=0.2)
    Y = torch.randn(2, 8, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = unit(Y)
    assert out.dtype == torch.float32
    out.square().sum().backward()
    assert Y.grad.dtype == torch.float32
    assert unit.drift < 1e-4  # the layers are rounded the same way forward and backward: it still returns
    stored = Unit(DYNAMICS["second_order"](0.1, Norm("instance"), "relu"), 8, 12)
    stored.load_state_dict(unit.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        other = stored(Y)
    (expected,) = torch.autograd.grad(other.square().sum(), Y)
    assert (Y.grad - expected).norm() < 0.02 * expected.norm()


def test_drift_is_noticed_where_the_dynamic_expands():
    """No norm, large weights: features grow by orders of magnitude, and float32 cannot bring them back."""
    torch.manual_seed(0)
    unit = Unit(DYNAMICS["second_order"](1.0, Norm("none"), "relu"), 8, 30, "reverse")
    torch.nn.init.normal_(unit.theta[0].kernel, std=0.5)
    out = unit(torch.randn(1, 8, 8, 8, requires_grad=True))
    out.sum().backward()
    assert not unit.drift <= 1e-3


@pytest.mark.parametrize(("dynamic", "std"), [("second_order", 0.2), ("second_order", 0.3), ("hamiltonian", 0.35)])
def test_drift_is_the_error_of_the_first_state_and_about_that_of_the_gradients(dynamic, std):
    """Features that grow, without a norm; the norm of the first state hardly tells."""
    random = torch.Generator().manual_seed(0)
    scheme = DYNAMICS[dynamic](1.0, Norm("none"), "tanh")
    unit = Unit(scheme, 8, 20, "reverse")
    for theta in unit.theta:
        torch.nn.init.normal_(theta.kernel, std=std, generator=random)
    Y, v = torch.randn(2, 4, 8, 12, 12, generator=random)
    exact = Unit(scheme, 8, 20).double()
    exact.load_state_dict(unit.state_dict())
    for each in (unit, exact):
        (each(Y) * v).sum().backward()
    off = [(p.grad - q.grad).norm() / q.grad.norm() for p, q in zip(unit.parameters(), exact.parameters(), strict=True)]
    with torch.no_grad():
        *_, last = unit.trajectory(Y)
        pairs = list(zip(unit.inverse(last), unit.start(Y), strict=True))
    error = max((found - first).norm() / first.norm() for found, first in pairs)
    of_norm = max(abs(found.norm() / first.norm() - 1) for found, first in pairs)
    assert error > 5e-4
    assert error / 10 < unit.drift < 10 * error  # rounded otherwise on the way back
    assert unit.drift / 10 < max(off) < 10 * unit.drift
    assert of_norm < error / 10


def test_rounded_weights_are_not_kept_until_the_last_step():
    unit = Unit(DYNAMICS["hamiltonian"](0.1, Norm("instance"), "relu"), 8, 3, "reverse")
    kept = []

    def step(*arguments):
        kept.append(torch.is_autocast_cache_enabled())
        return unit.dynamic.adjoint_step(*arguments)

    unit.adjoint_step = step
    with torch.autocast("cpu", torch.bfloat16):
        out = unit(torch.randn(2, 8, 16, 16, requires_grad=True))
    out.sum().backward()
    assert kept == [False] * 3


def test_the_whole_network_alike_in_every_mode():
    images = torch.randint(0, 256, (4, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = {}
    for mode in ("store", "recompute", "reverse"):
        network = build_network(compose("network=tiny", "dynamic=hamiltonian", f"network.memory={mode}"))
        network(images).square().sum().backward()
        found[mode] = [p.grad for p in network.parameters()]
        assert (network.drift() is not None) == (mode == "reverse")
    assert largest_difference(found["recompute"], found["store"]) == 0
    assert largest_difference(found["reverse"], found["store"]) < 1e-3


def test_what_cannot_be_reversed_is_refused():
    with pytest.raises(ValueError, match="Parabolic cannot be run backwards"):
        Unit(DYNAMICS["parabolic"](1.0, Norm("none"), "relu"), 4, 2, "reverse")


def test_auto_stores_while_that_fits():
    network: NetworkConfig = compose("network=paper").network
    assert stored_bytes(network, 128) == 4 * 3 * 3 * 128 * (16 * 96**2 + 64 * 48**2 + 128 * 24**2 + 256 * 12**2)
    assert memory_mode(network, True, 128, 2 * stored_bytes(network, 128)) == "store"
    assert memory_mode(network, True, 128, 2 * stored_bytes(network, 128) - 1) == "reverse"
    assert memory_mode(network, False, 128, 1) == "recompute"
    assert memory_mode(replace(network, memory="store"), True, 128, 1) == "store"
