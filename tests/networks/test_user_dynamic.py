"""A dynamic in a user's file: its class is loaded, and what cannot be used is one sentence."""

import pytest
import torch

from pdenet_repro import build_network, compose
from pdenet_repro.system.errors import InvalidConfig

HEAD = """\
import torch
from pdenet_repro.networks.dynamics import Dynamic, Facts, Hamiltonian, ResidualLayer

"""
STEP = """
    def step(self, state, theta):
        (Y,), (theta_j,) = state, theta
        return (Y + self.h * self.F(Y, theta_j),)
"""


@pytest.fixture
def write(tmp_path):
    def written(text, name="mine.py"):
        (tmp_path / name).write_text(HEAD + text)
        return f"dynamic={tmp_path / name}:Mine"

    return written


def network_of(*words):
    return build_network(compose("network=tiny", "data=shapes", *words))


def test_it_computes_what_its_class_says(write):
    own = network_of(write("class Mine(Dynamic):\n    layer = ResidualLayer\n" + STEP))
    built_in = network_of("dynamic=resnet")
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(own(images), built_in(images))
    assert own.units[0].dynamic.facts.label == "Mine"


def test_two_files_with_a_class_of_the_same_name_are_two_dynamics(write):
    one = network_of(write("class Mine(Dynamic):\n    number = 1\n" + STEP, "one.py"))
    two = network_of(write("class Mine(Dynamic):\n    number = 2\n" + STEP, "two.py"))
    assert (one.units[0].dynamic.number, two.units[0].dynamic.number) == (1, 2)
    assert type(network_of(write("class Mine(Dynamic):\n    number = 1\n" + STEP, "copy.py")).units[0].dynamic) is type(
        one.units[0].dynamic
    )


def test_a_reversible_one_of_two_layers(write):
    text = 'class Mine(Hamiltonian):\n    facts = Facts("mine", reversible=True, layers=2)\n'
    found = []
    for dynamic in (write(text), "dynamic=hamiltonian"):
        network = network_of(dynamic, "network.memory=reverse", "recipe=authors", "network.hamiltonian_order=y_first")
        network(torch.full((2, 3, 16, 16), 7, dtype=torch.uint8)).sum().backward()
        found.append([p.grad for p in network.parameters()])
        assert network.drift() is not None
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_subclass_does_not_inherit_the_equation_which_its_own_step_may_not_have(write):
    network = network_of(write('class Mine(Hamiltonian):\n    facts = Facts("mine", reversible=True, layers=2)\n'))
    assert network.units[0].dynamic.facts.equation is None
    for order in ("y_first", "z_first"):
        variant = network_of("dynamic=hamiltonian", f"network.hamiltonian_order={order}")
        assert variant.units[0].dynamic.facts.equation == "hamiltonian"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("class Mine(Dynamic):\n    pass\n", "the class Mine must have a method step"),
        ("class Mine:\n    pass\n", r"Mine must be a class that inherits from .*Dynamic"),
        ("class Mine(Hamiltonian):\n    pass\n", r"Mine must state facts = Facts\(\.\.\.\) of its own"),
        (
            "class Mine(Dynamic):\n    facts = Facts('mine', reversible=True)\n" + STEP,
            "must have a method inverse_step",
        ),
        (
            "class Mine(Dynamic):\n    layer = ResidualLayer\n    facts = Facts('mine', equation='parabolic')\n" + STEP,
            "equation='parabolic'; it must have layer = SymmetricLayer",
        ),
        (
            "class Mine(Dynamic):\n    pass\nimport no_such_module\n",
            "cannot be executed: ModuleNotFoundError: .*no_such_module",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(write, text, part):
    with pytest.raises(InvalidConfig, match=part) as caught:
        network_of(write(text))
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_changes_between_composing_and_building_is_not_executed(write, tmp_path):
    config = compose(write("class Mine(Dynamic):\n" + STEP), "network=tiny", "data=shapes")
    write("raise SystemExit\n")
    with pytest.raises(InvalidConfig, match="it has changed"):
        build_network(config)
    (tmp_path / "mine.py").unlink()
    with pytest.raises(InvalidConfig, match=r"mine\.py is missing"):
        build_network(config)
