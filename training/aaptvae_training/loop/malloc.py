"""glibc's malloc keeps freed memory during training, because every step allocates the same blocks again."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# From glibc's malloc.h. By default large freed blocks return to the kernel, which fills every page of the next ones with
# zeros: about 500 page faults per step at 128 rows of 512 features, half of the time of a step.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_DEFAULT = 128 << 10
_KEPT = 256 << 20  # bytes of freed memory that stay at the end of the heap
_LARGEST = 32 << 20  # bytes of a block that is kept; larger ones return to the kernel at once


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Within the block malloc keeps freed memory, and returns it afterwards; yields False if the C library is not glibc."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    mallopt, trim = getattr(library, "mallopt", None), getattr(library, "malloc_trim", None)
    if mallopt is None or trim is None:
        yield False
        return
    accepted = bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT))
    try:
        yield accepted
    finally:
        mallopt(_M_MMAP_THRESHOLD, _DEFAULT)
        mallopt(_M_TRIM_THRESHOLD, _DEFAULT)
        trim(0)
