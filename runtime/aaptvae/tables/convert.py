"""Arrays, tensors, data frames and Arrow tables as numbers [N, D] with names; no package but numpy is imported for it.

A kind of object is recognised by the package of its type, which is then loaded already. Objects of other packages are
read over the Arrow C stream, which needs pyarrow.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..rows import Array
from . import columns as kinds
from .frames import named_columns, package_of
from .names import (
    BESIDE,
    LATENTS,
    Unnamed,
    as_names,
    check_names,
    in_usual_order,
    latent_names,
    left_out_of,
    listed,
    match_columns,
)
from .readable import conversion, described, share_of_numbers, values_of
from .refused import refuse_unreadable, unnamed_array

LACKING = "{name} has no column {key}: its columns are {columns}: check the spelling"
TableLike = Any  # ArrayLike, or an object that `as_table` reads


class Table(NamedTuple):
    """Numbers [N, D] and the names of their columns, if they have names. `values` of other ranks are left to the caller."""

    values: Array
    columns: tuple[str, ...] | None = None


def as_table(
    x: Any,
    *,
    columns: Sequence[str] | Unnamed | None = None,
    passthrough: Sequence[str] = (),
    chosen: Sequence[str] = (),
    name: str = "x",
    remedy: str = BESIDE,
) -> Table:
    """`x` as numbers [N, D] with names of its columns.

    `x` is an array, nested lists, a torch tensor, a pandas, Polars or Arrow table, a mapping of names to columns, a list of
    records, any object with `__arrow_c_stream__` or `__dataframe__`, or one column of vectors. Features are the columns
    `chosen`, else all but those in `passthrough`; columns without names are called by their positions. Named ones are matched
    with `columns` and taken in that order. Missing values become NaN. Raises `InputError` for a column that is missing,
    unknown (`remedy` says how such ones are left out), or no number; `MissingDependencyError` where pyarrow is needed.
    """
    passthrough, chosen = as_names(passthrough), as_names(chosen)
    selects = bool(passthrough or chosen)
    if type(x) is np.ndarray and x.dtype.names is None:
        return Table(_by_position(x, passthrough, chosen, name) if selects else x)
    refuse_unreadable(x, name)
    named = named_columns(x, {*passthrough, *chosen, *(columns or ())}, name)
    if named is None:
        return Table(_by_position(unnamed_array(x, name), passthrough, chosen, name) if selects else unnamed_array(x, name))
    names, held = named
    called = names if names is not None else tuple(map(str, range(len(held))))
    left_out = left_out_of(called, chosen, passthrough, name)
    kept = [index for index in range(len(held)) if called[index] not in left_out]
    if len(kept) == 1 and kinds.kind_of(held[kept[0]]) == "vectors":
        return Table(kinds.matrix_of(held[kept[0]], name))
    expected = _expected(columns, names, [called[index] for index in kept])
    names = called if expected is not None else names
    order = match_columns(called, expected or chosen or None, name, left_out, remedy) if names is not None or selects else None
    if names is not None:
        check_names(names, name)
    taken, called = (held, called) if order is None else ([held[index] for index in order], tuple(called[i] for i in order))
    refuse_others(taken, called, name, remedy, bool(chosen) or expected is not None, isinstance(x, list | tuple))
    whole = _whole_block(x, held) if order is None else None
    return Table(_stacked(x, taken) if whole is None else whole, None if names is None else called)


def column_values(
    x: Any, wanted: Sequence[str], name: str = "x", *, strict: bool = True, lacking: str = LACKING
) -> dict[str, Any]:
    """The columns of a table that have these names, unconverted; columns without names are called by their positions.

    `InputError`, with the text of `lacking`, names every one that is not there, unless it is not `strict`.
    """
    named = None if type(x) is np.ndarray and x.dtype.names is None else named_columns(x, set(wanted), name)
    if named is None:
        array = unnamed_array(x, name)
        named = None, list(array.T) if array.ndim == 2 else []
    names, held = named
    columns = dict(zip(names if names is not None else map(str, range(len(held))), held, strict=True))
    if strict and (absent := [key for key in wanted if key not in columns]):
        raise InputError(lacking.format(name=name, key=listed(absent), columns=listed([*columns])))
    return {key: columns[key] for key in wanted if key in columns}


def _expected(
    columns: Sequence[str] | Unnamed | None, names: Sequence[str] | None, called: Sequence[str]
) -> Sequence[str] | None:
    """The names to match those of the columns `called` with; None where columns keep their order.

    Columns without `names` are called by their positions, which may be the names of a model.
    """
    if isinstance(columns, Unnamed):
        return in_usual_order(called, columns) if names is not None else None
    return columns if columns is not None and (names is not None or set(columns) == set(called)) else None


def _by_position(values: Array, passthrough: Sequence[str], chosen: Sequence[str], name: str) -> Array:
    """Columns of an array [N, D] that are called by their positions."""
    if values.ndim != 2:
        return values
    called = tuple(map(str, range(values.shape[1])))
    order = match_columns(called, chosen or None, name, left_out_of(called, chosen, passthrough, name))
    return values if order is None else values[:, order]


def latents_of(z: Any, width: int, *, named: bool, passthrough: Sequence[str] = ()) -> Any:
    """Latents [N, width] of an array or a table; where the model's columns are `named`, those of `z` must be z0, z1, ...

    Columns in `passthrough` are no latents.
    """
    if type(z) is np.ndarray and z.dtype.names is None:
        return z
    columns = latent_names(width) if named else LATENTS
    return as_table(z, columns=columns, passthrough=passthrough, name="z", remedy="drop them").values


def filled(values: Array, means: Array) -> Array:
    """`values` [N, D] with the mean of its column [D] in place of NaN; itself without NaN or with another width."""
    if values.ndim != 2 or values.dtype.kind != "f" or values.shape[1] != len(means) or not (lost := np.isnan(values)).any():
        return values
    return np.where(lost, means.astype(values.dtype), values)


def refuse_others(
    held: Sequence[Any], names: Sequence[str], name: str, remedy: str, explicit: bool, records: bool = False
) -> None:
    """`InputError` that names every column that holds no numbers; `explicit` names allow booleans. A list of `records` has
    no columns itself."""
    allowed = ("number", "bool") if explicit else ("number",)
    vectors = [called for called, column in zip(names, held, strict=True) if kinds.kind_of(column) == "vectors"]
    if len(vectors) == 1 and len(held) > 1:
        raise InputError(f"{name} holds vectors in column {vectors[0]} beside {len(held) - 1} others: {remedy}")
    others = [(called, column) for called, column in zip(names, held, strict=True) if kinds.kind_of(column) not in allowed]
    wrong, convert = [], "convert them"
    for called, column in others:
        said, whole = share_of_numbers(values_of(column))
        wrong.append(described(called, kinds.type_name(column), said))
        if said and convert == "convert them" and not records and (call := conversion(column, called, name, whole)):
            convert += f", such as {called} with {call}"
    if wrong:
        raise InputError(f"{name} holds columns that are no numbers: {listed(wrong, 130)}: {convert}, or {remedy}")


def _stacked(x: Any, held: Sequence[Any]) -> Array:
    """Columns side by side as numbers."""
    return kinds.stacked(held) if held else np.empty((_length(x), 0), np.float32)


def _whole_block(x: Any, held: Sequence[Any]) -> Array | None:
    """A pandas frame of plain numbers, as pandas itself makes a matrix of it, without a copy where it holds one."""
    if package_of(x) != "pandas" or not all(isinstance(c.dtype, np.dtype) for c in held):
        return None
    array = np.asarray(x)
    return array if array.dtype.kind in "fiu" else None


def _length(x: Any) -> int:
    return int(getattr(x, "num_rows", None) or len(x))
