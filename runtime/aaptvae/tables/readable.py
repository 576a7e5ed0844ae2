"""Numbers in a column of another type, such as text: how many there are, and how the column is converted; for messages."""

import numbers
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

MISSING = frozenset(("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "null", "NULL", "None"))  # as pandas reads them
_CALLS = {  # strict, and with missing values in place of what is no number
    "pandas": ("{x}[{key!r}].astype(float)", "pd.to_numeric({x}[{key!r}], errors='coerce')"),
    "polars": (
        "pl.col({key!r}).cast(pl.String).cast(pl.Float64)",
        "pl.col({key!r}).cast(pl.String).cast(pl.Float64, strict=False)",
    ),
    "pyarrow": ("{x}[{key!r}].cast('float64')", ""),
    "numpy": ("np.asarray({x}[{key!r}], float)", ""),
}


def share_of_numbers(values: Iterable[Any], first: bool = False) -> tuple[str, bool]:
    """How many of the values that are not missing are numbers, in words, "" for none; and whether all but nulls are.

    Text counts where Python reads it as a number. The values are the `first` ones of a column, or all.
    """
    there = [value for value in values if value is not None and type(value).__name__ not in ("NAType", "NaTType")]
    held = [value for value in there if not (isinstance(value, str) and value.strip() in MISSING)]
    count = sum(map(_is_number, held))
    beginning = "the first " if first else ""
    return f"{count:,} of {beginning}{len(held):,} are numbers" if count else "", count == len(there)


def described(key: str, kind: str, share: str) -> str:
    """A column of a `kind` that is no number, and its share of numbers."""
    return f"{key[:60]} ({kind[:40]}: {share})" if share else f"{key} ({kind})"


def conversion(column: Any, key: str, name: str, whole: bool) -> str:
    """The expression that makes a column of the table `name` one of numbers, if all its values are; "" where there is none."""
    kind = str(getattr(column, "dtype", getattr(column, "type", "")))
    if kind == "Object" or "union" in kind:  # of Polars and Arrow, which cast none
        return ""
    if kind.startswith("run_end_encoded"):
        return f"pc.run_end_decode({name}[{key!r}])"
    strict, lenient = _CALLS.get(type(column).__module__.partition(".")[0], ("", ""))
    return (strict if whole else lenient).format(x=name, key=key)


def values_of(column: Any) -> list[Any]:
    """The values of a column as Python's objects; none of other objects."""
    if hasattr(column, "to_pylist"):
        return list(column.to_pylist())
    return list(column.to_list() if hasattr(column, "to_list") else column) if hasattr(column, "dtype") else []


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return "_" not in value
    return isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool | np.timedelta64)
