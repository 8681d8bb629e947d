"""Networks: weight counts of the papers, a second implementation, gradients, inverses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_network import NumpyNetwork, conv_transpose, cross_entropy
from numpy_network import conv as numpy_conv

from pdenet_repro import compose
from pdenet_repro.config.schema import NetworkConfig, ObjectiveConfig
from pdenet_repro.networks.dynamics import DYNAMICS, Dynamic
from pdenet_repro.networks.layers import ResidualLayer, SymmetricLayer, conv
from pdenet_repro.networks.layers import conv_transpose as torch_conv_transpose
from pdenet_repro.networks.norms import NORMS, BatchNorm, Norm
from pdenet_repro.networks.pdenet import PDENet
from pdenet_repro.networks.unit import Unit
from pdenet_repro.training.objective import Objective

TINY = NetworkConfig(
    widths=[4, 6], last_width=5, steps=3, step_size=0.3, activation="tanh", norm="instance", norm_eps=None,
    connector_norm="batch", initialization="glorot",
)  # fmt: skip
UNIT_NORMS = ("instance", "channel", "channel_rms", "none")


def randomize(module, seed=0, scale=0.5):
    """Every weight its own normal draw: initial values are the same at all times and would hide a mix-up."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(std=scale, generator=generator)
    return module


def images(n=3, side=8, seed=1):
    return torch.randn(n, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("dynamic", "network", "classes", "count"),
    [
        ("parabolic", ("network=paper",), 10, 2_444_090),
        ("second_order", ("network=paper",), 10, 2_444_090),
        ("hamiltonian", ("network=paper",), 10, 1_279_418),
        ("parabolic", ("network=jmiv",), 10, 618_554),
        ("hamiltonian", ("network=jmiv",), 10, 324_794),
        ("second_order", ("network=jmiv", "network.steps=5"), 10, 1_011_194),
        ("hamiltonian", ("network=jmiv", "network.steps=5"), 10, 521_594),
        ("parabolic", ("network=jmiv", "network.widths=[32,64,112]"), 10, 502_570),
        ("hamiltonian", ("network=jmiv", "network.widths=[32,64,112]"), 10, 264_106),
        ("parabolic", ("network=jmiv", "network.widths=[32,64,128]", "network.last_width=256"), 100, 652_484),
        ("hamiltonian", ("network=jmiv", "network.widths=[32,64,128]", "network.last_width=256"), 100, 362_180),
    ],
)
def test_published_weight_counts(dynamic, network, classes, count):
    assert PDENet(DYNAMICS[dynamic], compose(*network).network, classes=classes).weight_count() == count


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("norm", UNIT_NORMS)
@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order", "resnet"])
def test_the_whole_network_is_the_one_of_the_formulas(dynamic, norm, activation):
    config = replace(TINY, norm=norm, activation=activation)
    network = randomize(PDENet(DYNAMICS[dynamic], config).double())
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    reference = NumpyNetwork(dynamic, config, weights)
    expected = reference.scores(images().numpy())
    with torch.no_grad():
        assert np.allclose(network.forward_standardized(images()).numpy(), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("connector_norm", ["batch", *NORMS])
def test_every_connector_norm_and_an_eps_of_its_own(connector_norm):
    config = replace(TINY, connector_norm=connector_norm, norm_eps=0.02, step_size=1.7)
    network = randomize(PDENet(DYNAMICS["second_order"], config).double())
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    expected = NumpyNetwork("second_order", config, weights).scores(images().numpy())
    with torch.no_grad():
        assert np.allclose(network.forward_standardized(images()).numpy(), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("smoothness", ["tv", "h1", "none"])
@pytest.mark.parametrize("decay", ["all", "no_connector_norms", "no_norms"])
def test_the_objective_is_the_one_of_the_formulas(smoothness, decay):
    settings = ObjectiveConfig(
        smoothness=smoothness, alpha1=0.3, eps=0.01, alpha2=0.2, alpha2_classifier=None, decay=decay
    )
    network = randomize(PDENet(DYNAMICS["hamiltonian"], TINY).double())
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    reference = NumpyNetwork("hamiltonian", TINY, weights)
    labels = torch.tensor([4, 0, 9])
    with torch.no_grad():
        terms = Objective(network, settings, TINY.step_size)(network.forward_standardized(images()), labels)
    assert terms.data.item() == pytest.approx(
        cross_entropy(reference.scores(images().numpy()), labels.numpy()), rel=1e-12
    )
    expected = 0.0 if smoothness == "none" else 0.3 * reference.smoothness(smoothness, 0.01)
    assert terms.smoothness.item() == pytest.approx(expected, rel=1e-12)
    skipped = {
        "all": lambda name: False,
        "no_connector_norms": lambda name: ".norm." in name,
        "no_norms": lambda name: name.endswith(("scale", "shift")),
    }[decay]
    squares = sum((w**2).sum() for name, w in weights.items() if not skipped(name))
    assert terms.decay.item() == pytest.approx(0.2 / 2 * squares, rel=1e-12)
    assert terms.total.item() == pytest.approx(sum(t.item() for t in terms), rel=1e-12)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_convolution_and_its_adjoint(size):
    generator = torch.Generator().manual_seed(0)
    Y, Z, K = (
        torch.randn(shape, dtype=torch.float64, generator=generator)
        for shape in ((2, 3, 7, 6), (2, 4, 7, 6), (4, 3, size, size))
    )
    assert np.allclose(conv(Y, K).numpy(), numpy_conv(Y.numpy(), K.numpy()), atol=1e-12)
    assert np.allclose(torch_conv_transpose(Z, K).numpy(), conv_transpose(Z.numpy(), K.numpy()), atol=1e-12)
    inner = (conv(Y, K) * Z).sum().item()
    assert inner == pytest.approx((Y * torch_conv_transpose(Z, K)).sum().item(), rel=1e-12)


@pytest.mark.parametrize("norm", UNIT_NORMS)
@pytest.mark.parametrize("layer", [SymmetricLayer, ResidualLayer])
def test_gradients_of_a_layer(layer, norm):
    generator = torch.Generator().manual_seed(2)
    shapes = [(4, 4, 3, 3)] * (len(layer.weights._fields) - 2) + [(4,), (4,)]
    inputs = [
        torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in [(2, 4, 5, 5), *shapes]
    ]
    F = layer(Norm(norm), "tanh")
    assert torch.autograd.gradcheck(lambda Y, *theta: F(Y, layer.weights(*theta)), inputs)


@pytest.mark.parametrize("norm", UNIT_NORMS)
@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_gradients_of_a_unit(dynamic, norm):
    unit = randomize(Unit(DYNAMICS[dynamic](0.7, Norm(norm), "tanh"), 4, steps=2).double())
    names, values = zip(*unit.named_parameters(), strict=True)
    Y = torch.randn(1, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()

    def output(Y, *weights):
        return torch.func.functional_call(unit, dict(zip(names, weights, strict=True)), Y)

    assert torch.autograd.gradcheck(output, (Y, *values))


@pytest.mark.parametrize("norm", UNIT_NORMS)
@pytest.mark.parametrize("dynamic", [name for name, scheme in DYNAMICS.items() if scheme.facts.reversible])
def test_a_reversible_unit_runs_backwards_to_where_it_started(dynamic, norm):
    unit = randomize(Unit(DYNAMICS[dynamic](0.5, Norm(norm), "relu"), 6, steps=4).double(), scale=0.2)
    Y = torch.randn(2, 6, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        states = list(unit.trajectory(Y))
        assert torch.equal(unit.dynamic.output(states[-1]), unit(Y))
        found = unit.inverse(states[-1])
    assert len(states) == 5
    assert not torch.allclose(unit.dynamic.output(states[-1]), Y, atol=0.1)  # it went somewhere
    for back, first in zip(found, states[0], strict=True):
        assert (back - first).abs().max() < 1e-12


def test_reversibility_is_what_the_dynamic_says():
    assert {name for name, scheme in DYNAMICS.items() if scheme.facts.reversible} == {"hamiltonian", "second_order"}
    for scheme in DYNAMICS.values():
        assert scheme.facts.reversible == (scheme.inverse_step is not Dynamic.inverse_step)
        if not scheme.facts.reversible:
            unit = Unit(scheme(1.0, Norm("none"), "relu"), 4, steps=1)
            with pytest.raises(TypeError, match=f"{scheme.__name__} cannot be run backwards"):
                unit.inverse(unit.start(torch.zeros(1, 4, 2, 2)))


def test_an_odd_number_of_channels_is_no_hamiltonian_unit():
    with pytest.raises(ValueError, match="5 channels: must be a multiple of 2 for Hamiltonian"):
        Unit(DYNAMICS["hamiltonian"](1.0, Norm("none"), "relu"), 5, steps=1)


def test_batch_norm_is_torch_s_but_for_the_biased_running_variance():
    Y = torch.randn(4, 6, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    ours, theirs = BatchNorm(6).double(), torch.nn.BatchNorm2d(6, eps=1e-4).double()
    for _ in range(3):
        assert torch.allclose(ours(Y), theirs(Y), rtol=1e-13)
    assert torch.allclose(ours.running_mean, theirs.running_mean, rtol=1e-13)
    n = 4 * 5 * 5
    started_at_one = 0.9**3
    assert torch.allclose(
        ours.running_variance - started_at_one, (theirs.running_var - started_at_one) * (n - 1) / n, rtol=1e-12
    )
    assert set(ours.state_dict()) == {"scale", "shift", "running_mean", "running_variance"}


def test_under_autocast_the_state_keeps_full_precision():
    network = PDENet(DYNAMICS["parabolic"], TINY)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        Y = network.opening(images().float())
        assert Y.dtype == torch.bfloat16
        for state in network.units[0].trajectory(Y):
            assert all(part.dtype == torch.float32 for part in state)


def test_under_autocast_pixel_means_and_scores_keep_full_precision():
    """Rounded to bfloat16, the scores of two classes are equal for some images, and the order of classes decides."""
    network = PDENet(DYNAMICS["parabolic"], TINY)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        means, scores = network.pixel_means(images().float()), network.forward_unchecked(images().float())
    assert means.dtype == scores.dtype == torch.float32
    assert not torch.equal(means, means.bfloat16().float())
    with torch.no_grad():
        assert torch.equal(scores, network.classifier(means))


def test_gradients_of_the_network_at_an_unusual_step_size():
    """float64, all weights, through the whole network and the objective, by central differences along a direction."""
    for dynamic in DYNAMICS:
        network = randomize(PDENet(DYNAMICS[dynamic], TINY).double(), scale=0.3)
        settings = ObjectiveConfig(
            smoothness="tv", alpha1=1e-2, eps=1e-3, alpha2=1e-2, alpha2_classifier=3e-2, decay="no_norms"
        )
        objective, labels = Objective(network, settings, TINY.step_size), torch.tensor([1, 2, 3])
        generator = torch.Generator().manual_seed(9)
        parameters = list(network.parameters())
        direction = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters]

        def objective_at(
            t, network=network, parameters=parameters, direction=direction, objective=objective, labels=labels
        ):
            for p, d in zip(parameters, direction, strict=True):
                p.data.add_(d, alpha=t)
            value = objective(network.forward_standardized(images()), labels).total
            for p, d in zip(parameters, direction, strict=True):
                p.data.sub_(d, alpha=t)
            return value

        objective_at(0.0).backward()
        slope = sum((p.grad * d).sum().item() for p, d in zip(parameters, direction, strict=True))
        step = 1e-5
        difference = (objective_at(step).item() - objective_at(-step).item()) / (2 * step)
        assert slope == pytest.approx(difference, rel=1e-6), dynamic
