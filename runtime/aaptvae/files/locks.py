"""Locks of files and folders, which end with their process."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

if sys.platform != "win32":
    import fcntl

# Of `os.open`, for files that other users may have placed: no symbolic link, no waiting on a pipe.
UNTRUSTED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_LOCKS = UNSUPPORTED | {errno.ENOLCK, errno.EBADF, errno.EISDIR}  # EBADF: NFS locks no file that is open for reading


def lock_of(path: Path) -> tuple[int | None, bool]:
    """The descriptor that locks `path`, None if it cannot be locked; and whether another process holds the lock.

    Windows needs no lock, because open files cannot be removed there.
    """
    if sys.platform == "win32":
        return None, False
    descriptor = os.open(path, os.O_RDONLY | UNTRUSTED)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return None, error.errno not in _NO_LOCKS
    return descriptor, False


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one at `path`, which may have been removed or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Write `folder` over a long time; `InputError` if another process does so already, where the system has locks.

    The lock is a hidden file beside the folder, which is removed at the end; without the right to make it there is no lock.
    """
    target = Path(os.path.realpath(folder))
    place = target.with_name(f".{target.name}.lock")
    lock, held = None, False
    with contextlib.suppress(OSError):
        while lock is None or not is_at(lock, place):  # removed by another process after it was opened
            if lock is not None:
                os.close(lock)
            os.close(os.open(place, os.O_RDWR | os.O_CREAT | UNTRUSTED, 0o666))
            lock, held = lock_of(place)
            if lock is None:
                break
    if held:
        raise InputError(f"{folder} is being written by another process: wait for it, or name another folder")
    try:
        yield
    finally:
        if lock is not None:
            place.unlink(missing_ok=True)
            os.close(lock)
