"""How much memory this process may still use: free memory of the machine, limits of its cgroups, and its own limit."""

import math
import os
from collections.abc import Iterator

from ..errors import InputError
from ..rows import Rows, as_output
from .cpus import cgroups, words

_PAGE = 4096
_SMALL = 1 << 26  # bytes; less is not compared with the limits, whose files take a fraction of a millisecond to read


def require_memory(stage: str, needed: float, remedy: str, usable: float | None = None) -> None:
    """`InputError` for a stage that needs more bytes than the `usable` ones, by default those the process may use."""
    if needed < _SMALL and usable is None:
        return
    usable = usable_memory() if usable is None else usable
    if needed > usable:
        raise InputError(
            f"{stage} needs about {needed / 1e9:.1f} GB of memory, and this process may use {usable / 1e9:.1f} GB: {remedy}"
        )


def new_output(out: Rows | None, rows: int, width: int, *others: object) -> Rows:
    """`as_output`; `InputError` for a new array [rows, width] that does not fit into the memory."""
    if out is None and 4 * rows * width >= _SMALL:  # no words for one row, whose time they would add to
        require_memory(f"a result of {rows:,} rows of {width:,} numbers", 4.0 * rows * width, "ask for fewer rows at a time")
    return as_output(out, rows, width, *others)


def usable_memory(root: str | os.PathLike[str] = "/") -> float:
    """Bytes that this process may allocate beside those it has; infinite where the system does not say.

    Pages of files count as free, because the kernel drops them. `root` is where /proc and /sys are mounted.
    """
    return max(0.0, min([math.inf, *_free(root), *_cgroup_limits(root), *_own_limit(root)]))


def _free(root: str | os.PathLike[str]) -> Iterator[float]:
    for line in words(f"{root}/proc/meminfo", "\n"):
        name, _, value = line.partition(":")
        if name == "MemAvailable" and value.split()[:1] and value.split()[0].isdigit():
            yield 1024.0 * int(value.split()[0])


def _cgroup_limits(root: str | os.PathLike[str]) -> Iterator[float]:
    """Bytes left in every memory cgroup above this process, v2 and v1; "max" and v1's huge number mean no limit."""
    for level in cgroups("memory", root):
        for limit, used, pages in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            found = [*words(f"{level}/{limit}"), *words(f"{level}/{used}")]
            if len(found) == 2 and all(value.isdigit() for value in found):
                yield float(int(found[0]) - int(found[1]) + _reclaimable(f"{level}/memory.stat", pages))


def _reclaimable(path: str, name: str) -> int:
    """Bytes of a cgroup's file pages that were not used lately."""
    fields = (line.split() for line in words(path, "\n"))
    return next((int(field[1]) for field in fields if len(field) == 2 and field[0] == name and field[1].isdigit()), 0)


def _own_limit(root: str | os.PathLike[str]) -> Iterator[float]:
    """Bytes of address space left by `ulimit -v`."""
    for line in words(f"{root}/proc/self/limits", "\n"):
        if line.startswith("Max address space") and line.split()[3].isdigit():
            size = words(f"{root}/proc/self/statm")
            yield float(int(line.split()[3]) - (_PAGE * int(size[0]) if size and size[0].isdigit() else 0))
