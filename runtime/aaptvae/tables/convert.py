"""Arrays, tensors, data frames and Arrow tables as numbers [N, D] with names; no package but numpy is imported for it.

A kind of object is recognised by the package of its type, which is then loaded already. Objects of other packages are
read over the Arrow C stream, which needs pyarrow.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, MissingDependencyError
from ..rows import Array
from . import columns as kinds
from .names import BESIDE, as_names, check_names, latent_names, left_out_of, listed, match_columns

TableLike = Any  # ArrayLike, or an object that `as_table` reads


class Table(NamedTuple):
    """Numbers [N, D] and the names of their columns, if they have names. `values` of other ranks are left to the caller."""

    values: Array
    columns: tuple[str, ...] | None = None


def as_table(
    x: Any,
    *,
    columns: Sequence[str] | None = None,
    passthrough: Sequence[str] = (),
    chosen: Sequence[str] = (),
    name: str = "x",
    remedy: str = BESIDE,
) -> Table:
    """`x` as numbers [N, D] with names of its columns.

    `x` is an array, nested lists, a torch tensor, a pandas, Polars or Arrow table, a mapping of names to columns, any
    object with `__arrow_c_stream__` or `__dataframe__`, or one column of vectors. Features are the columns `chosen`, else
    all but those in `passthrough`; columns without names are called by their positions. Named ones are matched with
    `columns` and taken in that order. Missing values become NaN. Raises `InputError` for a column that is missing, unknown
    (`remedy` says how such ones are left out), or no number; `MissingDependencyError` where pyarrow is needed.
    """
    passthrough, chosen = as_names(passthrough), as_names(chosen)
    selects = bool(passthrough or chosen)
    if type(x) is np.ndarray and x.dtype.names is None:
        return Table(_by_position(x, passthrough, chosen, name) if selects else x)
    _refuse_unreadable(x, name)
    x = x.read_all() if _package(x) == "pyarrow" and hasattr(x, "read_all") else x
    named = _named_columns(x)
    if named is None:
        return Table(_by_position(_unnamed(x, name), passthrough, chosen, name) if selects else _unnamed(x, name))
    names, held = named
    called = names if names is not None else tuple(map(str, range(len(held))))
    left_out = left_out_of(called, chosen, passthrough, name)
    kept = [index for index in range(len(held)) if called[index] not in left_out]
    if len(kept) == 1 and kinds.kind_of(held[kept[0]]) == "vectors":
        return Table(kinds.matrix_of(held[kept[0]], name))
    expected = columns if columns is not None and names is not None else chosen or None
    order = match_columns(called, expected, name, left_out, remedy) if names is not None or selects else None
    if names is not None:
        check_names(names, name)
    taken, called = (held, called) if order is None else ([held[index] for index in order], tuple(called[i] for i in order))
    refuse_others(taken, called, name, remedy, bool(chosen) or (columns is not None and names is not None))
    whole = _whole_block(x, held) if order is None else None
    return Table(_stacked(x, taken) if whole is None else whole, None if names is None else called)


def column_values(x: Any, wanted: Sequence[str], name: str = "x", *, strict: bool = True) -> dict[str, Any]:
    """The columns of a table that have these names, unconverted; columns without names are called by their positions.

    `InputError` names every one that is not there, unless it is not `strict`.
    """
    named = None if type(x) is np.ndarray and x.dtype.names is None else _named_columns(x)
    if named is None:
        array = _unnamed(x, name)
        named = None, list(array.T) if array.ndim == 2 else []
    names, held = named
    columns = dict(zip(names if names is not None else map(str, range(len(held))), held, strict=True))
    if strict and (absent := [key for key in wanted if key not in columns]):
        raise InputError(f"{name} has no column {listed(absent)}: its columns are {listed([*columns])}: check the spelling")
    return {key: columns[key] for key in wanted if key in columns}


def _by_position(values: Array, passthrough: Sequence[str], chosen: Sequence[str], name: str) -> Array:
    """Columns of an array [N, D] that are called by their positions."""
    if values.ndim != 2:
        return values
    called = tuple(map(str, range(values.shape[1])))
    order = match_columns(called, chosen or None, name, left_out_of(called, chosen, passthrough, name))
    return values if order is None else values[:, order]


def latents_of(z: Any, width: int, *, named: bool) -> Any:
    """Latents [N, width] of an array or a table; where the model's columns are `named`, those of `z` are z0, z1, ..."""
    if type(z) is np.ndarray and z.dtype.names is None:
        return z
    return as_table(z, columns=latent_names(width) if named else None, name="z").values


def filled(values: Array, means: Array) -> Array:
    """`values` [N, D] with the mean of its column [D] in place of NaN; itself without NaN or with another width."""
    if values.ndim != 2 or values.dtype.kind != "f" or values.shape[1] != len(means) or not (lost := np.isnan(values)).any():
        return values
    return np.where(lost, means.astype(values.dtype), values)


def refuse_others(held: Sequence[Any], names: Sequence[str], name: str, remedy: str, explicit: bool) -> None:
    """`InputError` that names every column that holds no numbers; `explicit` names allow booleans."""
    allowed = ("number", "bool") if explicit else ("number",)
    vectors = [called for called, column in zip(names, held, strict=True) if kinds.kind_of(column) == "vectors"]
    if len(vectors) == 1 and len(held) > 1:
        raise InputError(f"{name} holds vectors in column {vectors[0]} beside {len(held) - 1} others: {remedy}")
    wrong = [
        f"{called} ({kinds.type_name(column)})"
        for called, column in zip(names, held, strict=True)
        if kinds.kind_of(column) not in allowed
    ]
    if wrong:
        raise InputError(f"{name} holds columns that are no numbers: {listed(wrong)}: convert them, or {remedy}")


def _stacked(x: Any, held: Sequence[Any]) -> Array:
    """Columns side by side as numbers."""
    return kinds.stacked(held) if held else np.empty((_length(x), 0), np.float32)


def _whole_block(x: Any, held: Sequence[Any]) -> Array | None:
    """A pandas frame of plain numbers, as pandas itself makes a matrix of it, without a copy where it holds one."""
    if _package(x) != "pandas" or not all(isinstance(c.dtype, np.dtype) for c in held):
        return None
    array = np.asarray(x)
    return array if array.dtype.kind in "fiu" else None


def _named_columns(x: Any) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """Names and columns of a table; names None for a table without them; None for an object that is no table."""
    package = _package(x)
    if isinstance(x, list) and x and isinstance(x[0], Mapping):
        return _records(x)
    if isinstance(x, np.ndarray):
        return None if x.dtype.names is None or x.ndim != 1 else (x.dtype.names, [x[field] for field in x.dtype.names])
    if isinstance(x, Mapping):
        if single := [key for key, value in x.items() if np.ndim(value) == 0 and not hasattr(value, "__len__")]:
            raise InputError(f"{single[0]} is one value: expected a column in a mapping: for one row pass a list of it, [x]")
        return tuple(map(str, x)), [np.asarray(column) if isinstance(column, list) else column for column in x.values()]
    if package in ("pandas", "polars", "pyarrow") and not hasattr(x, "columns"):  # one column
        return (None, [x]) if kinds.kind_of(x) == "vectors" else None
    return _frame(x, package)


def _records(rows: list[Mapping[Any, Any]]) -> tuple[tuple[str, ...], list[Any]]:
    """Names and columns of records with equal keys; None among numbers is a missing value."""
    keys = list(rows[0])
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or row.keys() != rows[0].keys():
            raise InputError(f"record {number} has other keys than record 0: expected {listed(keys)}: give equal records")
    columns = ([row[key] for row in rows] for key in keys)
    made = [np.array([np.nan if value is None else value for value in column]) for column in columns]
    return tuple(map(str, keys)), made


def _frame(x: Any, package: str) -> tuple[tuple[str, ...] | None, list[Any]] | None:
    """The same for objects with columns."""
    if package == "pandas":
        return _pandas_names(x), [x.iloc[:, index] for index in range(x.shape[1])]
    if package == "polars":
        return tuple(x.columns), x.get_columns()
    if package == "pyarrow":
        return _arrow_columns(x)
    foreign = any(hasattr(x, method) for method in ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__"))
    return _arrow_columns(_imported(x)) if foreign else None


def _arrow_columns(table: Any) -> tuple[tuple[str, ...] | None, list[Any]]:
    """Names and columns of an Arrow table, without an index that pandas stored in it."""
    keep = [index for index, key in enumerate(table.schema.names) if key not in stored_index(table.schema)]
    return tuple(table.schema.names[index] for index in keep), [table.column(index) for index in keep]


def stored_index(schema: Any) -> list[str]:
    """Names of the columns of an Arrow schema that hold an index of pandas, by pandas' own metadata."""
    import json  # noqa: PLC0415 - for Arrow tables only

    try:
        described = json.loads((schema.metadata or {})[b"pandas"])
        return [key for key in described["index_columns"] if isinstance(key, str)]
    except (KeyError, ValueError, TypeError, RecursionError):
        return []


def _pandas_names(frame: Any) -> tuple[str, ...] | None:
    """Names of a frame's columns; None for the numbers from 0 up that pandas gives to columns without names."""
    names = list(frame.columns)
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
            f'a {type(x).__name__} is read by pyarrow: pip install "aaptvae[parquet]", or pass a numpy array'
        ) from error
    try:
        if hasattr(x, "__arrow_c_stream__"):
            return pyarrow.RecordBatchReader.from_stream(x).read_all()
        if hasattr(x, "__arrow_c_array__"):
            return pyarrow.record_batch(x)
        return pyarrow.interchange.from_dataframe(x)
    except Exception as error:  # of any package
        raise InputError(f"a {type(x).__name__} cannot be read as a table ({error}): pass a numpy array") from None


def _unnamed(x: Any, name: str) -> Array:
    """An object without columns as an array: a tensor, nested lists, a column of numbers."""
    if _package(x) == "torch" and hasattr(x, "layout"):
        return _tensor(x)
    if isinstance(x, np.ndarray) and hasattr(x, "mask"):
        raise InputError(f"{name} is a masked array: expected no masked values: fill them first")
    try:
        return np.asarray(x)
    except Exception as error:  # ragged lists and objects of any package
        if isinstance(x, list | tuple):
            raise InputError(f"{name} is a list of rows of several lengths: expected as many numbers in each") from None
        raise InputError(
            f"{name} is a {type(x).__name__} that numpy cannot read ({error}): expected numbers [N, D]: pass a 2-D array"
        ) from None


def _tensor(x: Any) -> Array:
    """A torch tensor on any device, detached; bfloat16, which numpy lacks, as float32."""
    if str(x.layout) != "torch.strided":
        raise InputError(f"x is a sparse tensor ({x.layout}): expected a dense one: pass x.to_dense()")
    x = x.detach().cpu()
    array: Array = (x.float() if str(x.dtype) == "torch.bfloat16" or "float8" in str(x.dtype) else x).numpy()
    return array


def _refuse_unreadable(x: Any, name: str) -> None:
    """`InputError` for an object that holds rows, but not in memory or not densely; it says what to pass."""
    module, kind = type(x).__module__, type(x).__name__
    if module.startswith("scipy.sparse") or (_package(x) in ("cupyx", "sparse") and hasattr(x, "nnz")):
        remedy = f"pass {name}.toarray()" if hasattr(x, "toarray") else f"pass {name}.todense()"
        raise InputError(f"{name} is a sparse matrix ({kind}): expected dense rows: {remedy}, in blocks if it is large")
    if hasattr(x, "collect") and _package(x) in ("polars", "narwhals", "pyspark", "datafusion"):
        raise InputError(f"{name} is a {kind}, which is not computed yet: pass {name}.collect()")
    if hasattr(x, "compute") and _package(x) in ("dask", "dask_expr"):
        raise InputError(f"{name} is a {kind}, which is not computed yet: pass {name}.compute()")
    if x is None:
        raise InputError(f"{name} is None: expected numbers [N, D]: pass a 2-D array or a table")
    if isinstance(x, str | bytes) or hasattr(x, "__fspath__"):
        raise InputError(f"{name} is a path or text: expected numbers [N, D]: read the file first, or use the command line")
    if _package(x) == "torch" and not hasattr(x, "layout"):
        raise InputError(
            f"{name} is a {kind}, which holds no rows itself: expected numbers [N, D]: pass its tensors, or batch by batch"
        )
    if isinstance(x, Iterator) and not hasattr(x, "__arrow_c_stream__"):
        raise InputError(
            f"{name} is a {kind}, which is read once: expected a table: pass each batch as an array, or all to encode_batches"
        )


def _length(x: Any) -> int:
    return int(getattr(x, "num_rows", None) or len(x))


def _package(x: Any) -> str:
    return type(x).__module__.partition(".")[0]
