"""Rows in .parquet: one column of lists, or numeric columns side by side. Needs pyarrow, imported on first use."""

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..rows import Array
from .table import RowReader, RowWriter, check_table, rebatch

GROUP_BYTES = 16 << 20
MAX_GROUP_BYTES = 4 << 30


class ParquetRows(RowReader):
    """Row groups are streamed; a null becomes NaN, which the caller refuses."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name = name
        self._pa, self._pq = _pyarrow()
        try:
            # Buffered, not prefetched: memory is that of a batch, not of a row group.
            self._file = self._pq.ParquetFile(
                stream,
                pre_buffer=False,
                buffer_size=1 << 20,
                thrift_string_size_limit=64 << 20,
                thrift_container_size_limit=1 << 21,
            )
            meta, schema = self._file.metadata, self._file.schema_arrow
            groups = [meta.row_group(index) for index in range(meta.num_row_groups)]
        except (self._pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(error) from error
        if (
            any(g.num_rows < 0 or g.total_byte_size > MAX_GROUP_BYTES for g in groups)
            or sum(g.num_rows for g in groups) != meta.num_rows
        ):
            raise InputError(
                f"{name} has invalid row groups ({len(groups)} for {meta.num_rows} rows): write it again, "
                "with at most 4 GiB in each"
            )
        self.rows = meta.num_rows
        self._lists = len(schema.types) == 1 and _is_list(self._pa.types, schema.types[0])
        types = [schema.types[0].value_type] if self._lists else schema.types
        if not types or not all(self._pa.types.is_integer(t) or self._pa.types.is_floating(t) for t in types):
            raise InputError(
                f"{name} holds columns ({', '.join(map(str, schema.types[:8]))}): expected numbers, or "
                "one column of lists of numbers: keep the feature columns only"
            )
        self.dtype = np.result_type(np.float32, *(t.to_pandas_dtype() for t in types))
        self.width = self._list_width(schema.types[0]) if self._lists else len(types)
        check_table(name, (self.rows, self.width))

    def _damaged(self, error: BaseException) -> InputError:
        return InputError(f"{self.name} is not a readable .parquet file ({str(error)[:200]}): write it again")

    def _record_batches(self, size: int) -> Iterator[Any]:
        found = 0
        try:
            for batch in self._file.iter_batches(size, use_threads=False):
                found += len(batch)
                yield batch
        except (self._pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(error) from error
        if found != self.rows:
            raise InputError(f"{self.name} holds {found} rows: its footer says {self.rows}: write it again")

    def _list_width(self, kind: Any) -> int:
        if self._pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        first = next(self._record_batches(1), None) if self.rows else None
        return 1 if first is None else len(first.column(0).flatten())

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Gather the columns into rows."""
        return rebatch(map(self._rows, self._record_batches(size)), size, start)

    def _rows(self, batch: Any) -> Array:
        if self._lists:
            column = batch.column(0)
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            if column.null_count or (lengths != self.width).any():
                raise InputError(f"{self.name} holds nulls or lists not of length {self.width}: make them equal")
            return _numbers(column.flatten()).astype(self.dtype, copy=False).reshape(-1, self.width)
        rows = np.empty((len(batch), self.width), self.dtype)
        for index, column in enumerate(batch.columns):
            rows[:, index] = _numbers(column)
        return rows


def _numbers(column: Any) -> Array:
    array: Array = column.to_numpy(zero_copy_only=False)
    return array


def _is_list(types: Any, kind: Any) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


class ParquetWriter(RowWriter):
    """Named `columns` side by side, or one column `x` of lists, in row groups of about 16 MiB."""

    def __init__(self, stream: IO[bytes], width: int, columns: tuple[str, ...] = (), dtype: Any = np.float32) -> None:
        self._pa, pq = _pyarrow()
        self._width, self._held, self._bytes = width, [], 0  # type: int, list[Array], int
        kind = self._pa.from_numpy_dtype(dtype)
        fields = [(name, kind) for name in columns] or [("x", self._pa.list_(kind, width))]
        self._schema = self._pa.schema(fields)
        self._columns = columns
        self._writer = pq.ParquetWriter(stream, self._schema)

    def write(self, batch: Array) -> None:
        """Hold the rows until they make a row group."""
        self._held.append(np.array(batch))
        self._bytes += batch.nbytes
        if self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        rows = np.concatenate(self._held)
        self._held, self._bytes = [], 0
        if self._columns:
            columns = [self._pa.array(column) for column in rows.T]
        else:
            columns = [self._pa.FixedSizeListArray.from_arrays(self._pa.array(rows.reshape(-1)), self._width)]
        self._writer.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Write the last row group and the footer."""
        if self._held:
            self._flush()
        self._writer.close()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError('.parquet files need pyarrow: pip install "aaptvae[parquet]"') from error
    return pyarrow, pyarrow.parquet
