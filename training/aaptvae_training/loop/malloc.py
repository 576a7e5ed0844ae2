"""Freed memory is kept while training: every step needs the same blocks again."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# Of glibc's malloc.h. By default it gives freed blocks back to the kernel, which fills each page of the next ones with zeros:
# some 500 page faults a step at 128 rows of 512 features, half of the step's time.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_DEFAULT = 128 << 10
_KEPT = 256 << 20  # bytes of freed memory at the end of the heap
_LARGEST = 32 << 20  # of one block; larger ones still go back at once


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Within, the C library keeps freed blocks, and gives them back after; False where it is not glibc and cannot be told."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    tell, trim = getattr(library, "mallopt", None), getattr(library, "malloc_trim", None)
    if tell is None or trim is None:
        yield False
        return
    told = bool(tell(_M_MMAP_THRESHOLD, _LARGEST)) and bool(tell(_M_TRIM_THRESHOLD, _KEPT))
    try:
        yield told
    finally:
        tell(_M_MMAP_THRESHOLD, _DEFAULT)
        tell(_M_TRIM_THRESHOLD, _DEFAULT)
        trim(0)
