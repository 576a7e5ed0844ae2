"""Memory a process may use, from a tree of /proc and /sys files as containers have them."""

import math
from pathlib import Path

import numpy as np
import pytest
from test_cpus import tree

import aaptvae
from aaptvae.engine.memory import require_memory, usable_memory

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


def test_a_result_too_large_is_refused(vae: aaptvae.VAE) -> None:
    """Before the first row is computed; numpy alone would hand out pages that do not exist."""
    wanted = r"a result of 1,000,000,000,000 rows of 5 numbers needs about 20000\.0 GB of memory, .*: ask for fewer rows"
    with pytest.raises(aaptvae.InputError, match=wanted):
        vae.sample(10**12)


def test_counts_above_the_memory_are_refused(vae: aaptvae.VAE, x: np.ndarray) -> None:
    with pytest.raises(aaptvae.InputError, match="ask for fewer samples"):
        vae.log_likelihood(x, samples=10**12)
    with pytest.raises(aaptvae.InputError, match="ask for fewer steps"):
        vae.interpolate(x, x, steps=10**12)


def test_the_need_is_compared_with_what_is_left() -> None:
    require_memory("opening", 1e9, "free memory", usable=2e9)
    with pytest.raises(aaptvae.InputError, match=r"opening needs about 3\.0 GB of memory, and .* 2\.0 GB: free memory"):
        require_memory("opening", 3e9, "free memory", usable=2e9)
