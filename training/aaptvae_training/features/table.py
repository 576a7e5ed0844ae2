"""A feature table of one file or several, or of an array, read in blocks of float32 rows so that memory stays bounded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aaptvae.bundle.manifest import Condition, condition_dim
from aaptvae.errors import InputError
from aaptvae.files import RowReader, open_rows
from aaptvae.rows import Array, Rows, called
from aaptvae.tables.names import check_length

from .conditions import TableConditions
from .rounding import Rounding
from .row_ids import RowIds
from .split import Index

BLOCK_ROWS = 4096
BLOCK_NUMBERS = 1 << 24  # in a block of rows with many columns
MOST_OPEN = 4  # files at a time: blocks are read in order, and a process may have few descriptors


class Features:
    """A table of N `rows` of D numbers (`width`) in one file or several; at most `MOST_OPEN` files are open at a time.

    `fill` [D] replaces missing values where it is given; NaN in it leaves them (`missing.py` sets it). Where the table has
    `conditions`, blocks of rows have these C numbers in their last columns: [n, D + C].
    """

    def __init__(
        self,
        width: int,
        dtype: str = "float32",
        name: str = "",
        columns: tuple[str, ...] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        check_length(columns or (), name or "x")
        self.rows, self.width, self.dtype, self.name = 0, width, dtype, name
        self.columns, self.notes = columns, notes  # names of the columns, and how the files are read
        self.rounding = Rounding(width)
        self.fill: Rows | None = None
        self.conditions: TableConditions | None = None
        self.ids: RowIds | None = None
        self.dropped = 0  # rows left out because a value was missing
        self.complete: list[NDArray[np.bool_]] = []  # whether a row stays, where rows may be left out, block by block
        self._rounded = 0  # rows that `rounding` has seen
        self._files: list[tuple[str, int]] = []  # path and number of rows
        self._open: dict[int, RowReader] = {}  # by position in `_files`; the most recently used comes last

    def append(self, reader: RowReader) -> None:
        """Add the rows of an open file behind the others; `close` closes the file."""
        self._open[len(self._files)] = reader
        self._files.append((reader.name, reader.rows or 0))
        self.rows += reader.rows or 0
        self._close_oldest()

    def read(self, start: int, stop: int) -> Rows:
        """Rows start..stop: float32 [stop - start, D + C]; `InputError` if a file has changed since it was opened."""
        rows = self._features(start, stop)
        return rows if self.conditions is None else self.conditions.beside(rows, start)

    def keep(self, complete: NDArray[np.bool_]) -> None:
        """Note which rows of the next block of the table stay; the others are left out."""
        self.complete.append(complete)
        self.dropped += int((~complete).sum())

    @property
    def positions(self) -> Index | None:
        """The rows' positions [N] in the table that was read; None where no row was left out."""
        return np.flatnonzero(np.concatenate(self.complete)) if self.dropped else None

    @property
    def condition_dim(self) -> int:
        """C, the numbers of conditions in each row."""
        return condition_dim(self.condition_specs)

    @property
    def condition_specs(self) -> tuple[Condition, ...]:
        """The conditions, as a manifest describes them."""
        return () if self.conditions is None else self.conditions.specs

    def _features(self, start: int, stop: int) -> Rows:
        parts, begin = [np.empty((0, self.width), np.float32)], 0
        for number, (_, count) in enumerate(self._files):
            end = begin + count
            low, high = max(start, begin), min(stop, end)
            if low < high:
                rows = next(self._reader(number).batches(high - low, low - begin))
                if low == self._rounded:
                    self.rounding.add(rows)
                    self._rounded = high
                parts.append(self._filled(as_float32(rows)))
            begin = end
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _filled(self, rows: Rows) -> Rows:
        return rows if self.fill is None else np.where(np.isnan(rows), self.fill, rows)

    def _reader(self, number: int) -> RowReader:
        path, rows = self._files[number]
        reader = self._open.pop(number, None) or open_rows(path)
        self._open[number] = reader
        if (reader.rows, reader.width) != (rows, self.width):
            raise InputError(f"{path} has changed since it was opened: do not change it before the training is done")
        self._close_oldest()
        return reader

    def _close_oldest(self) -> None:
        if len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open))).close()

    def close(self) -> None:
        """Close the files."""
        if self.ids is not None:
            self.ids.close()
        for reader in self._open.values():
            reader.close()

    def called(self, column: int) -> str:
        """The name of a column, else its position."""
        return called(column, self.columns)

    def blocks(self) -> Iterator[tuple[int, Rows]]:
        """Every row once, in order: (first row, float32 [n, D + C])."""
        rows = min(BLOCK_ROWS, max(1, BLOCK_NUMBERS // self.width))
        for start in range(0, self.rows, rows):
            yield start, self.read(start, min(start + rows, self.rows))

    def take(self, index: Index) -> Rows:
        """The rows at these sorted positions: float32 [len(index), D + C]."""
        return np.concatenate([rows_within(index, start, block) for start, block in self.blocks()])


def as_float32(rows: Array) -> Rows:
    """Rows as float32; values beyond its range become infinities, which `first_bad_value` finds."""
    with np.errstate(over="ignore"):
        return rows.astype(np.float32, order="C", copy=False)  # products of other orders differ in their last digits


def rows_within(index: Index, start: int, block: Rows) -> Rows:
    """The rows of a block, which begins at row `start` of its table, at the positions of a sorted index."""
    low, high = np.searchsorted(index, (start, start + len(block)))
    return block[index[low:high] - start]


class ArrayFeatures(Features):
    """Rows of an array [N, D] of floats or integers; blocks are views where the array is float32."""

    def __init__(self, table: Array, columns: tuple[str, ...] | None = None) -> None:
        super().__init__(table.shape[1], str(table.dtype), columns=columns)
        self.rows, self.table = len(table), table
        for start in range(0, self.rows, BLOCK_ROWS):
            self.rounding.add(table[start : start + BLOCK_ROWS])

    def _features(self, start: int, stop: int) -> Rows:
        return self._filled(as_float32(self.table[start:stop]))
