"""Fields of a line of text: what is a number, a missing value, a vector, and JSON as numbers."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from ..errors import InputError
from ..tables.readable import MISSING

_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
QUOTED = re.compile(r'"[^"]*"')
DELIMITERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}


def sniffed(lines: Sequence[str]) -> str:
    """The delimiter of a line, the first of several: semicolons, else tabs, else commas, else vertical bars.

    Of several marks in the line, one that is as often in the next line goes before the others.
    """
    above, *below = [QUOTED.sub("", text) for text in lines[:2]]
    found = [mark for mark in DELIMITERS if mark in above]
    equal = [mark for mark in found if below and above.count(mark) == below[0].count(mark)]
    return (equal or found or [","])[0]


def number(field: str) -> float:
    """A field as a number, also in quotes; `ValueError` if it is none, or is written as in Python's 1_000."""
    if "_" in field:
        raise ValueError(field)
    return float(field.strip().strip('"'))


def is_number(field: str) -> bool:
    """Whether a csv field is a number, also in quotes."""
    try:
        number(field)
    except ValueError:
        return False
    return True


def is_name(field: str) -> bool:
    """Whether a csv field may be a name: no number, no missing value, and not of marks alone, such as - or ?."""
    return field.strip() not in MISSING and not is_number(field) and any(map(str.isalnum, field))


def decimal_comma(rows: Sequence[Sequence[str]]) -> str:
    """The decimal mark of rows of fields: "," or "."; "" if commas may also separate thousands, as in 1,234 alone."""
    fields = [field.strip().strip('"') for row in rows for field in row]
    commas = [field for field in fields if _COMMA.fullmatch(field)]
    if not commas or any(_POINT.fullmatch(field) for field in fields):
        return "."
    return "" if all(_THOUSANDS.fullmatch(field) for field in commas) else ","


def pointed(fields: Sequence[str]) -> list[str]:
    """Fields with a decimal point for a decimal comma."""
    return [field.replace(",", ".") if _COMMA.fullmatch(field.strip().strip('"')) else field for field in fields]


def all_quoted(text: str) -> bool:
    """Whether every field of a line is in quotes."""
    return bool(re.fullmatch(r'(\s*"[^"]*"\s*[,;\t]?)+', text))


def is_whole(field: str) -> bool:
    """Whether a field is an integer, written without a decimal point."""
    return field.strip().lstrip("+-").isdecimal()


def counts_up(fields: list[str]) -> bool:
    """Whether fields are 0, 1, 2, ... or 1, 2, 3, ..."""
    return [field.strip() for field in fields] in ([str(n + begin) for n in range(len(fields))] for begin in (0, 1))


def rise(fields: list[str]) -> bool:
    """Whether each number is greater than the one before."""
    return all(before < after for before, after in itertools.pairwise(map(number, fields)))


def in_steps(fields: list[str]) -> bool:
    """Whether numbers rise in equal steps."""
    if not all(map(is_number, fields)):
        return False
    steps = np.diff(list(map(number, fields)))
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


def first_record(name: str, line: tuple[int, str], why: Callable[[str], str], skip: bool) -> dict[str, Any] | None:
    """The record of the first line; None for a line that is none and may be skipped.

    `InputError` says why it is none, or names a key that is there twice, of which later readers would take the last.
    """
    number, text = line
    try:
        held = record(text)
    except ValueError:
        if skip:
            return None
        raise InputError(f"{name} line {number} {why(text)}") from None
    keys = json.loads(text, object_pairs_hook=lambda pairs: [key for key, _ in pairs], parse_int=len, parse_float=len)
    if twice := [key for key in held if keys.count(key) > 1]:
        raise InputError(f"{name} line {number} has the key {twice[0]!r} more than once: expected each once: rename or drop it")
    return held


def decoded(text: str, kind: Any) -> Any:
    """JSON of a type; `ValueError` if it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from error
