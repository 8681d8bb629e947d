"""The whole network: its initial weights, and the images that it accepts."""

import numpy as np
import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.build import build_network
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.pdenet import PDENet

TINY = compose("network=tiny").network
WANTED = "images must be a tensor of shape (N, 3, H, W), N at least 1, H and W at least 2, of "
RAW, STANDARDIZED = "raw pixels of uint8 (0 to 255)", "standardised images of float32"


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
