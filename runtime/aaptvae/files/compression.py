"""Compressed files as streams of bytes: .gz .bz2 .xz by the standard library, .zst by Python 3.14 or pyarrow."""

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, Any

from ..errors import InputError, MissingDependencyError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")


class _Inflated(io.RawIOBase):
    """The decompressed bytes; damage is an `InputError`."""

    def __init__(self, name: str, inner: Any, packed: IO[bytes]) -> None:
        self._name, self._inner, self._packed = name, inner, packed

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._inner.seekable())

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise InputError(f"{self._name} cannot be decompressed ({str(error)[:100]}): compress it again") from None
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self._inner.tell())

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._packed.close()
        super().close()


def decompress(name: str, stream: IO[bytes], suffix: str) -> IO[bytes]:
    """The content of a compressed file; `InputError` for damage, `MissingDependencyError` without a reader of zstd."""
    if suffix == ".zst":
        inner = _zstd(name, stream)
    else:
        opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[suffix]
        inner = opener(stream)
    return io.BufferedReader(_Inflated(name, inner, stream))


def _zstd(name: str, stream: IO[bytes]) -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # noqa: PLC0415 - new in Python 3.14
    except ImportError:
        try:
            import pyarrow  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingDependencyError(f"{name} needs pyarrow: pip install pyarrow, or decompress it") from error
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd")
    return zstd.open(stream)
