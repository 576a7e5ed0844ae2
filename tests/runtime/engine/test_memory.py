"""Memory a process may use, from a tree of /proc and /sys files as containers have them."""

import math
from pathlib import Path

import pytest
from test_cpus import tree

from aaptvae.engine.memory import usable_memory

FREE = {"proc/meminfo": "MemTotal:  9 kB\nMemAvailable:    4000 kB\n"}
V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "4:memory:/m\n"}
STAT = "anon 5\ninactive_file 500000\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        (FREE, 4_096_000),
        (FREE | V2 | {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "1\n"}, 4_096_000),
        (V2 | {"sys/fs/cgroup/a/memory.max": "3000000\n", "sys/fs/cgroup/a/memory.current": "1000000\n"}, 2_000_000),
        (
            V2
            | {
                "sys/fs/cgroup/a/b/memory.max": "3000000\n",
                "sys/fs/cgroup/a/b/memory.current": "1000000\n",
                "sys/fs/cgroup/a/b/memory.stat": STAT,
            },
            2_500_000,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "700000\n",
                "sys/fs/cgroup/memory/m/memory.usage_in_bytes": "800000\n",
            },
            0,
        ),
        (
            {
                "proc/self/limits": "Max address space         40960000             unlimited            bytes     \n",
                "proc/self/statm": "1000 1 1\n",
            },
            40_960_000 - 4_096_000,
        ),
        (
            {"proc/self/limits": "Max address space   unlimited   unlimited   bytes\n", "proc/meminfo": "MemAvailable: ?\n"},
            math.inf,
        ),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    assert usable_memory(tree(tmp_path, files)) == expected


def test_this_process_may_use_some() -> None:
    assert usable_memory() > 1 << 20
