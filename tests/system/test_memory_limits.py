"""What a control group allows, read from files laid out as the kernel lays them out."""

import torch

from pdenet_repro.system import device
from pdenet_repro.system.memory_limits import memory_limits

MIB = 2**20


def lay_out(root, membership, groups):
    """``groups``: of each folder below sys/fs/cgroup, its files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for folder, files in groups.items():
        place = root / "sys/fs/cgroup" / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (place / name).write_text(f"{content}\n")


def version_2(limit, used=0, inactive=0):
    return {"memory.max": limit, "memory.current": used, "memory.stat": f"anon 5\ninactive_file {inactive}"}


def version_1(limit, used=0, inactive=0):
    stat = f"inactive_file 1\ntotal_inactive_file {inactive}"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": stat}


def test_the_groups_above_limit_too(tmp_path):
    groups = {"a/job": version_2("max", 5), "a": version_2(900, 300, 100), "": {}, "other": version_2(1)}
    lay_out(tmp_path, "0::/a/job\n", groups)
    assert memory_limits(tmp_path) == [(900, 200)]


def test_the_first_version_of_the_interface(tmp_path):
    groups = {
        "memory/slurm/job": version_1(800, 50),
        "memory/slurm": version_1(2**63 - 4096, 70),
        "memory": version_1(7000),
    }
    lay_out(tmp_path, "5:cpu:/x\n4:memory:/slurm/job\n0::/\n", groups)
    assert memory_limits(tmp_path) == [(800, 50), (2**63 - 4096, 70), (7000, 0)]


def test_in_a_container_the_path_is_the_hosts(tmp_path):
    lay_out(tmp_path, "4:memory:/docker/8c1f\n", {"memory": version_1(800, 50, 20)})
    assert memory_limits(tmp_path) == [(800, 30)]


def test_no_control_groups(tmp_path):
    assert memory_limits(tmp_path) == []


def test_the_device_has_no_more_than_the_group_allows(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(device, "memory_limits", lambda: [(2**62, 0), (900 * MIB, 895 * MIB)])
    assert device.total_memory(cpu) == 900 * MIB
    assert device.available_memory(cpu) == 5 * MIB
    monkeypatch.setattr(device, "memory_limits", lambda: [(900 * MIB, 1000 * MIB)])
    assert device.available_memory(cpu) == 0
    monkeypatch.setattr(device, "memory_limits", lambda: [(2**62, 0)])
    assert 900 * MIB < device.total_memory(cpu) < 2**62
