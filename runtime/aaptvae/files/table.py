"""The interface of every feature file: a reader or a writer of batches of rows."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..rows import Array

MAX_WIDTH = 1 << 20


class Source(NamedTuple):
    """An open file of rows: `size` in bytes, if known; `width`, if it is checked; `skip_bad` lines of text."""

    name: str
    stream: IO[bytes]
    size: int | None = None
    width: int | None = None
    skip_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of an output: `width` numbers of `dtype` per row, the number of rows if known, and names of columns."""

    width: int
    rows: int | None = None
    columns: tuple[str, ...] = ()
    dtype: npt.DTypeLike = np.float32


class RowReader(ABC):
    """N rows of D numbers in a file or a stream. `rows` is None if the number is not known before the end."""

    name: str
    width: int
    rows: int | None
    dtype: np.dtype[Any]
    stream: IO[bytes] | None = None  # closed by `close`
    bad: Sequence[str] = ()  # lines of text that were skipped so far

    @abstractmethod
    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Rows from `start` on, as new arrays [at most size, D]; `InputError` if the file is not as its header says."""

    def close(self) -> None:
        """Close the file."""
        if self.stream is not None:
            self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class RowWriter(ABC):
    """Takes batches [n, D] in order; `finish` completes the file (a header that counts rows, a footer)."""

    stream: IO[bytes]
    rows: int

    @abstractmethod
    def write(self, batch: Array) -> None:
        """Append the rows of `batch`."""

    def finish(self) -> None:  # noqa: B027 - nothing to do for text
        """Complete the file after the last row."""

    def abandon(self) -> None:  # noqa: B027
        """Called instead of `finish` after an error."""

    def settle(self) -> None:
        """Write every row to the disk (fsync)."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    @property
    def kept(self) -> bool:
        """True if an earlier writer left rows after the header that this writer has written."""
        return os.fstat(self.stream.fileno()).st_size > self.stream.tell()

    def resume(self, position: int, rows: int) -> bool:
        """Continue after `rows` rows that end at `position`; False if the file is shorter."""
        if self.stream.seek(0, os.SEEK_END) < position:
            return False
        self.stream.seek(position)
        self.stream.truncate()
        self.rows = rows
        return True


def check_table(name: str, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless `shape` has two axes and 1 to `MAX_WIDTH` columns."""
    if len(shape) != 2:
        raise InputError(f"{name} has shape {shape}; expected [rows, columns]: x[None] makes one row of a vector")
    if not 1 <= shape[1] <= MAX_WIDTH:
        raise InputError(f"{name} has shape {shape}; expected 1 to {MAX_WIDTH} columns: check how it was written")


def rebatch(pieces: Iterable[Array], size: int, start: int = 0) -> Iterator[Array]:
    """The rows of `pieces` from row `start` on, in batches of exactly `size`, the last one shorter."""
    held: list[Array] = []
    count = -start
    for whole in pieces:
        piece = whole[min(len(whole), max(0, -count)) :]
        count += len(whole) - len(piece)
        while len(piece):
            held.append(piece[: size - count])
            count += len(held[-1])
            piece = piece[len(held[-1]) :]
            if count == size:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, count = [], 0
    if held:
        yield np.concatenate(held)
