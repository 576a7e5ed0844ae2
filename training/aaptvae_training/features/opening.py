"""Feature files, or a table in memory, opened as one table of float32 rows.

The runtime reads the formats (`aaptvae.files`). Formats without random access (text, archives) are decoded once to a
temporary .npy file.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.files import Layout, Reading, RowReader, open_output, open_rows
from aaptvae.files.binary import BinaryRows
from aaptvae.files.opening import READ_ALL, ShardedRows
from aaptvae.rows import Array, Rows
from aaptvae.tables import as_table, column_values
from aaptvae.tables.names import listed

from ..config import MissingRule
from .conditions import TableConditions
from .row_ids import RowIds
from .table import BLOCK_ROWS, ArrayFeatures, Features, as_float32

REMEDY = "choose the features with columns=[...], or leave out others with drop=[...]"
_RANDOM_ACCESS = (".npy", ".safetensors")


def array_features(
    x: Any, reading: Reading = READ_ALL, missing: MissingRule = "error", conditions: TableConditions | None = None
) -> ArrayFeatures:
    """The table of an array, a tensor, a data frame or an Arrow table; `InputError` unless it is numbers [N, D]."""
    features = _batch(x, reading, missing, conditions)
    features.conditions = conditions.finished(features.positions) if conditions else None
    return features


def _batch(x: Any, reading: Reading, missing: MissingRule, conditions: TableConditions | None) -> ArrayFeatures:
    """A table or a batch of one: its conditions are added to `conditions`, which are not finished."""
    x = x.read_all() if hasattr(x, "read_all") else x  # a reader of record batches is read once
    given = None if conditions is None else conditions.columns_of(x)
    left_out = (*reading.drop, *reading.ids, *(conditions.names if conditions else ()))
    table, names = as_table(
        x, columns=reading.expected or reading.usual, passthrough=left_out, chosen=reading.columns, remedy=REMEDY
    )
    if table.ndim != 2 or not table.shape[1]:
        remedy = "x[:, None] makes one" if table.ndim == 1 else "x.reshape(len(x), -1) makes a row of each entry"
        remedy = remedy if table.ndim not in (0, 2) else "give a 2-D array or a table with columns"
        raise InputError(f"features have shape {table.shape}: expected rows of one or more columns [N, D]: {remedy}")
    if table.dtype.kind not in "fiu":
        raise InputError(f"features have dtype {table.dtype}: expected floats or integers: choose the columns of numbers")
    called = str if names is None else names.__getitem__
    complete = _complete(table) if missing == "drop" else None
    if complete is not None and conditions is not None and given is not None:
        complete &= conditions.complete(given)
    features = ArrayFeatures(table if complete is None else _without_missing(table, complete, 0, called), names)
    if complete is not None:
        features.keep(complete)
    if reading.ids:
        features.ids = RowIds(reading.ids)
        features.ids.add([*column_values(x, reading.ids).values()], complete)
    if conditions is not None and given is not None:
        conditions.add(given, complete)
    return features


@contextmanager
def open_features(
    source: Any, reading: Reading = READ_ALL, missing: MissingRule = "error", conditions: TableConditions | None = None
) -> Iterator[Features]:
    """A feature file, a folder of shards, a pattern, a table in memory or an iterator of such as one table.

    `InputError` if it is none. `reading` says which columns are features and ids, `conditions` which ones are conditions. Rows
    that lack a value are left out if `missing` is "drop". Shards are opened twice: all columns are checked first.
    """
    if not isinstance(source, str | os.PathLike):
        with _in_memory(source, reading, missing, conditions) as features:
            features.fill = _unknown(features.width) if missing == "mean" else None
            yield features
        return
    path = os.fspath(source)
    if path == "-":
        raise InputError("features are read more than once, which stdin does not allow: name a file")
    ids = RowIds(reading.ids) if reading.ids else None
    beside = [each for each in (ids, conditions) if each is not None]
    reading = _reading_with(reading, conditions)
    with ExitStack() as stack:
        whole = open_rows(path, reading=reading)
        shards = isinstance(whole, ShardedRows)
        readers = (open_rows(p, reading=whole.reading) for p in whole.paths) if isinstance(whole, ShardedRows) else [whole]
        features, scratch = Features(whole.width, str(whole.dtype), Path(path).name, whole.columns, whole.notes), None
        features.ids, features.fill = ids, _unknown(whole.width) if missing == "mean" else None
        try:
            for number, reader in enumerate(readers):
                random_access = isinstance(reader, BinaryRows) and reader.name.lower().endswith(_RANDOM_ACCESS)
                if random_access and missing != "drop" and not beside:
                    features.append(reader)
                else:
                    scratch = scratch or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aaptvae-features-")))
                    target = scratch / f"{number}.npy"
                    features.append(open_rows(_decode(reader, target, features, missing == "drop", beside)))
            features.conditions = conditions.finished(features.positions) if conditions else None
            yield features
        finally:
            features.close()
            if shards:
                whole.close()


def _reading_with(reading: Reading, conditions: TableConditions | None) -> Reading:
    """`reading` with the columns that are conditions behind those of ids, which may name them too."""
    if conditions is None:
        return reading
    ids = tuple(dict.fromkeys((*reading.ids, *conditions.names)))
    return replace(reading, ids=ids, conditions=conditions.names, lacking=conditions.lacking)


@contextmanager
def _in_memory(source: Any, reading: Reading, missing: MissingRule, conditions: TableConditions | None) -> Iterator[Features]:
    """A table in memory; batches of an iterator are written to a temporary file first, because they are read again."""
    if not isinstance(source, Iterator) or hasattr(source, "__arrow_c_stream__"):
        with closing(array_features(source, reading, missing, conditions)) as table:
            yield table
        return
    batches = _batches(source, reading, missing, conditions)
    first = next(batches, None)
    if first is None:
        raise InputError(f"features are a {type(source).__name__} without a batch: expected arrays [n, D]: give a new one")
    features = Features(first.width, first.dtype, columns=first.columns)
    features.ids = RowIds(reading.ids) if reading.ids else None
    with tempfile.TemporaryDirectory(prefix="aaptvae-features-") as folder, closing(features):
        path = Path(folder) / "batches.npy"
        with open_output(path, Layout(width=first.width)) as writer:
            for number, batch in enumerate(chain([first], batches)):
                order = _order_of(batch, first, number)
                for start in range(0, batch.rows, BLOCK_ROWS):
                    rows = batch.table[start : start + BLOCK_ROWS]
                    rows = rows if order is None else rows[:, order]
                    features.rounding.add(rows)
                    writer.write(as_float32(rows))
                for complete in batch.complete:
                    features.keep(complete)
                if features.ids is not None and batch.ids is not None:
                    features.ids.add([*zip(*batch.ids.take(np.arange(batch.rows)), strict=True)])
                    batch.close()
        features.append(open_rows(path))
        features.conditions = conditions.finished(features.positions) if conditions else None
        yield features


def _batches(
    source: Iterator[Any], reading: Reading, missing: MissingRule, conditions: TableConditions | None
) -> Iterator[ArrayFeatures]:
    """The batches of an iterator; `InputError` names the one that is no table."""
    for number, batch in enumerate(source):
        try:
            features = _batch(batch, reading, missing, conditions)
        except InputError as error:
            raise InputError(f"batch {number} of the features, expected as rows [n, D]: {error}") from None
        yield features


def _order_of(batch: Features, first: Features, number: int) -> list[int] | None:
    """Positions in a batch of the columns of the first one, None if they are the same; `InputError` if it has others."""
    if (batch.width, batch.columns) == (first.width, first.columns):
        return None
    if batch.columns is None or first.columns is None or set(batch.columns) != set(first.columns):
        names = f" ({listed(batch.columns)})" if batch.columns else ""
        raise InputError(
            f"batch {number} of the features has {batch.width} columns{names}: expected {first.width} as in the first batch, "
            "by the same names: give equal batches"
        )
    return [batch.columns.index(name) for name in first.columns]


def _unknown(width: int) -> Rows:
    return np.full(width, np.nan, np.float32)


def _complete(rows: Array) -> NDArray[np.bool_]:
    """Rows [N] that lack no value."""
    return np.asarray(~np.isnan(rows).any(axis=1))


def _without_missing(rows: Array, complete: NDArray[np.bool_], first: int, called: Callable[[int], str]) -> Array:
    """The `complete` rows; `InputError` names an infinity here, while rows are still counted as in the table."""
    kept: Array = rows[complete]
    if not np.isfinite(as_float32(kept)).all():
        row, column = np.argwhere(np.isinf(as_float32(rows)) & complete[:, None])[0].tolist()
        raise InputError(
            f"features must be finite, but row {first + row}, column {called(column)} is {as_float32(rows)[row, column]} in "
            "float32: drop or repair such rows; aaptvae diagnose lists them"
        )
    return kept


def _decode(
    reader: RowReader, target: Path, features: Features, drop: bool, beside: Sequence[TableConditions | RowIds] = ()
) -> Path:
    """Copy rows of any format to an .npy file and close their reader; `drop` leaves out rows that lack a value.

    Columns that pass through go to those `beside` the features.
    """
    with reader, open_output(target, Layout(width=reader.width)) as writer:
        first = features.rows + features.dropped
        for batch in reader.labelled(BLOCK_ROWS):
            rows, complete, held = batch.values, None, dict(zip(reader.ids, batch.ids, strict=True))
            given = [(each, [held[name] for name in each.names]) for each in beside]
            for each, _ in given:
                each.typed = each.typed and reader.typed
            if drop:
                complete = np.all([_complete(rows), *(each.complete(columns) for each, columns in given)], axis=0)
                rows = _without_missing(rows, complete, first, features.called)
                features.keep(complete)
            first += len(batch)
            for each, columns in given:
                each.add(columns, complete)
            features.rounding.add(rows)
            writer.write(as_float32(rows))
    return target
