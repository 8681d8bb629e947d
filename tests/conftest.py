"""Shared fixtures: the reference numbers, small configurations."""

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples every time, on a loaded machine too.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Tests send signals to commands, which leave ignored what their parent ignores: SIGINT in a shell's background job, SIGHUP
# under nohup.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REFERENCE = Path(__file__).parent / "reference" / "meganet_reference.npz"
NAMED_COMMIT = REFERENCE.with_name("meganet_named_commit.npz")  # of the commit that the paper names


class Golden:
    """Arrays of the authors' toolbox as float64 tensors: ``golden["conv.output"]``; ``golden.leaf`` needs a gradient."""

    def __init__(self, path: Path) -> None:
        self.arrays = np.load(path)

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name].copy())

    def leaf(self, name: str) -> torch.Tensor:
        return self[name].requires_grad_()

    def names(self, prefix: str) -> list[str]:
        return [name for name in self.arrays.files if name.startswith(prefix)]


@pytest.fixture(scope="session")
def golden() -> Golden:
    return Golden(REFERENCE)


@pytest.fixture(scope="session")
def named_commit() -> Golden:
    return Golden(NAMED_COMMIT)


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Within ``tolerance`` of the expected tensor, relative to its largest entry where that is above 1."""
    assert found.shape == expected.shape
    scale = max(1.0, expected.abs().max().item())
    assert (found.detach() - expected).abs().max().item() <= tolerance * scale


@pytest.fixture(scope="session")
def close():
    return assert_close


LONGEST = (
    "test_slurm.py",
    "test_adding_a_dynamic.py",
    "test_sweeps.py",
    "test_benchmarks.py",
    "test_training_run.py",
    "test_kill_and_resume.py",
)


def pytest_collection_modifyitems(items):
    """The files that take longest begin first, so that at the end no worker waits for another."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
