"""Where the bytes of a bundle come from: a folder, a .zip, bytes in memory, or the Hugging Face Hub.

Without pathlib, whose import takes 3 ms of every cold start.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from ..errors import BundleError, InputError, refuse_address
from ..hub import SCHEME, Snapshot
from .manifest import MANIFEST

BUNDLE_LIMIT = 1 << 30
_ZIP_RATIO, _ZIP_TEXT = 4, 16 << 20  # trained weights compress little: a higher ratio means a zip bomb

_LONGEST_PATH = 4096

Place = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
Read = Callable[[str, int], bytes]

# Links are followed: caches of packages and of the Hub consist of them. No waiting on a pipe.
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class OpenedBundle(NamedTuple):
    """An opened bundle: `read(name, limit)` gives a file's bytes; `again()`, after reading, opens the same bundle later."""

    read: Read
    again: Callable[[], str | bytes]
    label: str


@contextmanager
def opened(place: Place) -> Iterator[OpenedBundle]:
    """The files at `place`; `BundleError` if they cannot be read, `InputError` if `place` is none of the accepted types."""
    if isinstance(place, str | os.PathLike) and isinstance(path := os.fspath(place), str):
        if path.startswith(SCHEME):
            snapshot = Snapshot(path)
            with _explained(path):
                yield OpenedBundle(
                    lambda name, limit: _read(snapshot.file(name, limit), None, limit), lambda: snapshot.address, path
                )
        else:
            refuse_address(path, "expected a folder, a .zip or hf://OWNER/NAME: fetch it first")
            path = _absolute(path)
            with _explained(path), _folder_or_zip(path) as read:
                yield OpenedBundle(read, lambda: path, path)
    else:
        data = _in_memory(place)
        label = f"the zip of {len(data)} bytes"
        yield OpenedBundle(_zip(data, label), lambda: data, label)


def _absolute(path: str) -> str:
    """An absolute path, because a pickled VAE may be loaded from another folder."""
    try:
        return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    except OSError:
        raise BundleError(f"cannot read {path}: the working directory is gone: give an absolute path") from None


def _in_memory(place: object) -> bytes:
    if isinstance(place, os.PathLike):
        place = os.fspath(place)
    if isinstance(place, bytes | bytearray | memoryview):
        data: object = bytes(place)
        if len(place) <= _LONGEST_PATH and os.path.exists(bytes(place)):
            raise InputError(f"bundle is the path {bytes(place)!r} as bytes: expected text: pass {os.fsdecode(bytes(place))!r}")
    elif hasattr(place, "read"):
        data = place.read(BUNDLE_LIMIT + 1)
    else:
        data = None
    if not isinstance(data, bytes):
        kind = "a file opened as text" if isinstance(data, str) else f"a {type(place).__name__}"
        remedy = ": pass the path that it was loaded from" if hasattr(place, "manifest") else ""
        raise InputError(
            f"bundle is {kind}: expected a path, hf://OWNER/NAME, the bytes of a .zip, or a .zip opened with 'rb'{remedy}"
        )
    if len(data) > BUNDLE_LIMIT:
        raise BundleError(f"the zip has more than {BUNDLE_LIMIT} bytes: expected {BUNDLE_LIMIT} at most")
    return data


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except BundleError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        if is_run(path):
            raise BundleError(
                f"{path} is a training run: expected a bundle: make one with aaptvae export {path} -o BUNDLE"
            ) from None
        why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
        raise BundleError(
            f"cannot read {path} ({why}): expected a bundle, a folder or a .zip with {MANIFEST} and the files it lists"
        ) from None


def is_run(path: str) -> bool:
    """Whether the folder `path` is that of a training, finished or not, which keeps the rows that it left out."""
    return os.path.isfile(os.path.join(path, "heldout.safetensors")) and not os.path.exists(os.path.join(path, MANIFEST))


@contextmanager
def _folder_or_zip(path: str) -> Iterator[Read]:
    if not os.path.isdir(path):
        if os.path.basename(path) == MANIFEST:
            raise BundleError(f"{path} is a file of a bundle: give its folder, {os.path.dirname(path)}")
        data = _read(path, None, BUNDLE_LIMIT)
        if data[:2] != b"PK" and not path.endswith(".zip"):
            raise BundleError(f"{path} is no bundle: expected a folder or a .zip that aaptvae export wrote: check the path")
        yield _zip(data, os.path.basename(path))
    elif os.open in os.supports_dir_fd:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield lambda name, limit: _read(name, folder, limit)
        finally:
            os.close(folder)
    else:
        yield lambda name, limit: _read(os.path.join(path, name), None, limit)


def _zip(data: bytes, label: str) -> Read:
    from .zips import unzip  # noqa: PLC0415 (6 ms of a cold start)

    members = unzip(data, label, min(BUNDLE_LIMIT, _ZIP_RATIO * len(data) + _ZIP_TEXT))
    return lambda name, limit: _member(members, name, limit)


def _member(members: dict[str, bytes], name: str, limit: int) -> bytes:
    if name not in members:
        raise BundleError(f"the zip has no {name}: it holds {', '.join(members)}")
    if len(members[name]) > limit:
        raise BundleError(f"{name} has {len(members[name])} bytes: expected {limit} at most")
    return members[name]


def _read(path: str, folder: int | None, limit: int) -> bytes:
    """The bytes of a regular file, opened once; `BundleError` for anything else, which is not opened at all."""
    _check_regular(os.stat(path, dir_fd=folder), path)  # opening a device or a pipe can have effects
    descriptor = os.open(path, _OPEN, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        _check_regular(status, path)  # another file may have taken the name meanwhile
        if status.st_size > limit:
            raise BundleError(f"{os.path.basename(path)} has {status.st_size} bytes: expected {limit} at most: fetch it again")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size)  # files of /proc have the size 0 and endless content
    finally:
        os.close(descriptor)


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(
            f"{os.path.basename(path)} is a folder, a device, a pipe or a socket, or a link to one: "
            "expected a regular file or a link to one: fetch the bundle again"
        )
