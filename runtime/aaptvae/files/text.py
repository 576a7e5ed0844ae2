"""Rows as lines of text, read: .csv (numbers and delimiters, a header allowed) and .jsonl (an array or a record a line)."""

import codecs
import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..rows import Array, called
from .header import Line, named_delimiter
from .reading import choose, refuse_others
from .syntax import CsvSyntax, Syntax
from .table import MAX_WIDTH, Batch, RowReader, Source, rebatch

MAX_LINE = 16 << 20
FIRST_LINES = 20  # that show how a file is written
BLOCK_LINES, BLOCK_CHARACTERS = 1024, 1 << 20
FLOAT32_MAX = float(np.finfo(np.float32).max)

BINARY = {  # the first bytes of files that are given as text by mistake
    b"\x1f\x8b": "compressed by gzip",
    b"(\xb5/\xfd": "compressed by zstd",
    b"\xfd7zXZ": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"PK\x03\x04": "a zip, such as .xlsx or .npz",
    b"\xd0\xcf\x11\xe0": "an .xls",
    b"PAR1": "a .parquet",
    b"ARROW1": "an .arrow",
    b"\x93NUMPY": "an .npy",
}


class TextRows(RowReader):
    """One row a line; blank lines and comments are skipped.

    With a width that is checked, a row must be that many finite float32 numbers; without, the first row determines it.
    """

    rows: int | None = None  # 0 of a file that holds a header alone
    dtype = np.dtype(np.float64)

    def __init__(self, source: Source, syntax: type[Syntax]) -> None:
        reading = source.reading
        self.name, self._stream, self._skip = source.name, source.stream, reading.skip_bad
        self.bad: list[str] = []
        self._strict, self._missing = reading.width is not None, reading.missing
        self._read, self._like, self._comments = False, "", [""]
        self._above = 0  # lines above the header that are no rows
        self._kind, self._reading, self.typed = syntax, reading, not issubclass(syntax, CsvSyntax)
        lines = self._numbered()
        first = list(itertools.islice(lines, 1))
        if not first:
            raise InputError(f"{self.name} holds no rows: expected one row of numbers a line")
        if not self.typed and (mark := named_delimiter(first[0][1])) and (rest := list(itertools.islice(lines, 1))):
            first, reading, self._above = rest, replace(reading, delimiter=reading.delimiter or mark), 1
            self._reading = reading
        self._like = first[0][1]
        first += itertools.islice(lines, FIRST_LINES - 1)
        try:
            self._syntax = syntax(self.name, first, reading, self._comments[-1])
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{self.name} line {first[0][0]} cannot be split into fields ({error})") from None
        self.notes = self._syntax.notes
        data = first[self._syntax.header_lines :]
        if not data and not reading.empty:
            raise InputError(f"{self.name} holds no rows but a header: expected one row of numbers a line")
        self._lines: Iterator[Line] = itertools.chain(data, lines)
        self._first = [text for _, text in data]
        if data:
            self._choose(*data[0])
        else:
            self.rows = 0
            self._take(self._syntax.names or (), first[0][0])
        self.ids = reading.ids

    def _choose(self, number: int, text: str) -> None:
        """Choose the columns by the names in the header, and by the kinds of the values in the first row."""
        syntax, reading = self._syntax, self._syntax.reading
        names = syntax.names
        plain = names is None and not reading.selects  # every value is a feature
        width = len(names) if names is not None else reading.width if plain else None
        try:
            types = syntax.types(text)
            problem = syntax.unreadable(text) if plain and any(types) else ""
        except ValueError:
            types, problem = [], syntax.unreadable(text)
        if names is not None and len(types) > 1 and all(types) and self._is_numbers(self._first[1:2]):
            problem = f"{syntax.unreadable(text)}; a second line of names or units is to be taken out"
        if names is not None and not problem and len(types) != len(names):
            problem = f"has {len(types)} values: its header has {len(names)}"
        if problem and not (self._skip and width):
            raise InputError(f"{self.name} line {number} {problem}")
        if (problem or plain) and width:  # a row of another width is refused or skipped when it is read
            types = [""] * width
        self._take(names, number, types)

    def _is_numbers(self, texts: list[str]) -> bool:
        """Whether there is a line, all of numbers."""
        with contextlib.suppress(ValueError):
            return bool(texts) and not any(self._syntax.types(texts[0]))
        return False

    def _take(self, names: tuple[str, ...] | None, number: int, types: list[str] | None = None) -> None:
        """Take the columns that the options name; without `types`, of a header alone, all columns may hold numbers."""
        types = [""] * len(names or ()) if types is None else types
        chosen = choose(self.name, names, len(types), self._syntax.reading)
        refuse_others(self.name, types, chosen, names, self._first_values)
        self.width, self.columns = len(chosen.features), chosen.columns
        if not 1 <= self.width <= MAX_WIDTH:
            raise InputError(f"{self.name} line {number} has {self.width} values: expected 1 to {MAX_WIDTH}")
        self._syntax.take(chosen, len(types))

    def _first_values(self, index: int) -> Iterator[Any]:
        """The values in a column of the first lines."""
        for text in self._first:
            with contextlib.suppress(ValueError):
                values = self._syntax.values(text)
                yield values[index] if index < len(values) else None

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Parse lines; a bad one is refused with its number, or has a problem."""
        if self._read:
            if not self._stream.seekable():
                raise InputError(f"{self.name} is a stream, which cannot be read twice: give a file")
            self._stream.seek(0)
            self._lines, self.bad = itertools.islice(self._numbered(), self._above + self._syntax.header_lines, None), []
        self._read = True
        return rebatch(self._parsed(itertools.islice(self._lines, start, None)), size)

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """The numbers of `labelled`, without rows that have a problem."""
        for batch in self.labelled(size, start):
            yield batch.values if batch.problems is None else batch.values[[not problem for problem in batch.problems]]

    def _numbered(self) -> Iterator[Line]:
        number = 0
        while line := self._stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise InputError(f"{self.name} line {number} is over {MAX_LINE >> 20} MiB: expected a row of numbers")
            if number == 1 and (kind := next((kind for mark, kind in BINARY.items() if line.startswith(mark)), "")):
                raise InputError(
                    f"{self.name} is {kind}, no text: expected one row a line: give the file the suffix of its content"
                )
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InputError(f"{self.name} is UTF-16: expected UTF-8: save it as UTF-8 text")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip(" \r\n\v\f")
            except UnicodeDecodeError as error:
                problem = f"holds the byte 0x{line[error.start]:02x}, which is not UTF-8: save it as UTF-8 text"
                self.bad.append(self._problem(number, problem))
                continue
            if text.strip() and not (text[0] == "#" and self._is_comment(text)):
                yield number, text

    def _is_comment(self, text: str) -> bool:
        if not self._like:  # above the first line
            self._comments.append(text)
        return not self._like or self._kind.is_comment(text, self._like, self._reading)

    def _parsed(self, lines: Iterator[Line]) -> Iterator[Batch]:
        block: list[Line] = []
        characters = 0
        for line in lines:
            block.append(line)
            characters += len(line[1])
            if len(block) == BLOCK_LINES or characters > BLOCK_CHARACTERS:
                yield self._block(block)
                block, characters = [], 0
        if block:
            yield self._block(block)

    def _block(self, block: list[Line]) -> Batch:
        try:
            batch = self._syntax.parse([text for _, text in block])
            if batch.values.shape == (len(block), self.width) and not (self._strict and self._wild(batch.values).any()):
                return batch
        except ValueError:
            pass
        return Batch.joined([self._one(number, text) for number, text in block])

    def _one(self, number: int, text: str) -> Batch:
        try:
            batch = self._syntax.parse([text])
        except ValueError:
            problem = self._syntax.unreadable(text)
        else:
            if batch.values.shape != (1, self.width):
                problem = f"has {batch.values.size} values: expected {self.width}"
            elif self._strict and self._wild(batch.values).any():
                column = int(np.argmax(self._wild(batch.values)))
                problem = f"has {batch.values[0, column]} in column {called(column, self.columns)}: expected finite float32 "
                problem += "numbers: drop the row or fill in the value"
            else:
                return batch
        problems = np.full(1, self._problem(number, problem), object)
        return Batch(np.full((1, self.width), np.nan), tuple(np.full(1, None, object) for _ in self.ids), problems)

    def _problem(self, number: int, problem: str) -> str:
        """The problem of a bad line; `InputError` unless bad rows are skipped."""
        text = f"{self.name} line {number} {problem}"
        if not self._skip:
            raise InputError(text)
        return text

    def _wild(self, rows: Array) -> Array:
        """True for values that are no finite float32 numbers; a missing value is none unless it is allowed."""
        wild: Array = ~(np.abs(rows) <= FLOAT32_MAX)  # NaN compares false
        return wild & ~np.isnan(rows) if self._missing else wild
