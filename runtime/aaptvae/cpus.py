"""How many CPUs this process may really use, by affinity mask and cgroup quota, and whether they multiply bytes."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs this process may keep busy, at least 1; `root` is where /proc and /sys are mounted."""
    return max(1, min([_affinity(), *_quotas(root)]))


def multiplies_bytes(root: Path = Path("/")) -> bool:
    """True if the CPU is known to add products of bytes in 32 bits at once (VNNI), where older x86 may saturate."""
    try:
        with (root / "proc/cpuinfo").open() as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags.split())


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """Whole CPUs of every CFS quota above this process: each cgroup from its own to the root, v2 and v1."""
    for line in _words(root / "proc/self/cgroup", "\n"):
        number, controllers, group = (*line.split(":", 2), "", "")[:3]
        if number == "0":
            folder = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            folder = root / "sys/fs/cgroup/cpu"
        else:
            continue
        inner = folder / group.strip("/")
        for level in (inner, *inner.parents):
            if level.is_relative_to(folder):
                quota = _words(level / "cpu.max") or [
                    *_words(level / "cpu.cfs_quota_us"), *_words(level / "cpu.cfs_period_us")]
                if len(quota) == 2 and quota[0].isdigit() and int(quota[1]) > 0:  # "max" and -1 mean no quota
                    yield math.ceil(int(quota[0]) / int(quota[1]))


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text().split(separator)
    except OSError:
        return []
