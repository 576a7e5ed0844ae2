"""Names and columns of objects that are tables: frames, Arrow tables, mappings, records, structured arrays."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..rows import Array
from . import columns as kinds
from .names import listed


def named_columns(x: Any, wanted: Collection[str], name: str) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """Names and columns of a table; names None for a table without them; None for an object that is no table.

    An index that pandas stored in an Arrow table is a column only if it is `wanted`.
    """
    package = package_of(x)
    x = x.read_all() if package == "pyarrow" and hasattr(x, "read_all") else x
    if isinstance(x, list) and x and (records := _records_of(x)):
        return _records(records)
    if isinstance(x, np.ndarray):
        return None if x.dtype.names is None or x.ndim != 1 else (x.dtype.names, [x[field] for field in x.dtype.names])
    if isinstance(x, Mapping):
        return _mapping(x, name)
    if package in ("pandas", "polars", "pyarrow") and not hasattr(x, "columns"):  # one column
        return (None, [x]) if kinds.kind_of(x) == "vectors" else None
    return _frame(x, package, wanted)


def _mapping(x: Mapping[Any, Any], name: str) -> tuple[tuple[str, ...], list[Any]]:
    """Names and columns of a mapping; None in a list of numbers is a missing value."""
    if single := [key for key, value in x.items() if np.ndim(value) == 0 and not hasattr(value, "__len__")]:
        raise InputError(f"{single[0]} is one value: expected a column in a mapping: for one row pass a list of it, [x]")
    if masked := [key for key, value in x.items() if is_masked(value)]:
        raise InputError(f"{name} holds masked arrays ({listed(masked)}): expected no masked values: fill them first")
    lengths = {str(key): len(value) for key, value in x.items()}
    if len(set(lengths.values())) > 1:
        shown = [f"{key} {length}" for key, length in lengths.items()]
        raise InputError(f"{name} has columns of several lengths ({listed(shown)}): expected as many values in each")
    return tuple(map(str, x)), [_column(value) for value in x.values()]


def _column(value: Any) -> Any:
    if package_of(value) == "torch":
        return tensor_of(value)
    return np.array([np.nan if each is None else each for each in value]) if isinstance(value, list | tuple) else value


def is_masked(value: Any) -> bool:
    """Whether `value` is a masked array."""
    return isinstance(value, np.ndarray) and hasattr(value, "mask")


def _records_of(rows: list[Any]) -> list[Any] | None:
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
    if package == "pandas":
        return _names_or_none(list(x.columns)), [x.iloc[:, index] for index in range(x.shape[1])]
    if package == "polars":
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
    if str(x.layout) != "torch.strided":
        raise InputError(f"x is a sparse tensor ({x.layout}): expected a dense one: pass x.to_dense()")
    try:
        x = x.detach().cpu().resolve_conj()
        array: Array = (x.float() if str(x.dtype) == "torch.bfloat16" or "float8" in str(x.dtype) else x).numpy()
    except (RuntimeError, NotImplementedError, TypeError) as error:  # nested, without data, of types that numpy lacks
        raise InputError(f"x is a tensor that numpy cannot read ({str(error)[:100]}): pass a dense tensor of floats") from None
    return array


def package_of(x: Any) -> str:
    """The package of the type of `x`."""
    return type(x).__module__.partition(".")[0]
