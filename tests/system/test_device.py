"""The device and its memory, where a person or a library words things otherwise."""

import os

import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.runs.run import out_of_memory
from pdenet_repro.system import device


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["python", "pytorch", "cpu", "driver", "cublas"],
)
def test_too_little_memory_is_told_from_other_errors(error):
    said = str(out_of_memory(error, compose("schedule.batch_size=64")))
    assert "schedule.batch_size=64" in said
    assert "network.memory=recompute" in said
    assert out_of_memory(RuntimeError("shapes do not match"), compose()) is None


@pytest.mark.parametrize(
    ("seen", "given", "found"),
    [(None, "", None), ("2,3", "", "2,3"), (None, "0", "0"), ("2,3", "1", "1")],
    ids=["all", "some", "chosen of all", "chosen of some"],
)
def test_jobs_see_the_gpus_of_the_command(monkeypatch, seen, given, found):
    """submitit's local executor gives its jobs an empty CUDA_VISIBLE_DEVICES, or the GPUs it was told to choose."""
    monkeypatch.setattr(os, "environ", {} if seen is None else {"CUDA_VISIBLE_DEVICES": seen})
    device.show_gpus_to_jobs()
    os.environ["CUDA_VISIBLE_DEVICES"] = given
    device.see_shown_gpus()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == found


def test_without_such_a_command_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(os, "environ", {"CUDA_VISIBLE_DEVICES": ""})
    device.see_shown_gpus()
    assert os.environ == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_user_without_a_name_has_a_number(monkeypatch):
    def no_name():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(device.getpass, "getuser", no_name)
    assert device._user() == str(os.getuid())
