"""How many CPUs this process may really use, by affinity mask and cgroup quota, and whether they multiply bytes.

Without pathlib, whose import takes 3 ms of every cold start.
"""

import math
import os
from collections.abc import Iterator


def usable_cpus(root: str | os.PathLike[str] = "/") -> int:
    """CPUs this process may keep busy, at least 1; `root` is where /proc and /sys are mounted."""
    return max(1, min([_affinity(), *_quotas(root)]))


def multiplies_bytes(root: str | os.PathLike[str] = "/") -> bool:
    """True if the CPU accumulates products of bytes in 32 bits (VNNI); older x86 may saturate at 16 bits."""
    flags = next((line for line in words(os.path.join(root, "proc/cpuinfo"), "\n") if line.startswith("flags")), "")
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags.split())


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: str | os.PathLike[str]) -> Iterator[int]:
    """Whole CPUs of every CFS quota above this process."""
    for level in cgroups("cpu", root):
        quota = words(f"{level}/cpu.max") or [*words(f"{level}/cpu.cfs_quota_us"), *words(f"{level}/cpu.cfs_period_us")]
        if len(quota) == 2 and quota[0].isdigit() and int(quota[1]) > 0:  # "max" and -1 mean no quota
            yield math.ceil(int(quota[0]) / int(quota[1]))


def cgroups(controller: str, root: str | os.PathLike[str] = "/") -> Iterator[str]:
    """Folders of the cgroups of this process that have a controller, each from its own to the root, v2 and v1."""
    for line in words(os.path.join(root, "proc/self/cgroup"), "\n"):
        number, controllers, group = (*line.split(":", 2), "", "")[:3]
        if number == "0":
            folder = os.path.join(root, "sys/fs/cgroup")
        elif controller in controllers.split(","):
            folder = os.path.join(root, "sys/fs/cgroup", controller)
        else:
            continue
        level = os.path.join(folder, group.strip("/")).rstrip("/")
        while level.startswith(folder):
            yield level
            level = os.path.dirname(level)


def words(path: str, separator: str | None = None) -> list[str]:
    """The words of a file, none if it cannot be read."""
    try:
        with open(path) as file:
            return file.read().split(separator)
    except OSError:
        return []
