"""The syntax of a line of csv or jsonl: its delimiter, names, and the conversion to numbers.

Where the first lines are ambiguous, nothing is guessed: the error names the option that decides.
"""

import csv
import re
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from .fields import (
    DELIMITERS,
    MISSING,
    all_quoted,
    counts_up,
    is_json_number,
    is_number,
    is_vector,
    is_whole,
    may_be_names,
    numbers,
    record,
    sniffed,
    vector,
)
from .reading import Reading, Selection, choose
from .table import Batch

Line = tuple[int, str]  # number and text


class Syntax(ABC):
    """How lines become numbers. `names` are those of all columns, None without."""

    names: tuple[str, ...] | None = None
    header_lines = 0
    notes: tuple[str, ...] = ()
    reading: Reading  # of the columns that a line is split into
    _chosen: Selection | None = None

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on."""
        self._chosen = chosen

    @abstractmethod
    def types(self, text: str) -> list[str]:
        """For each value of a row: "" for a number, else the name of its type."""

    @abstractmethod
    def parse(self, texts: list[str]) -> Batch:
        """Lines as rows; `ValueError` if one is not a row of numbers."""

    @abstractmethod
    def unreadable(self, text: str) -> str:
        """The reason why a line is not a row, for an error message."""


class CsvSyntax(Syntax):
    """Fields between delimiters, with an optional header of names."""

    def __init__(self, name: str, first: list[Line], reading: Reading) -> None:
        self._name, self.reading = name, reading
        self._delimiter = reading.delimiter or sniffed(first[0][1])
        header = reading.header if reading.header is not None else self._is_header(first)
        self._comma = False
        if self._delimiter != "," and len(first) > header:
            data = first[int(header)][1]
            self._comma = "," in data and "." not in data
        self._all: list[int] | None = None
        if header:
            self.header_lines = 1
            fields = self._fields(first[0][1])
            self.names = tuple(field.strip() or f"unnamed_{index}" for index, field in enumerate(fields))
            self._refuse_index(first, reading)
            self._refuse_spaces(first)
        if not reading.delimiter and self._delimiter != ",":
            comma = " and a decimal comma" if self._comma else ""
            self.notes = (f"{name} is read with {DELIMITERS[self._delimiter]} between values{comma}",)

    def _fields(self, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True), [])
        except csv.Error as error:
            raise ValueError(str(error)) from None

    def _is_header(self, first: list[Line]) -> bool:
        """Whether the first line holds names: fields that are no numbers, or numbers of another kind than the second line's."""
        above = self._fields(first[0][1])
        numbers = [is_number(field) for field in above]
        if not any(numbers):
            return True
        if len(first) < 2:
            return False
        below = self._fields(first[1][1])
        if not all(numbers):
            return any(is_number(value) and not one for value, one in zip(below, numbers, strict=False))
        if len(above) > 1 and all_quoted(first[0][1]) and not all_quoted(first[1][1]):
            return True
        if not may_be_names(above, below):
            return False
        if counts_up(above) and not all(map(is_whole, below)):
            return True
        raise InputError(
            f"{self._name} line {first[0][0]} may be a header of numbers or a row: {first[0][1][:60]!r}: "
            "say which with --header or --no-header"
        )

    def _refuse_spaces(self, first: list[Line]) -> None:
        """`InputError` for a header of one name whose words are as many as the numbers of the next line."""
        words = first[0][1].split()
        if self._delimiter != " " and len(self._fields(first[0][1])) == 1 < len(words) and len(first) > 1:
            values = first[1][1].split()
            if len(values) == len(words) and all(map(is_number, values)):
                raise InputError(
                    f"{self._name} has spaces between values: expected commas, semicolons, tabs or vertical bars: give "
                    "--delimiter ' '"
                )

    def _refuse_index(self, first: list[Line], reading: Reading) -> None:
        """`InputError` for a first column without a name whose values count up, unless it is named by an option."""
        assert self.names is not None  # noqa: S101 - set by the caller
        key = self.names[0]
        if key != "unnamed_0" or key in (*reading.columns, *reading.drop, *reading.ids) or len(first) < 2:
            return
        value = self._fields(first[1][1])[:1]
        if value in (["0"], ["1"]) and not (reading.expected and key in reading.expected):
            raise InputError(
                f"{self._name} has a first column without a name that counts up from {value[0]}, as an index of pandas or R: "
                f"leave it out with --drop {key}, pass it through with --id {key}, or name all features with --columns"
            )

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on; all in their order are read without selection."""
        super().take(chosen, width)
        self._all = None if chosen.features == list(range(width)) else chosen.features

    def types(self, text: str) -> list[str]:
        """Text is the only other type of csv; an empty field is a missing number."""
        fields = self._fields(text)
        if any("\n" in field for field in fields):
            raise ValueError(text)
        return ["" if self._number(field) or field.strip() in MISSING else "text" for field in fields]

    def _number(self, field: str) -> bool:
        return is_number(field.replace(",", ".") if self._comma else field)

    def parse(self, texts: list[str]) -> Batch:
        """Numbers by numpy; text that passes through by the csv module."""
        assert self._chosen is not None  # noqa: S101 - `take` comes first
        ids = self._ids(texts) if self._chosen.ids else ()
        plain = [text.replace(",", ".") for text in texts] if self._comma else texts
        try:
            return Batch(
                np.loadtxt(plain, delimiter=self._delimiter, comments=None, quotechar='"', ndmin=2, usecols=self._all), ids
            )
        except ValueError:
            return Batch(self._with_missing(plain), ids)

    def _ids(self, texts: list[str]) -> tuple[Any, ...]:
        assert self._chosen is not None  # noqa: S101
        fields = list(map(self._fields, texts))
        if any(len(row) != len(fields[0]) for row in fields):
            raise ValueError("rows of several lengths")
        return tuple(np.fromiter((row[index] for row in fields), object) for index in self._chosen.ids)

    def _with_missing(self, texts: list[str]) -> Any:
        """Numbers with NaN for missing values."""
        rows = [[np.nan if field.strip() in MISSING else float(field) for field in self._taken(text)] for text in texts]
        return np.array(rows, np.float64, ndmin=2)

    def _taken(self, text: str) -> list[str]:
        fields = self._fields(text)
        try:
            return fields if self._all is None else [fields[index] for index in self._all]
        except IndexError as error:
            raise ValueError(str(error)) from None

    def unreadable(self, text: str) -> str:
        """Why a line is no row, with the first field that is no number."""
        if self._delimiter not in text and (self.names is None or len(self.names) > 1):
            return (
                f"is not a row of numbers: {text[:60]!r}: expected {DELIMITERS.get(self._delimiter, repr(self._delimiter))} "
                "between them, or name another character with --delimiter"
            )
        try:
            fields = self._fields(text)
        except ValueError:
            fields = []
        for column in self._chosen.features if self._chosen else range(len(fields)):
            if column < len(fields) and not self._number(fields[column]) and fields[column].strip() not in MISSING:
                called = self.names[column] if self.names and column < len(self.names) else column
                return f"has {fields[column][:60]!r} in column {called}: expected a number: drop columns of text"
        return f"is not a row of numbers: {text[:60]!r}"


class JsonSyntax(Syntax):
    """An array of numbers, an object with one array of numbers, or an object of named numbers."""

    def __init__(self, name: str, first: list[Line], reading: Reading) -> None:
        self._ids, self.reading = reading.ids, reading
        self._vector: str | None = None
        self._record = first[0][1].startswith("{")
        if not self._record:
            return
        try:
            held = record(first[0][1])
        except ValueError:
            if reading.skip_bad:
                return
            raise InputError(f"{name} line {first[0][0]} {self.unreadable(first[0][1])}") from None
        left_out = (*reading.drop, *reading.ids)
        arrays = {key: value for key, value in held.items() if isinstance(value, list) and key not in left_out}
        vectors = [key for key, value in arrays.items() if len(arrays) == 1 or is_vector(value)]
        if len(vectors) == 1 and reading.columns in ((), (vectors[0],)):
            choose(name, tuple(held), len(held), replace(reading, columns=(), expected=None))  # ids and drop are keys
            self._vector, self.reading = vectors[0], replace(reading, columns=(), drop=(), ids=())
        else:
            self.names = tuple(held)

    def types(self, text: str) -> list[str]:
        """JSON's types other than number; null is a missing number."""
        if not self._record:
            return [""] * len(vector(text))
        held = record(text)
        if self._vector is not None:
            return [""] * len(held[self._vector])
        return ["" if value is None or is_json_number(value) else type(value).__name__ for value in held.values()]

    def take(self, chosen: Selection, width: int) -> None:
        """Read only these of `width` columns from now on."""
        super().take(chosen, width)
        self._all = None if self._record or chosen.features == list(range(width)) else chosen.features

    def parse(self, texts: list[str]) -> Batch:
        """Rows by msgspec; keys are looked up in each record."""
        if not self._record:
            rows = np.array(list(map(vector, texts)), np.float64, ndmin=2)
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
        return [record[key] for key in keys]

    def unreadable(self, text: str) -> str:
        """Why a line is no row: it is no JSON, or a key is missing or no number."""
        if re.search(r"\b(NaN|Infinity)\b", text):
            return f"holds NaN or Infinity, which are no JSON: write null for a missing value: {text[:60]!r}"
        keys = (self._vector,) if self._vector is not None else (self._chosen and self._chosen.columns) or ()
        try:
            held = record(text) if self._record else {}
        except ValueError:
            held, keys = {}, ()
        for key in (*keys, *self._ids) if self._record and keys else ():
            if key not in held:
                return f"has no key {key!r}: expected the keys of the first line"
            if self._vector is None and key in keys and not is_json_number(held[key]):
                return f"has {str(held[key])[:60]!r} under {key!r}: expected a number: drop columns of text"
        return f"is not a row of numbers: {text[:60]!r}"
