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
from .locks import UNSUPPORTED, UNTRUSTED, is_at, lock_of

SUFFIX = ".aaptvae-tmp"
KEPT = "partial"
RECORD = "record"  # beside a kept temporary: the progress of its job
ASIDE = "aside"  # the old folder, where the system cannot swap two names atomically
_NOREPLACE, _EXCHANGE = 1, 2  # flags of Linux renameat2
_unfinished: set[Path] = set()  # temporaries of this process
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_NO_FOLDER_SYNC = UNSUPPORTED | {errno.EBADF, errno.ENOTTY}  # CIFS, VirtualBox, FUSE
_NO_FOLDER_RENAME = UNSUPPORTED | {errno.EXDEV, errno.EMFILE}  # EXDEV: overlayfs, of a lower layer; EMFILE: gcsfuse


@contextlib.contextmanager
def publish_file(path: str | os.PathLike[str], *, force: bool = False, keep: bool = False) -> Iterator[Path]:
    """Yield an empty temporary file; it becomes `path` if the block succeeds and is removed if it fails.

    With `keep` the temporary has a fixed name and survives a failure, so that the next call can continue it.
    `InputError` if `path` exists (without `force`), is no regular file, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file to write")
    if Path(path).exists() and not Path(path).is_file():  # the real path of /dev/stdout names nothing if it is a pipe
        raise InputError(f"{path} is not a regular file: use - to write to stdout")
    with _published(target, force, _touch, keep) as temporary:
        yield temporary


@contextlib.contextmanager
def publish_folder(path: str | os.PathLike[str], *, force: bool = False, marker: str = "manifest.json") -> Iterator[Path]:
    """Yield an empty temporary folder; it becomes `path` if the block succeeds and is removed if it fails.

    `force` replaces an existing folder as a whole, but only one that is empty or holds `marker`. Where a file system
    renames no folders, the files are moved one by one, `marker` last: a folder without it is unfinished.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file: name a folder to write")
    if force and target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise InputError(f"{target} holds no {marker}, so --force does not replace it: name another folder")
    with _published(target, force, Path.mkdir, marker=marker) as temporary:
        yield temporary


def abandon() -> None:
    """Remove unfinished temporaries of this process, before `os._exit`."""
    for temporary in list(_unfinished):
        with contextlib.suppress(OSError):
            _remove(temporary)


@contextlib.contextmanager
def _published(
    target: Path, force: bool, make: Callable[[Path], None], keep: bool = False, marker: str | None = None
) -> Iterator[Path]:
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
            if marker is None:
                _rename_file(temporary, target, force)
            elif not _rename_folder(temporary, target, force):
                _move_files(temporary, target, force, marker)
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
    """Create a temporary and lock it, so that no other process removes it; without a lock where the system has none."""
    while True:
        temporary = _beside(target, KEPT if keep else secrets.token_hex(4))
        if not keep:
            _unfinished.add(temporary)
        make(temporary)
        lock, held = lock_of(temporary)
        if lock is not None and not is_at(lock, temporary):  # removed by another process between the two calls
            os.close(lock)
        elif held and keep:
            raise InputError(f"{target} is being written by another process: wait for it, or name another output")
        else:
            return temporary, lock


def _sweep(target: Path, keep: bool) -> None:
    """Remove temporaries of killed writers of `target`; without locks all stay, because their writers may be alive."""
    middle = r"[0-9a-f]{8}" if keep else rf"(?:[0-9a-f]{{8}}|{KEPT}|{RECORD}|{ASIDE})"
    record = re.escape(f"..{target.name}.{RECORD}{SUFFIX}.") + "[0-9a-f]{8}"  # of a kill while a record was written
    stale = re.compile(f"(?:{re.escape(f'.{target.name}.')}{middle}|{record}){re.escape(SUFFIX)}")
    for left in target.parent.iterdir():
        if not stale.fullmatch(left.name):
            continue
        with contextlib.suppress(OSError):  # removed meanwhile, or owned by another user
            lock, _ = lock_of(left)
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
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _rename_file(temporary: Path, target: Path, force: bool) -> None:
    if force:
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    elif not _renameat2(temporary, target, _NOREPLACE):
        refuse_existing(target, force)
        temporary.rename(target)


def _rename_folder(temporary: Path, target: Path, force: bool) -> bool:
    """Give the folder its final name; False if the file system renames no folders, and nothing has changed."""
    replace = force and target.is_dir()
    if _renameat2(temporary, target, _EXCHANGE if replace else _NOREPLACE):
        return True
    refuse_existing(target, force)
    try:
        aside = target.rename(_beside(target, ASIDE)) if replace else None
        try:
            temporary.rename(target)
        except BaseException:
            if aside is not None:
                aside.rename(target)
            raise
    except OSError as error:
        if error.errno not in _NO_FOLDER_RENAME:
            raise
        return False
    if aside is not None:
        _remove(aside)
    return True


def _move_files(temporary: Path, target: Path, force: bool, marker: str) -> None:
    """Move every file to `target`, `marker` last, so that at no time it is with files of another writing."""
    if force and target.is_dir():
        (target / marker).unlink(missing_ok=True)
        for old in list(target.iterdir()):
            _remove(old)
    target.mkdir(exist_ok=force)
    files = [path for path in temporary.rglob("*") if not path.is_dir()]
    for path in sorted(files, key=lambda path: path == temporary / marker):
        place = target / path.relative_to(temporary)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    _sync(target)


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
