"""Names and columns of objects that are tables: frames, Arrow tables, mappings, records, structured arrays."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..rows import Array, is_single
from . import columns as kinds
from .names import listed


def named_columns(x: Any, wanted: Collection[str], name: str) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """Names and columns of a table; names None for a table without them; None for an object that is no table.

    An index that pandas stored in an Arrow table is a column only if it is `wanted`.
    """
    package = package_of(x)
    x = x.read_all() if package == "pyarrow" and hasattr(x, "read_all") else x
    if isinstance(x, list | tuple) and x and isinstance(x[0], np.void):
        x = np.array(x)
    if isinstance(x, list | tuple) and x and (records := _records_of(x)):
        return _records(records)
    if isinstance(x, np.ndarray):
        return _structured(x, name) if x.dtype.names is not None else None
    if hasattr(x, "dims") and hasattr(x, "indexes") and not isinstance(x, Mapping):
        return _labelled(x)
    if isinstance(x, Mapping):
        return _mapping(x, name)
    if package in ("pandas", "polars", "pyarrow") and not hasattr(x, "columns"):  # one column
        return (None, [x]) if kinds.kind_of(x) == "vectors" else None
    return _frame(x, package, wanted)


def _structured(x: Array, name: str) -> tuple[tuple[str, ...], list[Any]]:
    if x.ndim != 1:
        raise InputError(
            f"{name} is a structured array of shape {x.shape}: expected one dimension, a row a record: pass {name}.reshape(-1)"
        )
    names: tuple[str, ...] = x.dtype.names or ()
    return names, [x[field] for field in names]


def _labelled(x: Any) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """A labelled array, as xarray's DataArray: columns are called by the labels of its second dimension, if it has labels."""
    labels = x.indexes.get(x.dims[1]) if x.ndim == 2 else None
    return None if labels is None else (_names_or_none(list(labels)), list(np.asarray(x).T))


def _mapping(x: Mapping[Any, Any], name: str) -> tuple[tuple[str, ...], list[Any]]:
    """Names and columns of a mapping; None in a list of numbers is a missing value."""
    for key, value in x.items():
        _refuse_no_column(str(key), value)
    if masked := [key for key, value in x.items() if is_masked(value)]:
        raise InputError(f"{name} holds masked arrays ({listed(masked)}): expected no masked values: fill them first")
    lengths = {str(key): len(value) for key, value in x.items()}
    if len(set(lengths.values())) > 1:
        shown = [f"{key} {length}" for key, length in lengths.items()]
        raise InputError(f"{name} has columns of several lengths ({listed(shown)}): expected as many values in each")
    indices = [value.index for value in x.values() if package_of(value) == "pandas" and hasattr(value, "iloc")]
    if indices and not all(map(indices[0].equals, indices)):
        raise InputError(
            f"{name} has Series of pandas with different indices: expected the same rows in one order: "
            f"pd.DataFrame({name}) aligns them, and .to_numpy() of each takes them as they are"
        )
    return tuple(map(str, x)), [_column(value) for value in x.values()]


def _refuse_no_column(key: str, value: Any) -> None:
    """`InputError` for a value of a mapping that has no length."""
    if hasattr(value, "nnz"):
        raise InputError(f"{key} is a sparse matrix: expected a column in a mapping: pass {key}.toarray()[:, 0]")
    if isinstance(value, Iterator):
        raise InputError(f"{key} is a {type(value).__name__}, which is read once: expected a column in a mapping: pass a list")
    if is_single(value) and not hasattr(value, "__len__"):
        raise InputError(f"{key} is one value: expected a column in a mapping: for one row pass a list of it, [x]")


def _column(value: Any) -> Any:
    if package_of(value) == "torch":
        return tensor_of(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        values = [np.nan if each is None else each for each in value]
        try:
            return np.array(values)
        except ValueError:  # sequences of several lengths, which are refused where columns are
            return np.fromiter(values, object, len(values))
    return value


def is_masked(value: Any) -> bool:
    """Whether `value` is a masked array, some of whose values are masked."""
    if not any(kind.__name__ == "MaskedArray" for kind in type(value).__mro__):  # without an import of numpy.ma
        return False
    mask = np.ascontiguousarray(value.mask)
    return bool(mask.view(bool).any())  # of fields, each has its own


def _records_of(rows: Sequence[Any]) -> list[Any] | None:
    """Rows that name their values, as mappings: named tuples, rows of pandas or of a database; None for others."""
    if all(hasattr(row, "_asdict") for row in rows):
        return [row._asdict() for row in rows]
    if all(hasattr(row, "keys") for row in rows):
        return [
            row if isinstance(row, Mapping) or not hasattr(row, "keys") else dict(zip(row.keys(), row, strict=True))
            for row in rows
        ]
    return None


def _records(rows: list[Mapping[Any, Any]]) -> tuple[tuple[str, ...] | None, list[Any]]:
    """Names and columns of records with equal keys; None among numbers is a missing value."""
    keys = list(rows[0])
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or row.keys() != rows[0].keys():
            raise InputError(f"record {number} has other keys than record 0: expected {listed(keys)}: give equal records")
    columns = ([row[key] for row in rows] for key in keys)
    made = [np.array([np.nan if value is None else value for value in column]) for column in columns]
    return _names_or_none(keys), made


def _frame(x: Any, package: str, wanted: Collection[str]) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """The same for objects with columns."""
    if package == "pandas" and hasattr(x, "iloc"):
        return _names_or_none(list(x.columns)), [x.iloc[:, index] for index in range(x.shape[1])]
    if package == "polars" and hasattr(x, "get_columns"):
        return tuple(x.columns), x.get_columns()
    if package == "pyarrow":
        return _arrow_columns(x, wanted)
    foreign = any(hasattr(x, method) for method in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__"))
    return _arrow_columns(_imported(x), wanted) if foreign else None


def _arrow_columns(table: Any, wanted: Collection[str]) -> tuple[tuple[str, ...] | None, list[Any]]:
    """Names and columns of an Arrow table, without an index that pandas stored in it, unless it is `wanted`."""
    index = [key for key in stored_index(table.schema) if key not in wanted]
    keep = [place for place, key in enumerate(table.schema.names) if key not in index]
    return tuple(table.schema.names[place] for place in keep), [table.column(place) for place in keep]


def names_of(x: Any) -> tuple[str, ...] | None:
    """Names of the columns of a frame or an Arrow table, as text; None for other objects."""
    columns = getattr(x, "column_names" if package_of(x) == "pyarrow" else "columns", None)
    return None if columns is None else tuple(map(str, columns))


def stored_index(schema: Any) -> list[str]:
    """Names of the columns of an Arrow schema that hold an index of pandas, by pandas' own metadata."""
    import json  # noqa: PLC0415 - for Arrow tables only

    try:
        described = json.loads((schema.metadata or {})[b"pandas"])
        return [key for key in described["index_columns"] if isinstance(key, str)]
    except (KeyError, ValueError, TypeError, RecursionError):
        return []


def _names_or_none(names: list[Any]) -> tuple[str, ...] | None:
    """Names of columns; None for the numbers from 0 up that pandas gives to columns without names."""
    if names == list(range(len(names))):
        return None
    return tuple(map(str, names))


def _imported(x: Any) -> Any:
    """An object of another package as a pyarrow table, over the Arrow C interface or the interchange protocol."""
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        import pyarrow.interchange  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            f"a {type(x).__name__} is read by pyarrow: pip install pyarrow, or pass a numpy array"
        ) from error
    try:
        if hasattr(x, "__arrow_c_stream__"):
            return pyarrow.RecordBatchReader.from_stream(x).read_all()
        if hasattr(x, "__arrow_c_array__"):
            return pyarrow.record_batch(x)
        return pyarrow.interchange.from_dataframe(x)
    except Exception as error:  # of any package
        raise InputError(f"a {type(x).__name__} cannot be read as a table ({error}): pass a numpy array") from None


def tensor_of(x: Any) -> Array:
    """A torch tensor on any device, detached; bfloat16, which numpy lacks, as float32."""
    if str(x.layout) == "torch.jagged" or getattr(x, "is_nested", False):
        raise InputError("x is a nested tensor: expected a dense one: pass torch.stack([*x]), where rows have one length")
    if str(x.layout) != "torch.strided":
        raise InputError(f"x is a sparse tensor ({x.layout}): expected a dense one: pass x.to_dense()")
    try:
        x = x.detach().cpu().resolve_conj().resolve_neg()
        array: Array = (x.float() if str(x.dtype) == "torch.bfloat16" or "float8" in str(x.dtype) else x).numpy()
    except (RuntimeError, NotImplementedError, TypeError) as error:  # nested, without data, of types that numpy lacks
        raise InputError(f"x is a tensor that numpy cannot read ({str(error)[:100]}): pass a dense tensor of floats") from None
    return array


def package_of(x: Any) -> str:
    """The package of the type of `x`."""
    return type(x).__module__.partition(".")[0]
