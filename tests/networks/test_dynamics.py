"""Dynamics: the named commit's variants against its numbers, orders of convergence, and the facts that the classes carry."""

import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.config.dynamics import BUILT_IN
from pdenet_repro.networks.dynamics import DYNAMICS, Hamiltonian, HamiltonianZFirst, SecondOrder, SecondOrderFromZero
from pdenet_repro.networks.layers import SymmetricWeights
from pdenet_repro.networks.norms import Norm
from pdenet_repro.networks.unit import Unit


def steps_of(golden, suffix, affine):
    kernel = golden.leaf(f"steps.kernel{suffix}")
    if affine:
        return SymmetricWeights(kernel, golden.leaf(f"steps.scale{suffix}"), golden.leaf(f"steps.shift{suffix}"))
    shape = kernel.shape[: kernel.dim() - 3]
    return SymmetricWeights(kernel, torch.ones(shape).double(), torch.zeros(shape).double())


@pytest.mark.parametrize("norm", ["none", "instance"])
@pytest.mark.parametrize(
    ("dynamic", "scheme"), [("hamiltonian", HamiltonianZFirst), ("second_order", SecondOrderFromZero)]
)
def test_three_steps_at_the_named_commit(golden, named_commit, close, dynamic, scheme, norm):
    """Output and all gradients of the toolbox at the commit that the paper names (docs/spec.md, section 11)."""
    suffixes = ("_a", "_b") if dynamic == "hamiltonian" else ("",)
    over_time = {suffix: steps_of(golden, suffix, norm != "none") for suffix in suffixes}
    dynamics, Y = scheme(1.0, Norm(norm), "relu"), golden.leaf("features4")
    state = dynamics.start(Y)
    for j in range(3):
        state = dynamics.step(state, [SymmetricWeights(*(w[j] for w in theta)) for theta in over_time.values()])
    out = dynamics.output(state)
    close(out, named_commit[f"{dynamic}.{norm}.output"], 1e-13)
    (out * golden["cotangent4"]).sum().backward()
    close(Y.grad, named_commit[f"{dynamic}.{norm}.grad_features"], 1e-13)
    compared = 0
    for suffix, theta in over_time.items():
        for name, leaf in theta._asdict().items():
            if leaf.requires_grad:
                close(leaf.grad, named_commit[f"{dynamic}.{norm}.grad_{name}{suffix}"], 1e-12)
                compared += 1
    assert compared == len(named_commit.names(f"{dynamic}.{norm}.")) - 2


def test_recipes_choose_the_variants():
    def classes(recipe, *words):
        return {
            name: type(build_network(compose(f"recipe={recipe}", f"dynamic={name}", *words)).units[0].dynamic)
            for name in DYNAMICS
        }

    assert classes("paper") == classes("jmiv") == DYNAMICS
    assert classes("authors") == DYNAMICS | {"hamiltonian": HamiltonianZFirst, "second_order": SecondOrderFromZero}
    plain = ("network.hamiltonian_order=y_first", "network.leapfrog_start=rest")
    assert classes("authors", *plain) == DYNAMICS


def test_a_subclass_is_not_replaced_by_a_variant_of_its_base():
    class Mine(Hamiltonian):
        pass

    class Other(SecondOrder):
        pass

    network = compose("recipe=authors").network
    assert Mine.variant(network) is Mine
    assert Other.variant(network) is Other


def test_exchanged_halves_make_the_printed_scheme_with_the_opposite_sign_of_h():
    generator = torch.Generator().manual_seed(0)
    printed = Unit(Hamiltonian(-0.7, Norm("none"), "relu"), 4, 3).double()
    other = Unit(HamiltonianZFirst(0.7, Norm("none"), "relu"), 4, 3).double()
    for p in printed.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    other.load_state_dict(printed.state_dict())
    Y = torch.randn(2, 4, 5, 5, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(other(Y), printed(Y.roll(2, 1)).roll(2, 1), rtol=1e-13)
        assert not torch.allclose(other(Y), Unit.forward(printed, Y), rtol=1e-2)


@pytest.mark.parametrize("scheme", DYNAMICS.values(), ids=list(DYNAMICS))
def test_order_of_convergence(scheme):
    """At a fixed final time, with constant weights, a smooth activation and no norm, in float64."""
    generator, time = torch.Generator().manual_seed(0), 1.0
    first = Unit(scheme(time, Norm("none"), "tanh"), 4, 1).double()
    for p in first.parameters():
        p.data = 0.5 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    (theta,) = first.thetas()
    Y = torch.randn(1, 4, 4, 4, generator=generator, dtype=torch.float64)

    def solution(steps):
        dynamics = scheme(time / steps, Norm("none"), "tanh")
        state = dynamics.start(Y)
        for _ in range(steps):
            state = dynamics.step(state, theta)
        return dynamics.output(state)

    with torch.no_grad():
        found = [solution(steps) for steps in (64, 128, 256, 512)]
    differences = [(b - a).norm() for a, b in zip(found, found[1:], strict=False)]
    orders = [torch.log2(a / b).item() for a, b in zip(differences, differences[1:], strict=False)]
    assert orders[-1] == pytest.approx(scheme.facts.order, abs=0.05)
    assert abs(orders[-1] - scheme.facts.order) < abs(orders[0] - scheme.facts.order) + 1e-3


def test_every_built_in_dynamic_has_its_facts_and_its_class():
    assert list(DYNAMICS) == list(BUILT_IN)
    for name, scheme in DYNAMICS.items():
        facts = scheme.facts
        assert facts is BUILT_IN[name]
        assert len(scheme(1.0, Norm("none"), "relu").layer_channels(12)) == facts.layers
        assert facts.region is not None
    for fact in ("label", "colour", "marker"):
        assert len({getattr(facts, fact) for facts in BUILT_IN.values()}) == len(BUILT_IN)
