"""The device and its memory, where a person or a library words things otherwise."""

import os
from dataclasses import replace

import pytest
import torch

from pdenet_repro import compose
from pdenet_repro.runs.run import out_of_memory
from pdenet_repro.system import device
from pdenet_repro.system.errors import InvalidConfig


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


def on_gpus(monkeypatch, tmp_path, count):
    """Have torch tell of so many GPUs; what is set for them is returned."""
    chosen = []
    monkeypatch.setattr(device, "_claimed", {})
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: None)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda where: None)
    return chosen


@pytest.mark.parametrize(
    ("name", "found"), [("cuda", "cuda:0"), ("auto", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")]
)
def test_every_way_to_name_a_device(monkeypatch, tmp_path, name, found):
    chosen = on_gpus(monkeypatch, tmp_path, 2)
    where = device.set_up(replace(compose(), device=name))
    assert str(where) == found
    assert chosen == [where] * found.startswith("cuda")


def test_a_gpu_that_is_not_here_is_refused(monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, 2)
    with pytest.raises(InvalidConfig, match=r"device=cuda:2: must be one of the 2 GPUs"):
        device.set_up(replace(compose(), device="cuda:2"))
    on_gpus(monkeypatch, tmp_path, 0)
    with pytest.raises(InvalidConfig, match=r"device=cuda: .*must be device=cpu"):
        device.set_up(replace(compose(), device="cuda"))
    assert str(device.set_up(compose())) == "cpu"


def test_two_processes_claim_two_gpus(monkeypatch, tmp_path):
    on_gpus(monkeypatch, tmp_path, 2)
    first = device.set_up(compose())
    monkeypatch.setattr(device, "_claimed", {})  # another process; the lock of the first is still held
    assert [str(first), str(device.set_up(compose()))] == ["cuda:0", "cuda:1"]


def test_a_user_without_a_name_has_a_number(monkeypatch):
    def no_name():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(device.getpass, "getuser", no_name)
    assert device._user() == str(os.getuid())
