"""Freed memory is kept while training: every step needs the same blocks again."""

import ctypes
import sys

# Of glibc's malloc.h. By default it gives freed blocks back to the kernel, which fills each page of the next ones with zeros:
# some 500 page faults a step at 128 rows of 512 features, half of the step's time.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 256 << 20  # bytes of freed memory at most
_LARGEST = 32 << 20  # of one block; larger ones still go back at once


def keep_freed_memory() -> bool:
    """Tell the C library of this process to keep freed blocks; False where it is not glibc and cannot be told."""
    if not sys.platform.startswith("linux"):
        return False
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    return tell is not None and bool(tell(_M_MMAP_THRESHOLD, _LARGEST)) and bool(tell(_M_TRIM_THRESHOLD, _KEPT))
