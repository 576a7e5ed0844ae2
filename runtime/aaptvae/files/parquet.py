"""Rows in .parquet and .arrow (Feather): one column of lists, or columns side by side. Needs pyarrow, imported on first use."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO, Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..rows import Array
from ..tables.frames import stored_index
from .arrow import open_arrow
from .reading import Reading, choose, refuse_others
from .table import Batch, Layout, RowReader, RowWriter, Source, check_table, rebatch

GROUP_BYTES = 16 << 20
FIRST_ROWS = 1000  # in which numbers are counted that a column of text holds
MAX_GROUP_BYTES = 4 << 30


class ArrowRows(RowReader):
    """Columns of record batches, which are streamed; a null becomes NaN, which the caller refuses."""

    rows: int
    _kind = "arrow"

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self._pa = _pyarrow()
        try:
            schema = self._open(source.stream)
        except InputError:
            raise
        except (self._pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(error) from error
        self._choose(schema, source.reading)
        check_table(self.name, (self.rows, self.width))

    def _open(self, stream: IO[bytes]) -> Any:
        """Open the file, count its rows, and return its schema."""
        self._bytes = stream
        self._file, self.rows, schema = open_arrow(self._pa, self.name, stream)
        return schema

    def _choose(self, schema: Any, reading: Reading) -> None:
        """Choose features and columns that pass through; an index that pandas stored is left out."""
        self._skip = reading.skip_bad
        types, wanted = self._pa.types, {*reading.columns, *reading.drop, *reading.ids, *(reading.expected or ())}
        index = [key for key in stored_index(schema) if key not in wanted]
        names = [key for key in schema.names if key not in index]
        kinds = {key: schema.field(at).type for at, key in enumerate(schema.names)}
        rest = reading.columns or [key for key in names if key not in reading.left_out]
        self._lists = len(rest) == 1 and rest[0] in kinds and _is_list(types, kinds[rest[0]])
        chosen = choose(self.name, names, len(names), replace(reading, expected=None) if self._lists else reading)
        taken = [kinds[names[at]] for at in chosen.features]
        held = [taken[0].value_type] if self._lists else taken
        explicit = bool(reading.columns or reading.expected)
        others = ["" if _is_number(types, kinds[key], explicit or self._lists) else str(kinds[key]) for key in names]
        if not self._lists:
            refuse_others(self.name, others, chosen, names, lambda index: self._first_values(names[index]))
        elif not _is_number(types, held[0], False):
            raise InputError(
                f"{self.name} holds columns ({taken[0]}): expected lists of numbers: keep the feature columns only"
            )
        self._features, self.ids = [names[at] for at in chosen.features], reading.ids
        self.id_types = tuple(kinds[key] for key in reading.ids)
        self.columns = None if self._lists else chosen.columns
        self.dtype = np.result_type(
            np.float32, *(t.to_pandas_dtype() for t in held if not (types.is_boolean(t) or types.is_null(t)))
        )
        self.width = self._list_width(taken[0]) if self._lists else len(taken)

    def _first_values(self, key: str) -> list[Any]:
        """The first values of a column; none where they cannot be read."""
        self._features, self.ids = [key], ()
        try:
            batch = next(self._stored_batches(FIRST_ROWS), None)
            return [] if batch is None else list(batch.column(key).to_pylist())
        except (self._pa.ArrowException, OSError, ValueError, MemoryError):
            return []

    def _damaged(self, error: BaseException) -> InputError:
        return InputError(f"{self.name} is not a readable .{self._kind} file ({str(error)[:200]}): write it again")

    def _stored_batches(self, size: int) -> Iterator[Any]:
        """Record batches with the columns of features and ids."""
        for whole in self._whole_batches():
            for start in range(0, len(whole), size):
                yield whole.slice(start, size)

    def _whole_batches(self) -> Iterator[Any]:
        if self._file is None:
            self._bytes.seek(0)
            yield from self._pa.ipc.open_stream(self._bytes)
        else:
            yield from map(self._file.get_batch, range(self._file.num_record_batches))

    def _record_batches(self, size: int) -> Iterator[Any]:
        found = 0
        try:
            for batch in self._stored_batches(size):
                found += len(batch)
                yield batch
        except (self._pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(error) from error
        if found != self.rows:
            raise InputError(f"{self.name} holds {found} rows: its footer says {self.rows}: write it again")

    def _list_width(self, kind: Any) -> int:
        if self._pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._record_batches(1024) if self.rows else ():
            lengths = batch.column(self._features[0]).value_lengths().drop_null()
            if len(lengths):
                return int(lengths[0].as_py())
        return 1  # no rows, or nulls alone, which are refused when they are read

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Gather the columns into rows."""
        return rebatch(map(self._rows, self._record_batches(size)), size, start)

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Rows with the columns that pass through."""
        return rebatch(self._batches(size), size, start)

    def _batches(self, size: int) -> Iterator[Batch]:
        first = 0
        for batch in self._record_batches(size):
            ids = tuple(self._values(batch.column(key), key) for key in self.ids)
            problems = self._problems(batch, first) if self._skip and self._lists else None
            yield Batch(self._rows(batch), ids, problems)
            first += len(batch)

    def _problems(self, batch: Any, first: int) -> Array | None:
        """Why rows of a batch that begins at row `first` hold no list of the width, where there are such."""
        if not (bad := self._unequal(batch)).any():
            return None
        problems = np.full(len(batch), None, object)
        for row in np.flatnonzero(bad):
            problems[row] = f"{self.name} row {first + row} holds null or a list not of length {self.width}"
        return problems

    def _unequal(self, batch: Any) -> Array:
        """Rows [n] whose list is null or not of the width; a null has no length."""
        lengths: Array = batch.column(self._features[0]).value_lengths().to_numpy(zero_copy_only=False)
        return np.asarray(lengths != self.width)

    def _values(self, column: Any, key: str) -> Array:
        try:
            return np.fromiter(column.to_pylist(), object, len(column))
        except (self._pa.ArrowException, ValueError) as error:  # nanoseconds, without pandas
            raise InputError(f"column {key} of {self.name} cannot pass through ({error}): convert it to text") from None

    def _rows(self, batch: Any) -> Array:
        if self._lists:
            column, bad = batch.column(self._features[0]), self._unequal(batch)
            if not bad.any():
                return _numbers(column.flatten()).astype(self.dtype, copy=False).reshape(-1, self.width)
            if not self._skip:
                raise InputError(f"{self.name} holds nulls or lists not of length {self.width}: make them equal")
            rows = np.full((len(batch), self.width), np.nan, self.dtype)
            rows[~bad] = _numbers(column.filter(self._pa.array(~bad)).flatten()).reshape(-1, self.width)
            return rows
        rows = np.empty((len(batch), self.width), self.dtype)
        for index, key in enumerate(self._features):
            rows[:, index] = _numbers(batch.column(key))
        return rows


class ParquetRows(ArrowRows):
    """Row groups are streamed."""

    _kind = "parquet"

    def _open(self, stream: IO[bytes]) -> Any:
        import pyarrow.parquet  # noqa: PLC0415

        # Buffered, not prefetched: memory is that of a batch, not of a row group.
        self._file = pyarrow.parquet.ParquetFile(
            stream,
            pre_buffer=False,
            buffer_size=1 << 20,
            thrift_string_size_limit=64 << 20,
            thrift_container_size_limit=1 << 21,
        )
        meta = self._file.metadata
        groups = [meta.row_group(index) for index in range(meta.num_row_groups)]
        if (
            any(g.num_rows < 0 or g.total_byte_size > MAX_GROUP_BYTES for g in groups)
            or sum(g.num_rows for g in groups) != meta.num_rows
        ):
            raise InputError(
                f"{self.name} has invalid row groups ({len(groups)} for {meta.num_rows} rows): write it again, "
                "with at most 4 GiB in each"
            )
        self.rows = meta.num_rows
        return self._file.schema_arrow

    def _stored_batches(self, size: int) -> Iterator[Any]:
        return iter(self._file.iter_batches(size, columns=[*self._features, *self.ids], use_threads=False))


def _is_number(types: Any, kind: Any, booleans: bool) -> bool:
    """Whether a column holds numbers: also one of missing values alone, whose type is null."""
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind) or (booleans and types.is_boolean(kind))
    )


def _numbers(column: Any) -> Array:
    array: Array = column.to_numpy(zero_copy_only=False)
    return array if array.dtype.kind != "O" else np.array([np.nan if value is None else value for value in array], np.float64)


def _is_list(types: Any, kind: Any) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


class ArrowWriter(RowWriter):
    """Columns side by side, or one column `x` of lists, in batches of about 16 MiB; columns that pass through come first."""

    def __init__(self, stream: IO[bytes], layout: Layout) -> None:
        self._pa, self._stream, self._layout = _pyarrow(), stream, layout
        self._held, self._bytes = [], 0  # type: list[Batch], int
        self._types = list(layout.id_types)  # of columns that pass through; found at the first rows if empty
        self._writer: Any = None
        if not layout.ids:
            self._begin()

    def _begin(self) -> None:
        kind = self._pa.from_numpy_dtype(self._layout.dtype)
        fields = [(name, kind) for name in self._layout.columns] or [("x", self._pa.list_(kind, self._layout.width))]
        ids = zip(self._layout.ids, self._types or [self._pa.null()] * len(self._layout.ids), strict=True)
        self._schema = self._pa.schema([*ids, *fields])
        self._writer = self._open(self._stream, self._schema)

    def _open(self, stream: IO[bytes], schema: Any) -> Any:
        return self._pa.ipc.new_file(stream, schema)

    def write(self, batch: Array, ids: Sequence[Array] = ()) -> None:
        """Hold the rows until they make a row group."""
        self._held.append(Batch(np.array(batch), tuple(ids)))
        self._bytes += batch.nbytes
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        held = Batch.joined(self._held)
        self._held, self._bytes = [], 0
        try:
            ids = [
                self._pa.array(column.tolist(), self._types[at] if self._types else None) for at, column in enumerate(held.ids)
            ]
        except (self._pa.ArrowException, OverflowError) as error:
            raise InputError(
                f"the columns {', '.join(self._layout.ids)} hold values of several types, or too large ones ({error}): use csv"
            ) from error
        if self._writer is None:
            self._types = self._types or [column.type for column in ids]
            self._begin()
        rows = held.values
        if self._layout.columns:
            columns = [self._pa.array(column) for column in rows.T]
        else:
            columns = [self._pa.FixedSizeListArray.from_arrays(self._pa.array(rows.reshape(-1)), self._layout.width)]
        self._writer.write_table(self._pa.Table.from_arrays([*ids, *columns], schema=self._schema))

    def write_end(self) -> None:
        """Write the last row group and the footer."""
        if self._held:
            self._flush()
        if self._writer is None:
            self._begin()
        self._writer.close()


class ParquetWriter(ArrowWriter):
    """Row groups of about 16 MiB."""

    def _open(self, stream: IO[bytes], schema: Any) -> Any:
        import pyarrow.parquet  # noqa: PLC0415

        return pyarrow.parquet.ParquetWriter(stream, schema)


def _pyarrow() -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.ipc  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(".parquet and .arrow files need pyarrow: pip install pyarrow") from error
    return pyarrow
