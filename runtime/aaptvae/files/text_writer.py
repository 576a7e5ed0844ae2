"""Rows as lines of text, written: .csv and .jsonl."""

import csv
import io
from collections.abc import Sequence
from typing import IO, Any

import msgspec
import numpy as np

from ..errors import InputError
from ..rows import Array
from .table import Layout, RowWriter


class TextWriter(RowWriter):
    """Numbers with enough digits to read back exactly. Named columns become a csv header or json keys."""

    def __init__(self, stream: IO[bytes], format: str, layout: Layout) -> None:
        self.stream, self._csv, self.rows = stream, format == "csv", 0
        self._keys = [_json(key) for key in (*layout.ids, *layout.columns)]
        self._width, self._labels = layout.width, len(layout.ids)
        if self._csv and self._keys:
            stream.write((",".join(map(_quoted, (*layout.ids, *layout.columns))) + "\n").encode())

    def _line(self, number: str) -> str:
        """The format of a line with `number` for each number and %s for each column that passes through."""
        fields = ["%s"] * self._labels + [number] * self._width
        if self._csv:
            return ",".join(fields)
        if not self._keys:
            return "[" + ",".join(fields) + "]"
        keys = (key.replace("%", "%%") for key in self._keys)
        return "{" + ",".join(f"{key}:{field}" for key, field in zip(keys, fields, strict=True)) + "}"

    def write(self, batch: Array, ids: Sequence[Array] = ()) -> None:
        """Append one line a row."""
        number = "%.17g" if batch.dtype.itemsize > 4 else "%.9g"
        finite = self._csv or bool(np.isfinite(batch).all())
        line, rows = self._line(number if finite else "%s"), batch.tolist()
        if not finite:  # JSON has no NaN or infinity
            rows = [[number % value if np.isfinite(value) else "null" for value in row] for row in rows]
        text = _quoted if self._csv else _json
        labels = list(zip(*([text(value) for value in column.tolist()] for column in ids), strict=True)) or [()] * len(rows)
        lines = [line % (*label, *row) for label, row in zip(labels, rows, strict=True)]
        self.stream.write(("\n".join(lines) + "\n" if lines else "").encode())
        self.rows += len(batch)


def _quoted(value: Any) -> str:
    """A value as a csv field, in quotes where it needs them."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        raise InputError("a column that passes through holds bytes, which csv does not: write .jsonl (as base64) or .parquet")
    text = _json(value) if isinstance(value, dict | list) else str(value)
    if not any(mark in text for mark in ',"\r\n'):
        return text
    line = io.StringIO()
    csv.writer(line).writerow([text])
    return line.getvalue().removesuffix("\r\n")


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
