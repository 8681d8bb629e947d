"""Layers, norms, integrators and standardisation against the numbers of the authors' toolbox (float64)."""

import pytest
import torch

from pdenet_repro.data.standardize import standardize
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.networks.layers import SymmetricLayer, SymmetricWeights, conv, conv_transpose
from pdenet_repro.networks.norms import NORMS, BatchNorm, Norm

UNIT_NORMS = {"none": Norm("none"), "channel_rms": Norm("channel_rms"), "instance_eps1e-4": Norm("instance", 1e-4)}


def test_conv_and_its_adjoint(golden, close):
    K = golden.leaf("conv.kernel")
    out = conv(golden["features4"], K)
    close(out, golden["conv.output"])
    close(conv_transpose(golden["cotangent6"], K), golden["conv.adjoint_of_cotangent6"])
    (out * golden["cotangent6"]).sum().backward()
    close(K.grad, golden["conv.grad_kernel"])


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("instance_eps1e-3", Norm("instance")),
        ("instance_eps1e-4", Norm("instance", 1e-4)),
        ("channel", Norm("channel")),
        ("channel_rms", Norm("channel_rms")),
        ("batch_per_pixel", Norm("batch_per_pixel")),
    ],
)
def test_norms(golden, close, name, norm):
    Y, scale, shift = golden.leaf("features6"), golden.leaf("norm.scale"), golden.leaf("norm.shift")
    out = norm(Y, scale, shift)
    close(out, golden[f"norm.{name}.output"])
    (out * golden["cotangent6"]).sum().backward()
    for leaf, what in ((Y, "features"), (scale, "scale"), (shift, "shift")):
        close(leaf.grad, golden[f"norm.{name}.grad_{what}"])


def test_every_norm_of_the_reference_is_covered(golden):
    named = {name.split(".")[1].split("_eps")[0] for name in golden.names("norm.")} - {"scale", "shift", "batch"}
    assert named == set(NORMS) - {"none"}


def test_batch_norm_with_its_running_statistics(golden, close):
    norm = BatchNorm(6).double()
    norm.scale.data, norm.shift.data = golden["norm.scale"], golden["norm.shift"]
    Y = golden.leaf("features6")
    out = norm(Y)
    close(out, golden["norm.batch.output"])
    (out * golden["cotangent6"]).sum().backward()
    for leaf, what in ((Y, "features"), (norm.scale, "scale"), (norm.shift, "shift")):
        close(leaf.grad, golden[f"norm.batch.grad_{what}"])
    close(norm.running_mean, golden["norm.batch.running_mean_after_features6"])
    close(norm.running_variance, golden["norm.batch.running_var_after_features6"])
    norm(golden["cotangent6"])
    close(norm.running_mean, golden["norm.batch.running_mean_then_cotangent6"])
    close(norm.running_variance, golden["norm.batch.running_var_then_cotangent6"])
    close(norm.eval()(golden["features6"]), golden["norm.batch.eval_output"])


def weights(golden, prefix, suffix="", *, affine=True):
    """Weights with a leading time axis; without a norm the reference has no scale and shift: 1 and 0."""
    kernel = golden.leaf(f"{prefix}.kernel{suffix}")
    if affine:
        return SymmetricWeights(kernel, golden.leaf(f"{prefix}.scale{suffix}"), golden.leaf(f"{prefix}.shift{suffix}"))
    shape = kernel.shape[: kernel.dim() - 3]
    return SymmetricWeights(kernel, torch.ones(shape).double(), torch.zeros(shape).double())


def check_gradients(golden, close, prefix, Y, weights_by_suffix):
    close(Y.grad, golden[f"{prefix}.grad_features"])
    for suffix, theta in weights_by_suffix.items():
        for name in ("kernel", "scale", "shift"):
            leaf = getattr(theta, name)
            if leaf.requires_grad:
                close(leaf.grad, golden[f"{prefix}.grad_{name}{suffix}"])


@pytest.mark.parametrize("name", UNIT_NORMS)
def test_symmetric_layer(golden, close, name):
    Y, theta = golden.leaf("features4"), weights(golden, "layer", affine=name != "none")
    out = SymmetricLayer(UNIT_NORMS[name], "relu")(Y, theta)
    close(out, golden[f"layer.{name}.output"])
    (out * golden["cotangent4"]).sum().backward()
    check_gradients(golden, close, f"layer.{name}", Y, {"": theta})


@pytest.mark.parametrize("name", UNIT_NORMS)
@pytest.mark.parametrize("dynamic", ["parabolic", "hamiltonian", "second_order"])
def test_three_steps_of_a_dynamic(golden, close, dynamic, name):
    suffixes = ("_a", "_b") if dynamic == "hamiltonian" else ("",)
    over_time = {suffix: weights(golden, "steps", suffix, affine=name != "none") for suffix in suffixes}
    scheme = DYNAMICS[dynamic](1.0, UNIT_NORMS[name], "relu")
    Y = golden.leaf("features4")
    state = scheme.start(Y)
    for j in range(3):
        state = scheme.step(state, [SymmetricWeights(*(w[j] for w in theta)) for theta in over_time.values()])
    out = scheme.output(state)
    close(out, golden[f"{dynamic}.{name}.output"])
    (out * golden["cotangent4"]).sum().backward()
    check_gradients(golden, close, f"{dynamic}.{name}", Y, over_time)


@pytest.mark.parametrize("mode", ["per_image", "per_image_and_channel"])
def test_standardisation(golden, close, mode):
    close(standardize(golden["standardize.images"], mode), golden[f"standardize.{mode}"])
