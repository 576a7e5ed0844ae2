"""Rows as lines of text: .csv (numbers and commas, a header allowed) and .jsonl (an array of numbers a line)."""

import itertools
from collections.abc import Iterator
from typing import IO, Any

import msgspec
import numpy as np

from ..errors import InputError
from ..rows import Array
from .table import MAX_WIDTH, RowReader, RowWriter, rebatch

MAX_LINE = 16 << 20
BLOCK_LINES, BLOCK_CHARACTERS = 1024, 1 << 20
FLOAT32_MAX = float(np.finfo(np.float32).max)
Line = tuple[int, str]


class TextRows(RowReader):
    """One row a line; blank lines are skipped. `bad` lists the lines skipped so far.

    With `width`, a row must be that many finite float32 numbers; without, the first row determines it.
    """

    rows = None
    dtype = np.dtype(np.float64)

    def __init__(self, name: str, stream: IO[bytes], format: str, width: int | None = None, skip: bool = False) -> None:
        self.name, self._stream, self._csv, self._skip = name, stream, format == "csv", skip
        self.bad: list[str] = []
        self._strict = width is not None
        self._read = False
        self._lines = self._data_lines()
        first = next(self._lines, None)
        if first is None:
            raise InputError(f"{name} holds no rows: expected one row of numbers a line")
        self._lines = itertools.chain([first], self._lines)
        self.width = width or self._first_width(*first)

    def _first_width(self, number: int, text: str) -> int:
        try:
            width = int(self._parse([text]).shape[1])
        except ValueError:
            raise InputError(f"{self.name} line {number} {_unreadable(text, self._csv)}") from None
        if not 1 <= width <= MAX_WIDTH:
            raise InputError(f"{self.name} line {number} has {width} values: expected 1 to {MAX_WIDTH}")
        return width

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """Parse lines; a bad one is skipped, or refused with its number."""
        if self._read:
            if not self._stream.seekable():
                raise InputError(f"{self.name} is a stream, which cannot be read twice: give a file")
            self._stream.seek(0)
            self._lines, self.bad = self._data_lines(), []
        self._read = True
        lines = self._lines if self._skip else itertools.islice(self._lines, start, None)
        return rebatch(self._parsed(lines), size, start if self._skip else 0)

    def _data_lines(self) -> Iterator[Line]:
        lines = self._numbered()
        first = next(lines, None)
        if first and not (self._csv and _is_header(first[1])):
            yield first
        yield from lines

    def _numbered(self) -> Iterator[Line]:
        number = 0
        while line := self._stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise InputError(f"{self.name} line {number} is over {MAX_LINE >> 20} MiB: expected a row of numbers")
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
            if text:
                yield number, text

    def _parsed(self, lines: Iterator[Line]) -> Iterator[Array]:
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

    def _block(self, block: list[Line]) -> Array:
        try:
            rows = self._parse([text for _, text in block])
            if rows.shape == (len(block), self.width) and not (self._strict and _wild(rows).any()):
                return rows
        except ValueError:
            pass
        return np.concatenate([self._one(number, text) for number, text in block])

    def _one(self, number: int, text: str) -> Array:
        try:
            rows = self._parse([text])
        except ValueError:
            problem = _unreadable(text, self._csv)
        else:
            if rows.shape != (1, self.width):
                problem = f"has {rows.size} values: expected {self.width}"
            elif self._strict and _wild(rows).any():
                column = int(np.argmax(_wild(rows)))
                problem = f"has {rows[0, column]} in column {column}: expected finite float32 numbers"
            else:
                return rows
        if not self._skip:
            raise InputError(f"{self.name} line {number} {problem}")
        self.bad.append(f"{self.name} line {number} {problem}")
        return np.empty((0, self.width))

    def _parse(self, texts: list[str]) -> Array:
        if self._csv:
            return np.loadtxt(texts, delimiter=",", comments=None, quotechar='"', ndmin=2)
        return np.array([_json_row(text) for text in texts], np.float64, ndmin=2)


def _wild(rows: Array) -> Array:
    return ~(np.abs(rows) <= FLOAT32_MAX)  # NaN compares false


def _unreadable(text: str, csv: bool) -> str:
    words = [(column, field) for column, field in enumerate(text.split(",")) if not _is_number(field)] if csv else []
    if csv and "," not in text:
        return f"is not a row of numbers: {text[:60]!r}: expected commas between them"
    return (
        f"has {words[0][1][:60]!r} in column {words[0][0]}: expected a number: drop columns of text"
        if words
        else (f"is not a row of numbers: {text[:60]!r}")
    )


def _is_number(field: str) -> bool:
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True


def _is_header(text: str) -> bool:
    return not any(map(_is_number, text.split(",", 64)[:64]))


def _json_row(text: str) -> list[float]:
    """An array of numbers, or the only array in an object."""
    try:
        if not text.startswith("{"):
            return msgspec.json.decode(text, type=list[float])
        held = [value for value in msgspec.json.decode(text, type=dict[str, Any]).values() if isinstance(value, list)]
        return msgspec.convert(held[0] if len(held) == 1 else None, list[float])
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from error


class TextWriter(RowWriter):
    """Numbers with enough digits to read back exactly. Named `columns` become a csv header or json keys."""

    def __init__(self, stream: IO[bytes], format: str, width: int, columns: tuple[str, ...] = ()) -> None:
        self.stream, self._csv, self.rows = stream, format == "csv", 0
        if self._csv:
            self._line = ",".join(["#"] * width)
            stream.write((",".join(columns) + "\n").encode() if columns else b"")
        elif columns:
            self._line = "{" + ",".join(f'"{column}":#' for column in columns) + "}"
        else:
            self._line = "[" + ",".join(["#"] * width) + "]"

    def write(self, batch: Array) -> None:
        """Append one line a row."""
        line = self._line.replace("#", "%.17g" if batch.dtype.itemsize > 4 else "%.9g")
        lines = [line % tuple(row) for row in batch.tolist()]
        if not self._csv and not np.isfinite(batch).all():  # JSON has no NaN or infinity
            lines = [text.replace("-inf", "null").replace("inf", "null").replace("nan", "null") for text in lines]
        self.stream.write(("\n".join(lines) + "\n" if lines else "").encode())
        self.rows += len(batch)
