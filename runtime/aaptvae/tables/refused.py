"""Objects that hold no rows of numbers in memory, or several tables: refused with what to pass instead."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import InputError
from ..rows import Array
from .frames import is_masked, package_of, tensor_of


def refuse_unreadable(x: Any, name: str) -> None:
    """`InputError` for an object that holds rows, but not in memory or not densely, or several tables."""
    module, kind = type(x).__module__, type(x).__name__
    if is_sparse(x):
        remedy = f"pass {name}.toarray()" if hasattr(x, "toarray") else f"pass {name}.todense()"
        raise InputError(f"{name} is a sparse matrix ({kind}): expected dense rows: {remedy}, in blocks if it is large")
    if hasattr(x, "collect") and package_of(x) in ("polars", "narwhals", "pyspark", "datafusion"):
        raise InputError(f"{name} is a {kind}, which is not computed yet: pass {name}.collect()")
    if hasattr(x, "compute") and package_of(x) in ("dask", "dask_expr"):
        raise InputError(f"{name} is a {kind}, which is not computed yet: pass {name}.compute()")
    if hasattr(x, "to_table") and module.startswith("pyarrow"):
        raise InputError(f"{name} is a {kind}, which is not read yet: pass {name}.to_table()")
    if hasattr(x, "as_py"):
        raise InputError(f"{name} is a {kind}, one value of Arrow: expected a column or a table: pass [{name}.as_py()]")
    if is_masked(x):
        raise InputError(f"{name} is a masked array: expected no masked values: fill them first")
    if x is None:
        raise InputError(f"{name} is None: expected numbers [N, D]: pass a 2-D array or a table")
    if isinstance(x, str | bytes) or hasattr(x, "__fspath__"):
        raise InputError(f"{name} is a path or text: expected numbers [N, D]: read the file first, or use the command line")
    if isinstance(x, list | tuple) and x:
        _refuse_parts(x, name)
    if package_of(x) == "torch" and not hasattr(x, "layout"):
        raise InputError(
            f"{name} is a {kind}, which holds no rows itself: expected numbers [N, D]: pass its tensors, or batch by batch"
        )
    if isinstance(x, Iterator) and not hasattr(x, "__arrow_c_stream__"):
        raise InputError(
            f"{name} is a {kind}, which is read once: expected a table: pass each batch as an array, or all to encode_batches"
        )


def _refuse_parts(x: list[Any] | tuple[Any, ...], name: str) -> None:
    """`InputError` for a list of paths or of tables; one array is a list of rows."""
    if isinstance(x[0], str | bytes) or hasattr(x[0], "__fspath__"):
        raise InputError(
            f"{name} is a list of paths or text: expected numbers [N, D]: read the files first; train and the command line "
            "take the path of a folder, or a pattern"
        )
    if len(getattr(x[0], "shape", ())) == 2:
        many = f"list of {len(x)} tables" if len(x) > 1 else "list of one table"
        others = f", join them, or pass iter({name}) to train or encode_batches, which read batches" if len(x) > 1 else ""
        raise InputError(f"{name} is a {many} ({type(x[0]).__name__}): expected the table itself: pass {name}[0]{others}")


def is_sparse(x: Any) -> bool:
    """Whether an object is a sparse matrix or array."""
    return type(x).__module__.startswith("scipy.sparse") or (package_of(x) in ("cupyx", "sparse") and hasattr(x, "nnz"))


def unnamed_array(x: Any, name: str) -> Array:
    """An object without columns as an array: a tensor, nested lists, a column of numbers."""
    if package_of(x) == "torch" and hasattr(x, "layout"):
        return tensor_of(x)
    try:
        array = np.asarray(x)
    except Exception as error:  # ragged lists and objects of any package
        if isinstance(x, list | tuple):
            raise InputError(f"{name} is a list of rows of several lengths: expected as many numbers in each") from None
        raise InputError(
            f"{name} is a {type(x).__name__} that numpy cannot read ({str(error)[:60]}): expected numbers [N, D]: pass a "
            "2-D array"
        ) from None
    return array if array.dtype.kind != "O" or isinstance(x, np.ndarray) else _of_objects(x, array, name)


def _of_objects(x: Any, array: Array, name: str) -> Array:
    """An array of objects that numpy made of `x`: numbers with None, which is a missing value; `InputError` for others."""
    if array.ndim == 2:
        return _with_missing(array)
    if not isinstance(x, list | tuple):
        raise InputError(f"{name} is a {type(x).__name__}: expected numbers [N, D]: pass a 2-D array or a table")
    raise InputError(
        f"{name} is a list of {type(x[0]).__name__}: expected rows of numbers: pass each as a list of numbers, or as a dict"
    )


def _with_missing(array: Array) -> Array:
    lost = array == None  # noqa: E711 - by element
    filled = np.array(np.where(lost, np.nan, array).tolist()) if lost.any() else array
    return filled if filled.dtype.kind == "f" else array


def refuse_other_order(x: Any, beside: Any, name: str) -> None:
    """`InputError` where `beside`, called `name`, has the labels of pandas of the rows of `x` in another order."""
    index = _index_of(x)
    for other in beside.values() if isinstance(beside, Mapping) else [beside]:
        labels = _index_of(other)
        if index is None or labels is None or index.equals(labels) or len(index) != len(labels):
            continue
        if not index.has_duplicates and not index.symmetric_difference(labels).size:
            raise InputError(
                f"{name} has the index of x in another order: expected the same order of rows: pass {name}.loc[x.index], or "
                "values without an index in the order of x"
            )


def _index_of(x: Any) -> Any:
    return getattr(x, "index", None) if package_of(x) == "pandas" and hasattr(x, "iloc") else None
