"""The interface of every feature file: a reader or a writer of batches of rows."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..rows import Array
from .reading import Reading

MAX_WIDTH = 1 << 20


class Source(NamedTuple):
    """An open file of rows: `size` in bytes, if known, and how it is read."""

    name: str
    stream: IO[bytes]
    size: int | None = None
    reading: Reading = Reading()


@dataclass(frozen=True)
class Batch:
    """Rows [n, D] and, by column, the values [n] that pass through beside them.

    `problems` [n] say of each row why it cannot be read, or None; the numbers of such a row are NaN.
    """

    values: Array
    ids: tuple[Array, ...] = ()
    problems: Array | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | Array) -> "Batch":
        problems = None if self.problems is None else self.problems[rows]
        return Batch(self.values[rows], tuple(column[rows] for column in self.ids), problems)

    @staticmethod
    def joined(parts: Sequence["Batch"]) -> "Batch":
        """The rows of all parts."""
        ids = zip(*(part.ids for part in parts), strict=True)
        said, problems = [part.problems for part in parts], None
        if any(each is not None for each in said):
            none = (np.full(len(part), None) for part in parts)
            problems = np.concatenate([each if each is not None else no for each, no in zip(said, none, strict=True)])
        return Batch(np.concatenate([part.values for part in parts]), tuple(np.concatenate(column) for column in ids), problems)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of an output: `width` numbers of `dtype` per row, the number of rows if known, and names of columns.

    Columns called `ids` come before them; they hold values of any kind, of `id_types` (Arrow's) if known.
    """

    width: int
    rows: int | None = None
    columns: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    id_types: tuple[Any, ...] = ()
    dtype: npt.DTypeLike = np.float32


class RowReader(ABC):
    """N rows of D numbers in a file or a stream. `rows` is None if the number is not known before the end.

    `columns` are the names of the numbers, if they have names; `ids` those of the columns that pass through.
    """

    name: str
    width: int
    rows: int | None
    dtype: np.dtype[Any]
    stream: IO[bytes] | None = None  # closed by `close`
    columns: tuple[str, ...] | None = None
    ids: tuple[str, ...] = ()
    id_types: tuple[Any, ...] = ()  # of Arrow, in the formats that have them
    bad: Sequence[str] = ()  # lines that are no text, which `skip_bad` leaves out: no row stands for them
    notes: tuple[str, ...] = ()  # how the file is read, where that was found out from its content
    typed: bool = True  # values that pass through have types; in csv all are text

    @abstractmethod
    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Rows from `start` on, as new arrays [at most size, D]; `InputError` if the file is not as its header says."""

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """`batches` with the columns that pass through; with `skip_bad`, bad rows stay in their places, with their problems."""
        return map(Batch, self.batches(size, start))

    def close(self) -> None:
        """Close the file."""
        if self.stream is not None:
            self.stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class RowWriter(ABC):
    """Takes batches [n, D] in order; `write_end` completes the file (a header that counts rows, a footer)."""

    stream: IO[bytes]
    rows: int

    @abstractmethod
    def write(self, batch: Array, ids: Sequence[Array] = ()) -> None:
        """Append the rows of `batch`, with the columns that pass through."""

    def write_end(self) -> None:  # noqa: B027 - nothing to do for text
        """Complete the file after the last row."""

    def abandon(self) -> None:  # noqa: B027
        """Called instead of `write_end` after an error."""

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
        remedy = "x[None] makes one row of a vector" if len(shape) < 2 else "x.reshape(len(x), -1) makes a row of each entry"
        raise InputError(f"{name} has shape {shape}; expected [rows, columns]: {remedy}")
    if not 1 <= shape[1] <= MAX_WIDTH:
        raise InputError(f"{name} has shape {shape}; expected 1 to {MAX_WIDTH} columns: check how it was written")


Piece = TypeVar("Piece", Array, Batch)


def rebatch(pieces: Iterable[Piece], size: int, start: int = 0) -> Iterator[Piece]:
    """The rows of `pieces` from row `start` on, in batches of exactly `size`, the last one shorter."""
    held: list[Piece] = []
    count = -start
    for whole in pieces:
        piece = whole[min(len(whole), max(0, -count)) :]
        count += len(whole) - len(piece)
        while len(piece):
            held.append(piece[: size - count])
            count += len(held[-1])
            piece = piece[len(held[-1]) :]
            if count == size:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(parts: list[Piece]) -> Piece:
    if len(parts) == 1:
        return parts[0]
    return Batch.joined(parts) if isinstance(parts[0], Batch) else np.concatenate(parts)
