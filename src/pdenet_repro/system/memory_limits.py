"""Reads the memory limits of Linux control groups, with which SLURM and containers allow a job less than the machine has."""

import re
from collections.abc import Iterator
from pathlib import Path

# For each version of the interface: the files with limit and use of a group, and the line of memory.stat with the pages that
# can be freed (Linux: admin-guide/cgroup-v1/memory.rst, admin-guide/cgroup-v2.rst).
FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", r"^total_inactive_file (\d+)"),
    2: ("memory.max", "memory.current", r"^inactive_file (\d+)"),
}


def memory_limits(root: Path = Path("/")) -> list[tuple[int, int]]:
    """Return limit and use in bytes of this process's control group and of each group above it that has a limit.

    Pages of files that were not read lately do not count as used, since the kernel frees them when memory is needed. ``root``:
    the root of the file system, another one in tests.
    """
    found = []
    for version, mount, path in _memberships(root):
        limit_file, used_file, evictable = FILES[version]
        group = mount / path.lstrip("/")
        # in a container the path can be the host's, and lead nowhere; the mount itself is then the container's group
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(mount))):
            try:
                limit, used = int((folder / limit_file).read_text()), int((folder / used_file).read_text())
                old = re.search(evictable, (folder / "memory.stat").read_text(), re.MULTILINE)
            except (OSError, ValueError):  # not there, or "max"
                continue
            found.append((limit, max(0, used - int(old[1]) if old else used)))
    return found


def _memberships(root: Path) -> Iterator[tuple[int, Path, str]]:
    """Yield the version of the interface, where its groups are mounted, and the path of this process's group there."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield 1, root / "sys/fs/cgroup/memory", path
        elif (number, controllers) == ("0", ""):
            yield 2, root / "sys/fs/cgroup", path
