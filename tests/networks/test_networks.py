"""Networks: weight counts of the papers, a second implementation, gradients, inverses, initial values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy_network import NumpyNetwork, conv_transpose, cross_entropy
from numpy_network import conv as numpy_conv

from pdenet_repro import compose
from pdenet_repro.config.schema import NetworkConfig, ObjectiveConfig
from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.build import build_network
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


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_initial_weights(dynamic):
    """docs/spec.md, section 5: kernels truncated at two deviations, equal in time, different in the two Hamiltonian layers."""
    network = build_network(compose(f"dynamic={dynamic}"))
    for name, p in network.named_parameters():
        if name.endswith(".scale"):
            assert (p == 1).all()
        elif name.endswith(".shift"):
            assert (p == 0).all()
        elif name.startswith("classifier"):
            assert p.abs().max() <= 0.2
            assert p.abs().max() > 0
        else:
            outputs, inputs, *size = p.shape[-4:]
            deviation = (2 / ((inputs + outputs) * size[0] * size[1])) ** 0.5
            assert p.abs().max() <= 2 * deviation + 1e-7
            # a normal law cut off at 2 deviations has 0.8796 of its deviation
            assert p[-1].std().item() == pytest.approx(0.8796 * deviation, rel=0.3 if p[-1].numel() < 500 else 0.05)
            if name.startswith("units."):
                assert (p == p[:1]).all()
    if dynamic == "hamiltonian":
        assert not torch.equal(network.units[0].theta[0].kernel, network.units[0].theta[1].kernel)


@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order"])
def test_initial_weights_of_the_authors(dynamic):
    network = build_network(compose("recipe=authors", f"dynamic={dynamic}"))
    kernels = torch.cat([p.flatten() for name, p in network.named_parameters() if "kernel" in name])
    assert kernels.abs().max().item() == pytest.approx(0.2)
    assert (kernels.abs() == kernels.abs().max()).float().mean().item() == pytest.approx(0.0455, abs=0.003)  # clipped
    for name, p in network.named_parameters():
        if name.startswith("units."):
            anew = dynamic == "second_order" and "kernel" in name  # the named commit draws these at every step
            assert (p == p[:1]).all() == (not anew)


@pytest.mark.parametrize("draw", ["once", "each_step"])
def test_norm_weights_are_drawn_where_the_text_is_read_literally(draw):
    words = ("network=tiny", "dynamic=resnet", f"network.initial_draw={draw}")
    network = build_network(compose(*words, "network.initial_norms=drawn"))
    norms = {name: p for name, p in network.named_parameters() if name.endswith((".scale", ".shift"))}
    assert len(norms) == 2 * (1 + 2 + 2)
    for name, p in norms.items():
        assert 0 < p.abs().max() <= 0.2
        if name.startswith("units."):
            assert (p == p[:1]).all() == (draw == "once")
    ones = build_network(compose(*words))
    assert all((p == name.endswith(".scale")).all() for name, p in ones.named_parameters() if name in norms)


def test_a_seed_means_the_same_initial_weights_in_every_version_of_pytorch():
    """Numbers of torch 2.11 and 2.15, whose own ``trunc_normal_`` draw differently."""
    network = build_network(compose("dynamic=hamiltonian", "seed=0"))
    found = [weights.double().sum().item() for weights in (network.opening.kernel, network.classifier.bias)]
    assert found == pytest.approx([-0.1539025, -0.3813575], abs=2e-6)


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    first = build_network(compose("network=tiny")).state_dict()
    torch.manual_seed(6)
    again, other = build_network(compose("network=tiny")), build_network(compose("network=tiny", "seed=1"))
    assert all(torch.equal(first[name], value) for name, value in again.state_dict().items())
    assert not torch.equal(first["opening.kernel"], other.state_dict()["opening.kernel"])


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


WANTED = "images must be a tensor of shape (N, 3, H, W), N at least 1, H and W at least 2, of "
RAW, STANDARDIZED = "raw pixels of uint8 (0 to 255)", "standardised images of float32"


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("unusable", "error", "found"),
    [
        (np.zeros((1, 3, 96, 96), np.uint8), TypeError, "ndarray; torch.from_numpy makes one of an array"),
        ([[0]], TypeError, "list"),
        (torch.zeros(1, 3, 96, 96, dtype=torch.int64), TypeError, "int64"),
        (torch.zeros(1, 3, 96, 96, dtype=torch.float64), TypeError, "float64"),
        (torch.zeros(3, 96, 96), ValueError, "of shape (3, 96, 96); image[None] makes a batch of one image"),
        (torch.zeros(0, 3, 96, 96), ValueError, "of shape (0, 3, 96, 96)"),
        (torch.zeros(1, 96, 96, 3), ValueError, "of shape (1, 96, 96, 3)"),
        (torch.zeros(2, 3, 96, 1), ValueError, "of shape (2, 3, 96, 1)"),
    ],
)
def test_images_that_cannot_be_classified_are_refused_in_one_sentence(unusable, error, found, raw):
    network = PDENet(DYNAMICS["hamiltonian"], TINY).eval()
    if raw and error is ValueError:
        unusable = unusable.to(torch.uint8)
    for call in (network, network.probabilities) if raw else (network.forward_standardized, network.pixel_means):
        with pytest.raises(error) as caught:
            call(unusable)
        assert str(caught.value).startswith(f"{WANTED}{RAW if raw else STANDARDIZED}, not {found}")


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_raw_pixels_and_standardised_images_are_not_confused(precision):
    raw = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
    for mode in ("per_image_and_channel", "per_image", "none"):
        network = PDENet(DYNAMICS["parabolic"], TINY, standardization=mode).eval().to(precision)
        expected = standardize(raw.to(torch.promote_types(precision, torch.float32)), mode).to(precision)
        with torch.no_grad():
            assert torch.equal(network(raw), network.forward_standardized(expected))
            assert torch.equal(network.standardize(raw), expected)
            probabilities = network.probabilities(raw)
        assert probabilities.dtype == torch.promote_types(precision, torch.float32)
        assert torch.allclose(probabilities.sum(1), torch.ones(2, dtype=probabilities.dtype))
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            for scale in (1, 255):  # the same pixels as numbers
                with pytest.raises(TypeError, match=r"raw pixels of uint8.*forward_standardized\(network\.standardize"):
                    network((raw / scale).to(precision))
            with pytest.raises(TypeError, match=r"standardised images.*network\(images\) takes raw pixels"):
                network.forward_standardized(raw)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mode", ["per_image_and_channel", "per_image", "none"])
def test_raw_pixels_as_floating_point_numbers_are_not_taken_for_standardised_images(mode, precision):
    network = PDENet(DYNAMICS["parabolic"], TINY, standardization=mode).eval().to(precision)
    raw = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(7))
    for autocast in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            with pytest.raises(
                ValueError, match=r"beyond 166\.3 in modulus, but one is 255; .*network\.standardize\(images\)"
            ):
                network.forward_standardized(raw.to(precision))
            scores = network.forward_standardized(network.standardize(raw.to(precision)))
            assert torch.equal(scores, network.forward_unchecked(network.standardize(raw.to(precision))))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mode", ["per_image_and_channel", "per_image", "none"])
@pytest.mark.parametrize("side", [2, 7, 40, 96])
def test_every_standardised_image_is_accepted(side, mode, precision):
    network = PDENet(DYNAMICS["parabolic"], TINY, standardization=mode).eval().to(precision)
    raw = torch.zeros(3, 3, side, side, dtype=torch.uint8)
    raw[0, 0, 0, 0] = 255  # one pixel has the largest value that a standardised image can have
    raw[1] = 255
    raw[1, 2, 0, 1] = 254
    with torch.no_grad():
        assert network.forward_standardized(network.standardize(raw)).shape == (3, 10)


def test_code_that_is_compiled_or_vectorised_does_not_check_the_values():
    network = PDENet(DYNAMICS["parabolic"], TINY).eval()
    images = torch.full((2, 3, 8, 8), 255.0)
    with torch.no_grad():
        expected = network.forward_unchecked(images)
        compiled = torch.compile(network.forward_standardized, backend="eager", fullgraph=True)
        assert torch.equal(compiled(images), expected)
        each = torch.func.vmap(lambda image: network.forward_unchecked(image[None])[0])(images)
    assert torch.allclose(each, expected, rtol=1e-5, atol=1e-6)


def test_other_sizes_are_classified_down_to_a_pixel_for_the_last_unit():
    network = PDENet(DYNAMICS["hamiltonian"], TINY).eval()
    for height, width in ((2, 2), (32, 32), (5, 7)):
        assert network.probabilities(torch.zeros(2, 3, height, width, dtype=torch.uint8)).shape == (2, 10)


def test_autocast_takes_images_of_its_own_precision():
    network = PDENet(DYNAMICS["hamiltonian"], TINY).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert network.forward_standardized(torch.zeros(2, 3, 8, 8, dtype=torch.bfloat16)).shape == (2, 10)
