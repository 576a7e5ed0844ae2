"""Atomic creation of files and folders: a temporary beside the target, fsync, then one rename.

A killed process leaves only a hidden temporary, which the next writer of the same target removes.
"""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError
from ..open_flags import UNTRUSTED

if sys.platform != "win32":
    import fcntl

SUFFIX = ".aaptvae-tmp"
KEPT = "partial"
RECORD = "record"  # beside a kept temporary: the progress of its job
ASIDE = "aside"  # the old folder, where the system cannot swap two names atomically
_NOREPLACE, _EXCHANGE = 1, 2  # flags of Linux renameat2
_unfinished: set[Path] = set()  # temporaries of this process
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextlib.contextmanager
def publish_file(path: str | os.PathLike[str], *, force: bool = False, keep: bool = False) -> Iterator[Path]:
    """Yield an empty temporary file; it becomes `path` if the block succeeds and is removed if it fails.

    With `keep` the temporary has a fixed name and survives a failure, so that the next call can continue it.
    `InputError` if `path` exists (without `force`), is no regular file, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file to write")
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is not a regular file: use - to write to stdout")
    with _published(target, force, _touch, keep) as temporary:
        yield temporary


@contextlib.contextmanager
def publish_folder(path: str | os.PathLike[str], *, force: bool = False, marker: str = "manifest.json") -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes `path` if the block succeeds and is removed if it fails.

    `force` replaces an existing folder as a whole, but only one that is empty or holds `marker`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file: name a folder to write")
    if force and target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise InputError(f"{target} holds no {marker}, so --force does not replace it: name another folder")
    with _published(target, force, Path.mkdir, keep=False) as temporary:
        yield temporary


def abandon() -> None:
    """Remove unfinished temporaries of this process, before `os._exit`."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            _remove(temporary)


@contextlib.contextmanager
def _published(target: Path, force: bool, make: Callable[[Path], None], keep: bool) -> Iterator[Path]:
    if not os.path.lexists(target):
        with contextlib.suppress(OSError):
            _beside(target, ASIDE).rename(target)  # a process was killed between two renames
    refuse_existing(target, force)
    if not keep and not force and _beside(target, KEPT).exists() and _beside(target, RECORD).exists():
        raise InputError(
            f"{target} has finished rows of an interrupted job: add --resume to continue after them, or --force to start again"
        )
    done = False
    with _explained(target):
        _sweep(target, keep)
        temporary, lock = _claim(target, make, keep)
    try:
        with _explained(target, only=_FULL):
            yield temporary
        with _explained(target):
            _sync(temporary)
            _rename(temporary, target, force)
            done = True
            _sync_entry(target.parent)
    finally:
        if lock is not None:
            os.close(lock)
        if done or not keep:
            _remove(temporary)  # after a swap, the temporary holds the old target
        _unfinished.discard(temporary)


def refuse_existing(target: Path, force: bool) -> None:
    """`InputError` if `target` exists and may not be replaced, or if its folder does not exist."""
    if os.path.lexists(target) and not force:
        raise InputError(f"{target} exists: add --force to replace it, or name another output")
    if not target.parent.is_dir():
        raise InputError(f"{target} cannot be written: {target.parent} is not a folder, make it first")


@contextlib.contextmanager
def _explained(target: Path, only: set[int] | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error


def _touch(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | UNTRUSTED, 0o666)
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    if not regular:
        raise InputError(f"{path} is not a regular file and is needed for a temporary: remove it")


def _claim(target: Path, make: Callable[[Path], None], keep: bool) -> tuple[Path, int | None]:
    """Create a temporary and lock it, so that no other process removes it."""
    while True:
        temporary = _beside(target, KEPT if keep else secrets.token_hex(4))
        if not keep:
            _unfinished.add(temporary)
        make(temporary)
        lock = _lock(temporary)
        if lock is not None and not _same(lock, temporary):  # removed by another process between the two calls
            os.close(lock)
        elif lock is None and keep and sys.platform != "win32":
            raise InputError(f"{target} is being written by another process: wait for it, or name another output")
        else:
            return temporary, lock


def _lock(path: Path) -> int | None:
    """Lock `path`; None if another process holds the lock (Windows needs none: open files cannot be removed)."""
    if sys.platform == "win32":
        return None
    descriptor = os.open(path, os.O_RDONLY | UNTRUSTED)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sweep(target: Path, keep: bool) -> None:
    """Remove temporaries of killed writers of `target`."""
    middle = r"[0-9a-f]{8}" if keep else rf"(?:[0-9a-f]{{8}}|{KEPT}|{RECORD}|{ASIDE})"
    stale = re.compile(re.escape(f".{target.name}.") + middle + re.escape(SUFFIX))
    for left in target.parent.iterdir():
        if not stale.fullmatch(left.name):
            continue
        with contextlib.suppress(OSError):  # removed meanwhile, or owned by another user
            lock = _lock(left)
            if lock is not None:
                _remove(left)
                os.close(lock)
            elif sys.platform == "win32" and left.is_file():
                left.unlink()  # refused while it is open


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_entry(Path(folder, name))
        _sync_entry(Path(folder))
    if path.is_file():
        _sync_entry(path)


def _sync_entry(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: Path, target: Path, force: bool) -> None:
    if not force:
        if not _renameat2(temporary, target, _NOREPLACE):
            refuse_existing(target, force)
            temporary.rename(target)
    elif target.is_dir():
        if not _renameat2(temporary, target, _EXCHANGE):
            aside = target.rename(_beside(target, ASIDE))
            try:
                temporary.rename(target)
            except BaseException:
                aside.rename(target)
                raise
            _remove(aside)
    else:
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}{SUFFIX}")


def _renameat2(source: Path, target: Path, flag: int) -> bool:
    """Rename atomically without replacing the target, or swap both; False if the system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    here = ctypes.c_int(-100)  # AT_FDCWD
    if call is None or call(here, os.fsencode(source), here, os.fsencode(target), ctypes.c_uint(flag)) == 0:
        return call is not None
    if ctypes.get_errno() == errno.EEXIST:
        refuse_existing(target, force=False)
    return False
