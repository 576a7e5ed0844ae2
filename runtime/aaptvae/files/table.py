"""What every feature file gives and takes: batches of rows. The formats are in the modules beside this one."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from ..errors import InputError
from ..rows import Array

MAX_WIDTH = 1 << 20


class RowReader(ABC):
    """N rows of D numbers in a file or a stream. `rows` is None where only the end will tell."""

    name: str
    width: int
    rows: int | None
    dtype: np.dtype[Any]
    stream: IO[bytes] | None = None  # closed by `close`
    bad: Sequence[str] = ()  # lines of text that were skipped so far

    @abstractmethod
    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Rows from `start` on, as new arrays [at most size, D]; `InputError` where the file breaks its word."""

    def close(self) -> None:
        """Let go of the file."""
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

    def finish(self) -> None:  # noqa: B027 - text has nothing to complete
        """Complete the file after the last row."""

    def abandon(self) -> None:  # noqa: B027
        """Leave the file as it is: it will not be finished."""

    def settle(self) -> None:
        """Bring every row to the disk."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    @property
    def kept(self) -> bool:
        """Whether an earlier writer left rows behind the beginning that this one has made."""
        return os.fstat(self.stream.fileno()).st_size > self.stream.tell()

    def resume(self, position: int, rows: int) -> bool:
        """Go on after `rows` rows that end at `position`; False if the file holds less than that."""
        if self.stream.seek(0, os.SEEK_END) < position:
            return False
        self.stream.seek(position)
        self.stream.truncate()
        self.rows = rows
        return True


def check_table(name: str, shape: tuple[int, ...]) -> None:
    """`InputError` unless this is the shape of a table: two axes, at least one column."""
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
