"""Feature files, or a table in memory, as one table of float32 rows, read in blocks so that memory stays bounded.

The runtime reads the formats (`aaptvae.files`). Formats without random access (text, archives) are decoded once to a
temporary .npy file.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.bundle.manifest import Condition, condition_dim
from aaptvae.errors import InputError
from aaptvae.files import Layout, Reading, RowReader, open_output, open_rows
from aaptvae.files.binary import BinaryRows
from aaptvae.files.opening import READ_ALL, ShardedRows
from aaptvae.rows import Array, Rows
from aaptvae.tables import as_table, column_values

from ..config import MissingRule
from .conditions import TableConditions
from .rounding import Rounding
from .split import Index

BLOCK_ROWS = 4096
BLOCK_NUMBERS = 1 << 24  # in a block of rows with many columns
REMEDY = "choose the features with columns=[...], or leave out others with drop=[...]"
MOST_OPEN = 64  # files at a time
_RANDOM_ACCESS = (".npy", ".safetensors")


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
        self.rows, self.width, self.dtype, self.name = 0, width, dtype, name
        self.columns, self.notes = columns, notes  # names of the columns, and how the files are read
        self.rounding = Rounding(width)
        self.fill: Rows | None = None
        self.conditions: TableConditions | None = None
        self.dropped = 0  # rows left out because a value was missing
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
        for reader in self._open.values():
            reader.close()

    def called(self, column: int) -> str:
        """The name of a column, else its position."""
        return str(column) if self.columns is None else self.columns[column]

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
        return rows.astype(np.float32, copy=False)


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


def array_features(
    x: Any, reading: Reading = READ_ALL, missing: MissingRule = "error", conditions: TableConditions | None = None
) -> ArrayFeatures:
    """The table of an array, a tensor, a data frame or an Arrow table; `InputError` unless it is numbers [N, D]."""
    left_out = (*reading.drop, *reading.ids, *(conditions.names if conditions else ()))
    table, names = as_table(
        x, columns=reading.expected or reading.usual, passthrough=left_out, chosen=reading.columns, remedy=REMEDY
    )
    if table.ndim != 2 or not table.shape[1]:
        raise InputError(
            f"features have shape {table.shape}: expected rows of one or more columns [N, D]: x[:, None] makes one"
        )
    if table.dtype.kind not in "fiu":
        raise InputError(f"features have dtype {table.dtype}: expected floats or integers: choose the columns of numbers")
    called = str if names is None else names.__getitem__
    kept = _without_missing(table, 0, called) if missing == "drop" else table
    features = ArrayFeatures(kept, names)
    if conditions:
        held = column_values(x, conditions.names)
        conditions.add([held[name] for name in conditions.names], _complete(table) if missing == "drop" else None)
        features.conditions = conditions.finished()
    features.dropped = len(table) - len(kept)
    return features


@contextmanager
def open_features(
    source: Any, reading: Reading = READ_ALL, missing: MissingRule = "error", conditions: TableConditions | None = None
) -> Iterator[Features]:
    """A feature file, a folder of shards, a pattern, a table in memory or an iterator of such as one table.

    `InputError` if it is none. `reading` says which columns are features, `conditions` which ones are conditions. Rows that
    lack a value are left out if `missing` is "drop". A file is opened once; a shard twice, because the columns of all shards
    are checked first.
    """
    if not isinstance(source, str | os.PathLike):
        with _in_memory(source, reading, missing, conditions) as features:
            features.fill = _unknown(features.width) if missing == "mean" else None
            yield features
        return
    path = os.fspath(source)
    if path == "-":
        raise InputError("features are read more than once, which stdin does not allow: name a file")
    reading = reading if conditions is None else replace(reading, ids=(*reading.ids, *conditions.names))
    with ExitStack() as stack:
        whole = open_rows(path, reading=reading)
        shards = isinstance(whole, ShardedRows)
        readers = (open_rows(p, reading=whole.reading) for p in whole.paths) if isinstance(whole, ShardedRows) else [whole]
        features, scratch = Features(whole.width, str(whole.dtype), Path(path).name, whole.columns, whole.notes), None
        features.fill = _unknown(whole.width) if missing == "mean" else None
        try:
            for number, reader in enumerate(readers):
                random_access = isinstance(reader, BinaryRows) and reader.name.lower().endswith(_RANDOM_ACCESS)
                if random_access and missing != "drop" and not conditions:
                    features.append(reader)
                else:
                    scratch = scratch or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aaptvae-features-")))
                    target = scratch / f"{number}.npy"
                    features.append(open_rows(_decode(reader, target, features, missing == "drop", conditions)))
            features.conditions = conditions.finished() if conditions else None
            yield features
        finally:
            features.close()
            if shards:
                whole.close()


@contextmanager
def _in_memory(source: Any, reading: Reading, missing: MissingRule, conditions: TableConditions | None) -> Iterator[Features]:
    """A table in memory; batches of an iterator are written to a temporary file first, because they are read again."""
    if not isinstance(source, Iterator) or hasattr(source, "__arrow_c_stream__"):
        yield array_features(source, reading, missing, conditions)
        return
    if conditions:
        raise InputError("features are an iterator, whose batches hold no conditions: give one table, or the path of a file")
    batches = (array_features(batch, reading, missing) for batch in source)
    first = next(batches, None)
    if first is None:
        raise InputError(f"features are a {type(source).__name__} without a batch: expected arrays [n, D]: give a new one")
    features = Features(first.width, first.dtype, columns=first.columns)
    with tempfile.TemporaryDirectory(prefix="aaptvae-features-") as folder, closing(features):
        path = Path(folder) / "batches.npy"
        with open_output(path, Layout(width=first.width)) as writer:
            for number, batch in enumerate(chain([first], batches)):
                _check_batch(batch, first, number)
                for start in range(0, batch.rows, BLOCK_ROWS):
                    rows = batch.table[start : start + BLOCK_ROWS]
                    features.rounding.add(rows)
                    writer.write(as_float32(rows))
                features.dropped += batch.dropped
        features.append(open_rows(path))
        yield features


def _check_batch(batch: Features, first: Features, number: int) -> None:
    """`InputError` unless a batch has the columns of the first one."""
    if (batch.width, batch.columns) != (first.width, first.columns):
        names = f" ({', '.join(batch.columns[:8])})" if batch.columns else ""
        raise InputError(
            f"batch {number} of the features has {batch.width} columns{names}: expected {first.width} as in the first batch, "
            "by the same names in the same order: give equal batches"
        )


def _unknown(width: int) -> Rows:
    return np.full(width, np.nan, np.float32)


def _complete(rows: Array) -> NDArray[np.bool_]:
    """Rows [N] that lack no value."""
    return np.asarray(~np.isnan(rows).any(axis=1))


def _without_missing(rows: Array, first: int, called: Callable[[int], str]) -> Array:
    """Rows that lack no value; `InputError` names an infinity here, while rows are still counted as in the table."""
    complete = _complete(rows)
    kept: Array = rows[complete]
    if not np.isfinite(as_float32(kept)).all():
        row, column = np.argwhere(np.isinf(as_float32(rows)) & complete[:, None])[0].tolist()
        raise InputError(
            f"features must be finite, but row {first + row}, column {called(column)} is {as_float32(rows)[row, column]} in "
            "float32: drop or repair such rows; aaptvae diagnose lists them"
        )
    return kept


def _decode(reader: RowReader, target: Path, features: Features, drop: bool, conditions: TableConditions | None = None) -> Path:
    """Copy rows of any format to an .npy file and close their reader; `drop` leaves out rows that lack a value."""
    with reader, open_output(target, Layout(width=reader.width)) as writer:
        first = features.rows + features.dropped
        for batch in reader.labelled(BLOCK_ROWS):
            rows = _without_missing(batch.values, first, features.called) if drop else batch.values
            first += len(batch)
            if conditions:
                held = batch.ids[len(batch.ids) - len(conditions.names) :]
                conditions.add(held, _complete(batch.values) if drop else None)
            features.dropped += len(batch) - len(rows)
            features.rounding.add(rows)
            writer.write(as_float32(rows))
    return target
