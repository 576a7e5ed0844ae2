"""The syntax of a line of csv or jsonl: its delimiter, names, and the conversion to numbers.

Where the first lines are ambiguous, nothing is guessed: the error names the option that decides.
"""

import contextlib
import csv
import re
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np

from ..errors import InputError
from ..tables.readable import MISSING
from .fields import decimal_comma, first_record, is_json_number, is_number, is_vector, number, numbers, record, sniffed, vector
from .header import Line, has_header, is_row, names_in_comment, refuse_delimiter, refuse_index, refuse_spaces, spelled
from .reading import Reading, Selection, choose
from .table import Batch

_ARRAY = re.compile(r"\[\s*([{\[]|$)")  # of records or rows, or one that goes on in the next line
_EXCHANGED = str.maketrans(",.", ".,")


class Syntax(ABC):
    """How lines become numbers. `names` are those of all columns, None without."""

    names: tuple[str, ...] | None = None
    header_lines = 0
    notes: tuple[str, ...] = ()
    reading: Reading  # of the columns that a line is split into
    _chosen: Selection | None = None
    _width: int | None = None  # of a whole row, once columns are chosen

    @abstractmethod
    def __init__(self, name: str, first: list[Line], reading: Reading, comment: str = "") -> None:
        """Of a file called `name` with these first lines, below `comment`."""

    @staticmethod
    def is_comment(text: str, like: str, reading: Reading) -> bool:
        """Whether a line that begins with # is no row; `like` is the first line that is no comment."""
        return True

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on."""
        self._chosen, self._width = chosen, width

    @abstractmethod
    def types(self, text: str) -> list[str]:
        """For each value of a row: "" for a number, else the name of its type."""

    @abstractmethod
    def values(self, text: str) -> list[Any]:
        """The values of a row, unconverted; `ValueError` if it is none."""

    @abstractmethod
    def parse(self, texts: list[str]) -> Batch:
        """Lines as rows; `ValueError` if one is not a row of numbers."""

    @abstractmethod
    def unreadable(self, text: str) -> str:
        """The reason why a line is not a row, for an error message."""


class CsvSyntax(Syntax):
    """Fields between delimiters, with an optional header of names."""

    def __init__(self, name: str, first: list[Line], reading: Reading, comment: str = "") -> None:
        self.reading = reading
        self._delimiter = reading.delimiter or sniffed([text for _, text in first])
        refuse_delimiter(name, first, self._delimiter)
        self._all: list[int] | None = None
        self.header_lines = int(has_header(name, first, self._fields, reading))
        said = [f"{spelled(self._delimiter)} between values"] * (not reading.delimiter and self._delimiter != ",")
        self._comma = self._has_comma(name, first[self.header_lines :])
        said += ["a decimal comma"] * (self._comma and not reading.decimal)
        if self.header_lines:
            fields = self._fields(first[0][1])
            self.names = tuple(field.strip() or f"unnamed_{index}" for index, field in enumerate(fields))
            refuse_index(name, first, self._fields, self.names[0], reading)
            refuse_spaces(name, first, self._fields, self._delimiter)
        elif reading.header is None:
            self.names = names_in_comment(comment, self._fields, len(self._fields(first[0][1])))
            said += ["the names of its columns in the comment above them"] * (self.names is not None)
        self.notes = (f"{name} is read with {' and '.join(said)}",) * bool(said)

    @staticmethod
    def is_comment(text: str, like: str, reading: Reading) -> bool:
        """Whether a line that begins with # is no row: of another number of fields than the line `like`."""
        return not is_row(text, like, partial(_split, delimiter=reading.delimiter or sniffed([like])))

    def _has_comma(self, name: str, rows: list[Line]) -> bool:
        """Whether numbers have a decimal comma; `InputError` if their commas may separate thousands."""
        if self.reading.decimal:
            return self.reading.decimal == ","
        if self._delimiter == "," or not rows:
            return False
        split = []
        for _, text in rows:
            with contextlib.suppress(ValueError):
                split.append(self._fields(text))
        if not (mark := decimal_comma(split)):
            raise InputError(
                f"{name} line {rows[0][0]} may have decimal commas or commas between thousands: {rows[0][1][:60]!r}: "
                "say --decimal , for decimal commas, else write numbers without commas"
            )
        return mark == ","

    def _fields(self, text: str) -> list[str]:
        return _split(text, self._delimiter)

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on; all in their order are read without selection."""
        super().take(chosen, width)
        self._all = None if chosen.features == list(range(width)) else chosen.features

    def types(self, text: str) -> list[str]:
        """Text is the only other type of csv; an empty field is a missing number."""
        return ["" if self._is_value(field) else "text" for field in self._fields(text)]

    def values(self, text: str) -> list[Any]:
        """Fields, with a decimal point."""
        return [self._with_point(field) for field in self._fields(text)]

    def _is_value(self, field: str) -> bool:
        """Whether a field is a number or a missing value."""
        return is_number(self._with_point(field)) or field.strip() in MISSING

    def _with_point(self, field: str) -> str:
        """A field with a decimal point; beside decimal commas, a point of its own makes it no number."""
        return field.translate(_EXCHANGED) if self._comma else field

    def parse(self, texts: list[str]) -> Batch:
        """Numbers by numpy; text that passes through by the csv module."""
        assert self._chosen is not None  # noqa: S101 - `take` comes first
        ids = () if self._all is None else self._ids(texts)
        try:
            if self._comma and (self._delimiter == "," or any("." in text for text in texts)):
                raise ValueError("commas or points that are not decimal ones")
            plain = [text.replace(",", ".") for text in texts] if self._comma else texts
            return Batch(
                np.loadtxt(plain, delimiter=self._delimiter, comments=None, quotechar='"', ndmin=2, usecols=self._all), ids
            )
        except ValueError:
            return Batch(self._with_missing(texts), ids)

    def _ids(self, texts: list[str]) -> tuple[Any, ...]:
        """Columns that pass through; `ValueError` for a row of another width, which `usecols` of numpy would hide."""
        assert self._chosen is not None and self._width is not None  # noqa: S101
        mark, marks = self._delimiter, self._width - 1
        plain = not self._chosen.ids and mark != " " and '"' not in "".join(texts)  # several spaces are one delimiter
        if plain and set(map(methodcaller("count", mark), texts)) == {marks}:
            return ()
        fields = _split_all(texts, mark)
        if any(len(row) != self._width for row in fields):
            raise ValueError("rows of several widths")
        return tuple(np.fromiter((row[index] for row in fields), object) for index in self._chosen.ids)

    def _with_missing(self, texts: list[str]) -> Any:
        """Numbers with NaN for missing values."""
        point = self._with_point
        rows = [[np.nan if field.strip() in MISSING else number(point(field)) for field in self._taken(text)] for text in texts]
        return np.array(rows, np.float64, ndmin=2)

    def _taken(self, text: str) -> list[str]:
        fields = self._fields(text)
        return fields if self._all is None else [fields[index] for index in self._all]

    def unreadable(self, text: str) -> str:
        """Why a line is no row, with the first field that is no number."""
        try:
            fields = self._fields(text)
        except ValueError as error:
            return f"cannot be split into fields ({error}): {text[:60]!r}"
        if self._delimiter not in text and (self.names is None or len(self.names) > 1) and not self._is_value(text):
            return (
                f"is not a row of numbers: {text[:60]!r}: expected {spelled(self._delimiter)} "
                "between them, or name another character with --delimiter"
            )
        if self._width not in (None, len(fields)):
            return f"has {len(fields)} values: expected {self._width}"
        for column in self._chosen.features if self._chosen else range(len(fields)):
            if not self._is_value(fields[column]):
                called = self.names[column] if self.names and column < len(self.names) else column
                mark = " with a decimal comma" if self._comma else ""
                return (
                    f"has {fields[column][:60]!r} in column {called}: expected a number{mark}, or nothing for a missing value"
                )
        return f"is not a row of numbers: {text[:60]!r}"


def _split(text: str, delimiter: str) -> list[str]:
    """The fields of a line; `ValueError` if it is none."""
    return _split_all([text], delimiter)[0]


def _split_all(texts: list[str], delimiter: str) -> list[list[str]]:
    """The fields of each line; `ValueError` if one is none."""
    try:
        *rows, last = csv.reader([*texts, ""], delimiter=delimiter, skipinitialspace=True)
    except csv.Error as error:
        if any("\r" in text for text in texts):
            raise ValueError("its lines end in CR alone, as on old Macintoshes: save it with LF or CRLF") from None
        raise ValueError(str(error)) from None
    if last or len(rows) != len(texts):  # a field goes on in the next line
        raise ValueError("it ends inside quotes: a line break within a field is not read: take it out")
    return rows


class JsonSyntax(Syntax):
    """An array of numbers, an object with one array of numbers, or an object of named numbers."""

    def __init__(self, name: str, first: list[Line], reading: Reading, comment: str = "") -> None:
        self._ids, self.reading = reading.ids, reading
        self._vector: str | None = None
        self._record, self._keys = first[0][1].startswith("{"), dict[str, Any]().keys()
        if _ARRAY.match(first[0][1]) and not reading.skip_bad:
            raise InputError(
                f"{name} line {first[0][0]} begins an array of JSON: {first[0][1][:40]!r}: expected one record or row a line, "
                "without brackets around all"
            )
        if not self._record:
            return
        held = first_record(name, first[0], self.unreadable, reading.skip_bad)
        if held is None:
            return
        arrays = {key: value for key, value in held.items() if isinstance(value, list) and key not in reading.left_out}
        vectors = [key for key, value in arrays.items() if len(arrays) == 1 or is_vector(value)]
        if len(vectors) == 1 and reading.columns in ((), (vectors[0],)):
            choose(name, tuple(held), len(held), replace(reading, columns=(), expected=None))  # ids and drop are keys
            self._vector, self.reading = vectors[0], replace(reading, columns=(), drop=(), ids=(), conditions=())
        else:
            self.names, self._keys = tuple(held), held.keys()

    def types(self, text: str) -> list[str]:
        """JSON's types other than number; null is a missing number."""
        if not self._record:
            return [""] * len(vector(text))
        held = record(text)
        if self._vector is not None:
            return [""] * len(held[self._vector])
        return ["" if value is None or is_json_number(value) else type(value).__name__ for value in held.values()]

    def values(self, text: str) -> list[Any]:
        """Of named values, as the keys are in the first line."""
        return [*map(record(text).get, self._keys)]

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on."""
        super().take(chosen, width)
        self._all = None if self._record or chosen.features == list(range(width)) else chosen.features

    def parse(self, texts: list[str]) -> Batch:
        """Rows by msgspec; keys are looked up in each record."""
        if not self._record:
            rows = np.array(list(map(vector, texts)), np.float64, ndmin=2)
            if self._all is not None and rows.shape[1] != self._width:
                raise ValueError("rows of another width")
            return Batch(rows if self._all is None else rows[:, self._all])
        records = list(map(record, texts))
        try:
            ids = tuple(np.fromiter((record[key] for record in records), object) for key in self._ids)
            rows = np.array([numbers(self._values(record)) for record in records], np.float64, ndmin=2)
        except KeyError as error:
            raise ValueError(str(error)) from None
        return Batch(rows, ids)

    def _values(self, record: dict[str, Any]) -> Any:
        if self._vector is not None:
            return record[self._vector]
        keys = (self._chosen.columns if self._chosen else None) or ()
        if len(record) != len(keys) and (other := record.keys() - self._keys):
            raise KeyError(other)
        return [record[key] for key in keys]

    def unreadable(self, text: str) -> str:
        """Why a line is no row: it is no JSON, or a key is missing or no number."""
        if re.search(r"\b(NaN|Infinity)\b", text):
            return f"holds NaN or Infinity, which are no JSON: write null for a missing value: {text[:60]!r}"
        keys = (self._vector,) if self._vector is not None else (self._chosen and self._chosen.columns) or ()
        try:
            held = record(text) if self._record else {}
            if not self._record and self._width not in (None, count := len(vector(text))):
                return f"has {count} values: expected {self._width}"
        except ValueError:
            held, keys = {}, ()
        for key in (*keys, *self._ids) if self._record and keys else ():
            if key not in held:
                return f"has no key {key!r}: expected the keys of the first line"
            if self._vector is None and (other := [each for each in held if each not in self._keys]):
                return f"has the key {other[0]!r}: expected the keys of the first line"
            if self._vector is None and key in keys and not is_json_number(held[key]):
                return f"has {str(held[key])[:60]!r} under {key!r}: expected a number: drop columns of text"
        return f"is not a row of numbers: {text[:60]!r}"
