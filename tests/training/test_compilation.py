"""Compiled training is the same training; if compiling fails, one warning says so and training continues without it."""

import math
import signal
import time

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pdenet_repro import build_network, compose
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.cost import forward_flops, memory_accesses, training_flops
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.system.signals import stop_request
from pdenet_repro.training.build import make_trainer
from pdenet_repro.training.compilation import WORTHWHILE, is_worthwhile
from pdenet_repro.training.interruptible import StoppedWhileCompiling, make_compilation_interruptible

CPU = torch.device("cpu")


@pytest.mark.parametrize("dynamic", DYNAMICS)
def test_the_operations_are_those_that_torch_counts(dynamic):
    config = compose("network=small", f"dynamic={dynamic}")
    network = build_network(config)
    images = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    classifier = 2 * network.classifier.weight.numel()
    with FlopCounterMode(display=False) as counter:
        scores = network(images)
    assert counter.get_total_flops() == forward_flops(config.network, dynamic) + classifier
    with FlopCounterMode(display=False) as counter:
        scores.sum().backward()
    backward = training_flops(config.network, dynamic) - forward_flops(config.network, dynamic)
    assert counter.get_total_flops() == backward + 2 * classifier


def test_the_paper_network_costs_what_the_paper_says():
    network = compose().network
    assert training_flops(network, "parabolic") == pytest.approx(10.3e9, rel=0.01)
    assert training_flops(network, "hamiltonian") == pytest.approx(5.3e9, rel=0.01)


def test_the_fewest_numbers_moved_by_hand():
    """One unit of two channels and one step on 4x4 pixels, three channels after it."""
    network = compose("network=tiny", "network.widths=[2]", "network.last_width=3", "network.steps=1").network
    opening = (
        16 * (3 + 2) + 16 * (2 + 2) + 16 * (2 + 2) + 16 * (2 + 2 + 3)
    )  # conv; norm; statistics of g, Z; g, Z, image
    layer = 16 * 2 * (2 + 3 + 3 + 5)
    connector = 16 * (2 + 3) + (16 * 3 + 3) + (3 + 16 * 3) + (3 + 16 * (3 + 2 + 2))
    assert memory_accesses(network, side=4) == opening + layer + connector


def test_auto_compiles_what_is_long_enough():
    config = compose()
    enough = math.ceil(WORTHWHILE["cpu"] / training_flops(config.network, "parabolic"))
    assert is_worthwhile(config, enough, CPU)
    assert not is_worthwhile(config, enough - 1, CPU)
    assert not is_worthwhile(config, enough, torch.device("cuda"))
    assert is_worthwhile(config, 5 * enough, torch.device("cuda"))
    assert not is_worthwhile(compose("deterministic=true"), 5 * enough, torch.device("cuda"))
    assert is_worthwhile(compose("deterministic=true"), enough, CPU)
    assert not is_worthwhile(compose("performance=eager"), enough, CPU)
    assert is_worthwhile(compose("performance=compile"), 1, CPU)


ONE_UNIT = ("network=tiny", "network.widths=[8]")


def trained(performance, *words, warnings=None, steps=4):
    """Weights of a one-unit network after a few steps, the losses, and probabilities of a whole batch and a smaller one."""
    words = ("data=shapes", *ONE_UNIT, "schedule=demo", "device=cpu", "evaluation.batch_size=20", *words)
    config = compose(*words, f"performance={performance}")
    random = np.random.RandomState(0)
    images = DeviceImages(random.randint(0, 256, (64, 3, 96, 96), dtype=np.uint8), random.randint(0, 10, 64), CPU)
    trainer = make_trainer(config, images, CPU, (warnings if warnings is not None else []).append)
    for _ in zip(range(steps), trainer.epoch(), strict=False):
        pass
    weights = torch.cat([p.detach().flatten() for p in trainer.network.parameters()])
    trainer.network.eval()
    with torch.no_grad():
        probabilities = torch.cat([trainer.network.probabilities(images.pixels[:n]) for n in (20, 7)])
    return weights, trainer.progress, probabilities


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("dynamic=parabolic", "network.memory=store"),
        ("dynamic=hamiltonian", "network.memory=store", "network.steps=8", "network.step_size=0.25"),
        ("dynamic=hamiltonian", "network.memory=reverse"),
        ("dynamic=second_order", "network.memory=reverse", "precision=bfloat16"),
        ("dynamic=parabolic", "network.memory=recompute"),
    ],
    ids=" ".join,
)
def test_compiled_steps_are_the_eager_ones_and_repeat_to_the_bit(words):
    warnings = []
    eager, of_eager, expected = trained("eager", *words)
    first, progress, found = trained("compile", *words, warnings=warnings)
    again, _, found_again = trained("compile", *words, warnings=warnings)
    close = 2e-3 if "precision=bfloat16" in words else 1e-5
    assert warnings == []
    assert torch.equal(first, again)
    assert torch.equal(found, found_again)
    assert (first - eager).abs().max() < close
    assert (found - expected).abs().max() < close
    assert progress.data_loss == pytest.approx(of_eager.data_loss, rel=close)


@pytest.mark.slow
def test_a_step_is_compiled_once_however_many_there_are():
    def compilations(steps):
        torch._dynamo.utils.counters.clear()
        trained("compile", "dynamic=hamiltonian", "network.memory=reverse", f"network.steps={steps}")
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]

    assert 0 < compilations(12) == compilations(5)


@pytest.mark.slow
def test_a_smaller_last_batch_is_compiled_for_only_if_that_is_worthwhile(monkeypatch):
    """64 images are batches of 24, 24 and 16; counts what is compiled in an epoch, beside the evaluation."""

    def compilations(passes):
        config = compose(*ONE_UNIT, "schedule=demo")
        flops = config.schedule.epochs * training_flops(config.network, "parabolic")
        monkeypatch.setitem(WORTHWHILE, "cpu", passes * flops)
        torch._dynamo.utils.counters.clear()
        found = trained("auto", "schedule.batch_size=24", "dynamic=parabolic", steps=3)
        return torch._dynamo.utils.counters["stats"]["unique_graphs"], found

    none, (expected, uncompiled, _) = compilations(65)
    whole, (weights, progress, _) = compilations(17)
    assert (none, whole, compilations(16)[0]) == (0, 2, 3)
    assert progress.images == uncompiled.images == 64
    assert (weights - expected).abs().max() < 1e-5


def test_without_a_compiler_training_goes_on_after_one_line(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    warnings = []
    found, *_ = trained("compile", warnings=warnings)
    assert len(warnings) == 1
    assert "no C++ compiler is found" in warnings[0]
    assert torch.equal(found, trained("eager")[0])


@pytest.mark.slow
def test_a_compiler_that_fails_is_named_and_training_goes_on(monkeypatch, tmp_path):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    warnings = []
    with torch._inductor.config.patch({"force_disable_caches": True, "cpp.cxx": (str(broken),)}):
        weights, _, probabilities = trained("compile", warnings=warnings)
    assert [line.split(":")[0] for line in warnings] == [
        "training is not compiled, and is slower",
        "evaluation is not compiled, and is slower",
    ]
    expected, _, expected_probabilities = trained("eager")
    assert torch.equal(weights, expected)
    assert torch.equal(probabilities, expected_probabilities)


def test_a_signal_that_ended_an_earlier_run_stops_no_compilation():
    with stop_request:
        signal.raise_signal(signal.SIGTERM)
    make_compilation_interruptible()
    one = torch.ones(1)
    assert torch.equal(torch.compile(torch.neg, backend="eager")(one), -one)
    with stop_request:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StoppedWhileCompiling, match="SIGTERM"):
            torch.compile(torch.exp, backend="eager")(one)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_stops_compilation_also_where_python_ignores_exceptions():
    class Deleted:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def compile_for_long(graph, inputs):
        Deleted()  # deleted at once
        time.sleep(20)
        pytest.fail("compilation went on")

    make_compilation_interruptible()
    with stop_request:
        with pytest.raises(StoppedWhileCompiling, match="SIGTERM"):
            torch.compile(torch.sin, backend=compile_for_long)(torch.ones(1))
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "nothing is raised after compilation"
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.slow
def test_what_fails_in_the_backward_pass_alone_is_caught_too(monkeypatch):
    from torch._inductor import compile_fx

    def fail(*arguments, is_backward=False, compile=compile_fx.fx_codegen_and_compile, **keywords):
        if is_backward:
            raise RuntimeError("no backward")
        return compile(*arguments, is_backward=is_backward, **keywords)

    monkeypatch.setattr(compile_fx, "fx_codegen_and_compile", fail)
    warnings = []
    with torch._inductor.config.patch({"force_disable_caches": True, "cpp.cxx": (None, "g++")}):
        found, *_ = trained("compile", warnings=warnings)
    assert len(warnings) == 1
    assert "training is not compiled" in warnings[0]
    assert torch.equal(found, trained("eager")[0])
