"""Fields of a line of text: what is a number, a missing value, a vector, and JSON as numbers."""

import itertools
import re
from typing import Any

import msgspec
import numpy as np

LEAST_NAMES, MANY_NAMES = 3, 8  # columns; fewer numbers rise by chance
MISSING = ("", "NA", "N/A", "null", "NULL")
QUOTED = re.compile(r'"[^"]*"')
DELIMITERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}


def sniffed(text: str) -> str:
    """The delimiter of a line by its content: semicolons, else tabs, else commas, else vertical bars."""
    bare = QUOTED.sub("", text)
    return next((mark for mark in DELIMITERS if mark in bare), ",")


def is_number(field: str) -> bool:
    """Whether a csv field is a number, also in quotes."""
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True


def all_quoted(text: str) -> bool:
    """Whether every field of a line is in quotes."""
    return bool(re.fullmatch(r'(\s*"[^"]*"\s*[,;\t]?)+', text))


def is_whole(field: str) -> bool:
    """Whether a field is an integer, written without a decimal point."""
    return field.strip().lstrip("+-").isdecimal()


def counts_up(fields: list[str]) -> bool:
    """Whether fields are 0, 1, 2, ... or 1, 2, 3, ..."""
    return [field.strip() for field in fields] in ([str(n + begin) for n in range(len(fields))] for begin in (0, 1))


def may_be_names(above: list[str], below: list[str]) -> bool:
    """Whether a first line of numbers may hold names, and no values as the second line does.

    Names rise in equal steps (wavelengths, years), or rise where there are many, or are distinct integers above decimals.
    """
    if len(above) < LEAST_NAMES or in_steps(below):
        return False
    if in_steps(above) or (len(above) >= MANY_NAMES and _rises(above) and not _rises(below)):
        return True
    return all(map(is_whole, above)) and len(set(above)) == len(above) and not any(map(is_whole, below))


def _rises(fields: list[str]) -> bool:
    values = [float(field.strip().strip('"')) for field in fields]
    return all(before < after for before, after in itertools.pairwise(values))


def in_steps(fields: list[str]) -> bool:
    """Whether numbers rise in equal steps."""
    if not all(map(is_number, fields)):
        return False
    steps = np.diff([float(field.strip().strip('"')) for field in fields])
    return bool(len(steps) and np.isfinite(steps).all() and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0))


def is_json_number(value: Any) -> bool:
    """Whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_vector(value: Any) -> bool:
    """Whether a JSON value is an array of numbers."""
    return isinstance(value, list) and bool(value) and all(map(is_json_number, value))


def vector(text: str) -> list[float]:
    """A JSON array as numbers; `ValueError` if it is none."""
    try:
        return msgspec.json.decode(text, type=list[float])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return numbers(decoded(text, list[float | None]))


def numbers(values: Any) -> list[float]:
    """Values of a JSON array as numbers; null becomes NaN."""
    try:
        return msgspec.convert(values, list[float])
    except msgspec.ValidationError:
        pass
    try:
        return [np.nan if value is None else value for value in msgspec.convert(values, list[float | None])]
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def record(text: str) -> dict[str, Any]:
    """A JSON object; `ValueError` if it is none."""
    record: dict[str, Any] = decoded(text, dict[str, Any])
    return record


def decoded(text: str, kind: Any) -> Any:
    """JSON of a type; `ValueError` if it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from error
