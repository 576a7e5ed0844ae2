"""Conditions of rows as numbers c [N, C]: categories one-hot, numbers standardised."""

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np

from .bundle.manifest import Condition
from .engine import require_memory
from .errors import InputError
from .rows import Array, BadRowError, Rows, as_rows, is_single
from .tables import column_values
from .tables.names import listed

Positions = Sequence[int] | Array
ConditionLike = Any  # a mapping from names to one value or to one for each row, a table, or c itself as an array [N, C]

NO_CONDITION = "this bundle takes no condition: leave condition out, or train with --condition"


_MANY = 1 << 24  # numbers of c, of which fewer are not compared with the memory
_MISSING = ("NAType", "NaTType")  # of pandas, which is not imported here: compared with itself, NA is no bool


def text_of(value: Any) -> str:
    """The text by which a value names a row: whole numbers without a decimal point; "" for a missing value.

    `InputError` for text with half of a surrogate pair, which no file can hold.
    """
    if value is None or type(value).__name__ in _MISSING:
        return ""
    if isinstance(value, Number) and value != value:  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    text = str(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRowError(
                f"{text[:100]!r} holds half of a surrogate pair: expected Unicode text: repair such rows"
            ) from None
    return text


def category_of(value: Any) -> str:
    """The name of a category: text without spaces around it; "" for a missing value."""
    return text_of(value).strip()


class Conditions:
    """The conditions of a model, in their order in c."""

    def __init__(self, specs: Sequence[Condition]) -> None:
        self.specs = tuple(specs)
        self.names = tuple(spec.name for spec in specs)
        self.width = sum(spec.width for spec in specs)

    def __bool__(self) -> bool:
        return bool(self.specs)

    def __str__(self) -> str:
        """Names with their categories, for messages."""
        return "; ".join(f"{s.name} ({listed(s.categories) if s.categories else 'a number'})" for s in self.specs)

    def of_rows(
        self, condition: ConditionLike, rows: int, table: Mapping[str, Sequence[Any]] | None = None, first: int = 0
    ) -> Rows:
        """c [rows, C] from `condition` and, for names that it lacks, from columns of the `table` of the rows.

        `first` is the number of the first row in errors.

        `InputError` for a condition that is missing, unknown, of another number of rows or no known category.
        """
        if rows * self.width > _MANY:
            stage = f"encoding conditions of {rows:,} rows as {self.width:,} numbers"
            require_memory(stage, 8.0 * rows * self.width, "ask for fewer rows at a time")
        if isinstance(condition, np.ndarray) and condition.dtype.names is None:
            return self._numbers_of(condition, rows)
        held = {**(table or {}), **self._named(condition)}
        if absent := [name for name in self.names if name not in held]:
            example = {spec.name: spec.categories[0] if spec.categories else round(spec.mean, 2) for spec in self.specs}
            raise InputError(
                f"the condition {listed(absent)} is missing: this bundle takes {self}: pass condition={example}, or rows "
                "with such columns"
            )
        return np.concatenate([encoded(spec, held[spec.name], rows, range(first, first + rows)) for spec in self.specs], axis=1)

    def fixed(self, condition: Mapping[str, Any] | None) -> dict[str, Any]:
        """Values of which each stands for all rows of any batch; `InputError` for one that is no such value."""
        if condition is not None and not self:
            raise InputError(NO_CONDITION)
        given = self._named(condition)
        for spec in self.specs:
            if spec.name in given and not is_single(given[spec.name]):
                raise InputError(
                    f"condition {spec.name} has {len(given[spec.name])} values: expected one for all rows: leave it out to "
                    "take the column of this name"
                )
            if spec.name in given:
                encoded(spec, given[spec.name], 1)
        return given

    def within(self, x: Any, width: int) -> dict[str, list[Any]]:
        """Columns of a table that are conditions; none of an array of `width` columns, whose columns have no names."""
        if isinstance(x, np.ndarray) and x.dtype.names is None and (x.ndim != 2 or x.shape[1] == width):
            return {}
        return column_values(x, self.names, strict=False)

    def _numbers_of(self, c: Array, rows: int) -> Rows:
        """c itself, [rows, C] or one row for all."""
        if c.ndim != 2 or c.shape[1] != self.width or len(c) not in (1, rows):
            raise InputError(
                f"condition is an array of shape {c.shape}: expected c [{rows}, {self.width}], or values by name: {self}"
            )
        return as_rows(np.repeat(c, rows, axis=0) if len(c) != rows else c, self.width, "c")

    def _named(self, condition: ConditionLike) -> dict[str, Any]:
        if condition is None:
            return {}
        if isinstance(condition, str) or (is_single(condition) and not hasattr(condition, "__len__")):
            raise InputError(
                f"condition is {condition!r}: expected values by name: pass condition={{{self.names[0]!r}: {condition!r}}}"
            )
        given = dict(condition) if isinstance(condition, Mapping) else column_values(condition, self.names, strict=False)
        if unknown := [name for name in given if name not in self.names]:
            raise InputError(f"condition has {listed(unknown)}: expected {self}: leave out the others")
        return given


def encoded(spec: Condition, values: Any, rows: int, positions: Positions | None = None) -> Rows:
    """One condition's part of c [rows, width]; one value stands for all rows. Errors name rows by their `positions` [rows]."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or is_single(values):
        return np.repeat(_numbers(spec, [values], None), rows, axis=0)
    if getattr(values, "ndim", 1) > 1:
        raise InputError(f"condition {spec.name} has shape {tuple(values.shape)}: expected one value for each row [{rows}]")
    held = values_of(values)
    if len(held) != rows:
        raise InputError(f"condition {spec.name} has {len(held)} values for {rows} rows: expected one, or one for each row")
    return _numbers(spec, held, range(rows) if positions is None else positions)


def values_of(column: Any) -> list[Any]:
    """The values of a column of any package as Python objects; dates and durations of numpy as text."""
    if getattr(getattr(column, "dtype", None), "kind", "") in "mM" and isinstance(column, np.ndarray):
        return list(column.astype(str).tolist())
    for method in ("to_pylist", "tolist", "to_list"):  # pyarrow; numpy and pandas; Polars
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def _numbers(spec: Condition, values: list[Any], positions: Positions | None) -> Rows:
    return _one_hot(spec, values, positions) if spec.categories else _standardised(spec, values, positions)


def _place(row: int, positions: Positions | None) -> str:
    """Where a value is, in errors; nowhere for one value of all rows."""
    return "" if positions is None else f" in row {positions[row]}"


def _one_hot(spec: Condition, values: list[Any], positions: Positions | None) -> Rows:
    places = {name: index for index, name in enumerate(spec.categories)}
    codes = [places.get(category_of(value), -1) for value in values]
    if -1 in codes:
        row = codes.index(-1)
        raise BadRowError(
            f"condition {spec.name} is {_shown(values[row])}{_place(row, positions)}: expected one of "
            f"{listed(spec.categories)}: pass a category that the model was trained on"
        )
    c = np.zeros((len(values), spec.width), np.float32)
    c[np.arange(len(values)), codes] = 1
    return c


def _standardised(spec: Condition, values: list[Any], positions: Positions | None) -> Rows:
    bad = [row for row, value in enumerate(values) if isinstance(value, str) and not is_plain(value)]
    c: Rows = np.empty((0, 1), np.float32)
    if not bad:
        try:
            with np.errstate(over="ignore"):
                c = ((np.array(values, np.float64) - spec.mean) / spec.scale).astype(np.float32)[:, None]
            bad = np.flatnonzero(~np.isfinite(c)).tolist()
        except (ValueError, TypeError, OverflowError):
            bad = [next(row for row, value in enumerate(values) if not _is_number(value))]
    if bad:
        raise BadRowError(
            f"condition {spec.name} is {_shown(values[bad[0]])}{_place(bad[0], positions)}: expected a finite number in the "
            "range of float32: drop or repair such rows"
        )
    return c


def is_plain(text: str) -> bool:
    """Whether text has none of the forms of numbers that files do not: 1_000, digits of other scripts."""
    return text.isascii() and "_" not in text


def _shown(value: Any) -> str:
    """A value in errors; an integer of many digits has no text that is worth its time."""
    return "an integer of more than 300 digits" if type(value) is int and value.bit_length() > 1000 else repr(value)[:100]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
