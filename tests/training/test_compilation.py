"""Compiled training is the same training; where it cannot be had it is said once and training goes on."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pdenet_repro import build_network, compose
from pdenet_repro.data.batches import DeviceImages
from pdenet_repro.networks.cost import forward_flops, training_flops
from pdenet_repro.networks.dynamics import DYNAMICS
from pdenet_repro.session import make_trainer
from pdenet_repro.training.compilation import WORTHWHILE, wanted

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


def test_auto_compiles_what_is_long_enough():
    config = compose()
    images = int(WORTHWHILE / training_flops(config.network, "parabolic") / config.schedule.epochs)
    batch = config.schedule.batch_size
    enough, too_few = (images // batch + 1) * batch, images // batch * batch
    assert wanted(config, enough, "store", CPU)
    assert not wanted(config, too_few, "store", CPU)
    assert not wanted(config, enough, "reverse", CPU)
    assert not wanted(compose("deterministic=true"), enough, "store", torch.device("cuda"))
    assert wanted(compose("deterministic=true"), enough, "store", CPU)
    assert not wanted(compose("performance=eager"), enough, "store", CPU)
    assert wanted(compose("performance=compile"), batch, "store", CPU)


def trained(performance, warnings=None, steps=4):
    """Weights of a tiny network after a few steps, and the losses."""
    config = compose("data=shapes", "network=tiny", "schedule=demo", "device=cpu", f"performance={performance}")
    random = np.random.RandomState(0)
    images = DeviceImages(random.randint(0, 256, (64, 3, 96, 96), dtype=np.uint8), random.randint(0, 10, 64), CPU)
    trainer = make_trainer(config, images, CPU, (warnings if warnings is not None else []).append)
    for _ in zip(range(steps), trainer.epoch(), strict=False):
        pass
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()]), trainer.progress


@pytest.mark.slow
def test_compiled_steps_are_the_eager_ones_and_repeat_to_the_bit():
    warnings = []
    eager, of_eager = trained("eager")
    first, progress = trained("compile", warnings)
    again, _ = trained("compile", warnings)
    assert warnings == []
    assert torch.equal(first, again)
    assert (first - eager).abs().max() < 1e-5
    assert progress.data_loss == pytest.approx(of_eager.data_loss, rel=1e-5)
    assert progress.correct == of_eager.correct


def test_without_a_compiler_training_goes_on_after_one_line(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    warnings = []
    found, _ = trained("compile", warnings)
    assert len(warnings) == 1
    assert "no C++ compiler is found" in warnings[0]
    assert torch.equal(found, trained("eager")[0])


@pytest.mark.slow
def test_a_compiler_that_fails_is_named_and_training_goes_on(monkeypatch, tmp_path):
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (str(broken),))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    warnings = []
    found, _ = trained("compile", warnings)
    assert len(warnings) == 1
    assert "training is not compiled, only slower" in warnings[0]
    assert torch.equal(found, trained("eager")[0])
