"""One column of a table: the kind of its values, and their conversion to numbers or to vectors."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..errors import InputError
from ..rows import Array, is_single

Kind = Literal["number", "bool", "vectors", "other"]
_BY_KIND: dict[str, Kind] = {"f": "number", "i": "number", "u": "number", "b": "bool"}
_NUMBERS = ("int", "uint", "float", "double", "halffloat", "half")


def type_name(column: Any) -> str:
    """The type of a column in the words of its package, with the shape of an array of several dimensions."""
    dtype = getattr(column, "dtype", None)
    name = str(getattr(column, "type", type(column).__name__) if dtype is None else dtype)
    return f"{name} of shape {column.shape}" if isinstance(column, np.ndarray) and column.ndim > 1 else name


def kind_of(column: Any) -> Kind:
    """The kind of a column of numpy, pandas, Polars or pyarrow."""
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.dtype.kind in "fiu":
        return "vectors"
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, np.dtype):
        if isinstance(column, np.ndarray) and column.ndim > 1:
            return "other"
        return _of_objects(column) if dtype.kind == "O" else _BY_KIND.get(dtype.kind, "other")
    name = type_name(column).lower().removesuffix("[pyarrow]")
    if name.startswith(("list", "large_list", "fixed_size_list", "array(", "extension<arrow.fixed_shape_tensor")):
        return "vectors" if any(number in name for number in _NUMBERS) else "other"
    if name.startswith("sparse["):  # of pandas, densified when it is read
        name = name.removeprefix("sparse[").partition(",")[0]
    if name in ("bool", "boolean"):
        return "bool"
    # "null" is the type of a column whose values are all missing.
    return "number" if name == "null" or (name.rstrip("0123456789") in _NUMBERS and not name.endswith("128")) else "other"


def _of_objects(column: Any) -> Kind:
    """The kind of the first value that is not missing; a column of missing values alone holds numbers."""
    first = next((value for value in column if not _is_missing(value)), None)
    if first is None:
        return "number"
    if not isinstance(first, np.ndarray | list | tuple):
        return "other"
    try:
        return "vectors" if np.asarray(first).dtype.kind in "fiu" else "other"
    except ValueError:  # vectors in a vector, of several lengths
        return "other"


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA, which is no number."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def stacked(held: Sequence[Any]) -> Array:
    """Columns of numbers side by side [N, D], in the type that holds them all."""
    arrays = [numbers_of(column) for column in held]
    return np.stack(arrays, axis=1)


def numbers_of(column: Any) -> Array:
    """A column of numbers [N]; a missing value becomes NaN."""
    array: Array
    if isinstance(getattr(column, "dtype", None), np.dtype):  # numpy, and pandas over numpy
        array = np.asarray(column)
    elif _package(column) == "pandas":  # nullable and Arrow types
        wide = np.float32 if type_name(column).lower() in ("float32", "float[pyarrow]", "halffloat[pyarrow]") else np.float64
        array = column.to_numpy(dtype=wide, na_value=np.nan)
    else:
        array = column.to_numpy() if hasattr(column, "chunks") or _package(column) == "polars" else _of_arrow(column)
    if array.dtype.kind == "O":  # booleans with nulls
        array = np.array([np.nan if _is_missing(value) else value for value in array], np.float64)
    return array.astype(np.float32) if array.dtype.kind == "b" else array


def matrix_of(column: Any, name: str) -> Array:
    """A column of vectors of equal length as a matrix [N, D]."""
    if isinstance(column, np.ndarray) and column.ndim == 2:
        return column
    if _package(column) == "pyarrow":
        return _arrow_matrix(column, name)
    if _package(column) == "polars":
        return _polars_matrix(column, name)
    values = list(column)
    try:
        _check_lengths({-1 if value is None or is_single(value) else len(value) for value in values}, name)
        return np.array([np.asarray(value) for value in values])
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{name} is a column that numpy cannot read ({error}): expected vectors of numbers") from None


def _polars_matrix(column: Any, name: str) -> Array:
    lengths = (column.list if str(column.dtype).startswith("List") else column.arr).len()
    _check_lengths({-1 if length is None else length for length in lengths.unique().to_list()}, name)
    if not len(column):
        return np.empty((0, getattr(column.dtype, "size", 0)), np.float32)
    array: Array = column.explode().to_numpy()
    return array.reshape(len(column), -1)


def _arrow_matrix(column: Any, name: str) -> Array:
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if hasattr(column, "num_chunks"):  # a chunked array without rows, in old versions
        column = column.chunk(0)
    if hasattr(column, "to_numpy_ndarray") and not column.null_count:  # tensors, whose storage may be permuted
        array: Array = column.to_numpy_ndarray()
        return array.reshape(len(column), -1)
    column = getattr(column, "storage", column)
    lengths = np.asarray(column.value_lengths().drop_null())
    _check_lengths({*lengths.tolist(), *([-1] * bool(column.null_count))}, name)
    return _of_arrow(column.flatten()).reshape(len(column), -1 if len(column) else getattr(column.type, "list_size", 0))


def _of_arrow(array: Any) -> Array:
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def _check_lengths(lengths: set[int], name: str) -> None:
    if len(lengths) > 1 or -1 in lengths:
        raise InputError(f"{name} is a column with nulls or vectors of several lengths: expected equal ones: drop the others")


def _package(x: object) -> str:
    return type(x).__module__.partition(".")[0]
