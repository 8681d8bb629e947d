"""Objective, gradients and two epochs of projected SGD against the authors' toolbox (float64)."""

import pytest
import torch
import torch.nn.functional as F

from pdenet_repro.config.schema import NetworkConfig, ObjectiveConfig
from pdenet_repro.networks.dynamics import Parabolic
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.training.objective import Objective, total_variation
from pdenet_repro.training.optimizer import ProjectedSGD

NAMES = {  # the reference's names -> ours
    "opening.kernel": "opening.kernel",
    "opening.scale": "opening.norm.scale",
    "opening.shift": "opening.norm.shift",
    **{f"unit{i + 1}.{w}": f"units.{i}.theta.0.{w}" for i in range(2) for w in ("kernel", "scale", "shift")},
    **{f"connector{i + 1}.kernel": f"connectors.{i}.kernel" for i in range(2)},
    **{f"connector{i + 1}.{w}": f"connectors.{i}.norm.{w}" for i in range(2) for w in ("scale", "shift")},
    "classifier.weight": "classifier.weight",
    "classifier.bias": "classifier.bias",
}


@pytest.fixture
def small(golden):
    """The small network of docs/spec.md, section 7 at the reference's weights, and its objective."""
    config = NetworkConfig(
        widths=[4, 6], last_width=8, steps=2, step_size=1.0, activation="relu", norm="channel_rms",
        connector_norm="batch", initialization="glorot",
    )  # fmt: skip
    network = PDENet(Parabolic, config, classes=5).double()
    parameters = dict(network.named_parameters())
    assert set(NAMES.values()) == set(parameters)
    for theirs, ours in NAMES.items():
        parameters[ours].data.copy_(golden[f"network.weights.{theirs}"])
    settings = ObjectiveConfig(
        smoothness="tv", alpha1=1e-4, eps=1e-3, alpha2=3e-4, alpha2_classifier=4e-4, decay="no_norms"
    )
    return network, Objective(network, settings, step_size=1.0)


def test_cross_entropy_of_the_classifier(golden, close):
    weight, bias, features = golden.leaf("loss.weight"), golden.leaf("loss.bias"), golden.leaf("loss.features")
    loss = F.cross_entropy(F.linear(features, weight, bias), golden["loss.labels"].long())
    close(loss, golden["loss.value"])
    loss.backward()
    for leaf, name in ((weight, "weight"), (bias, "bias"), (features, "features")):
        close(leaf.grad, golden[f"loss.grad_{name}"])


def test_regularizer(golden, close):
    theta = golden.leaf("regularizer.theta")
    decay = (theta * golden["regularizer.decay_mask"]).square().sum()
    value = 3e-4 * total_variation(theta, 1.0, 1e-3) + 5e-4 / 2 * decay
    close(value, golden["regularizer.value"])
    value.backward()
    close(theta.grad, golden["regularizer.grad"])


def test_small_network_objective_and_gradients(golden, close, small):
    network, objective = small
    images, labels = golden["network.images"], golden["network.labels"].long()
    close(network.pixel_means(images), golden["network.pooled_features"])
    network.train()
    terms = objective(network.forward_standardized(images), labels)
    close(terms.data, golden["network.loss"])
    close(
        terms.smoothness + terms.decay, golden["network.regularizer_theta"] + golden["network.regularizer_classifier"]
    )
    close(terms.total, golden["network.objective"])
    terms.total.backward()
    for theirs, ours in NAMES.items():
        close(network.get_parameter(ours).grad, golden[f"network.grad.{theirs}"])


def test_two_epochs_of_projected_sgd(golden, close, small):
    network, objective = small
    optimizer = ProjectedSGD(network.parameters(), lr=0.1, momentum=0.9, bound=1.0)
    images, labels = golden["network.images"], golden["network.labels"].long()
    for permutation, rate in zip(golden["network.sgd_permutations"].long(), (0.1, 0.05), strict=True):
        order = permutation - permutation.min()
        optimizer.param_groups[0]["lr"] = rate
        for batch in order[:6].split(3):
            optimizer.zero_grad()
            objective(network.forward_standardized(images[batch]), labels[batch]).total.backward()
            optimizer.step()
    for theirs, ours in NAMES.items():
        close(network.get_parameter(ours), golden[f"network.weights_after_sgd.{theirs}"])


def test_projection_reaches_the_initial_weights_but_not_the_momentum():
    x = torch.nn.Parameter(torch.tensor([3.0, -0.5]))
    optimizer = ProjectedSGD([x], lr=1.0, momentum=0.5, bound=1.0)
    assert x.tolist() == [1.0, -0.5]
    x.grad = torch.tensor([-4.0, 1.0])
    optimizer.step()
    assert x.tolist() == [1.0, -1.0]
    assert optimizer.state[x]["velocity"].tolist() == [-4.0, 1.0]
    x.grad = torch.tensor([0.0, 0.0])
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()  # the old velocity goes on at the old rate: heavy ball with the rate inside
    assert optimizer.state[x]["velocity"].tolist() == [-2.0, 0.5]
