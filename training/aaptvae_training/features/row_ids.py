"""Ids of rows: the values of columns that name rows and are no features, kept as text outside of memory."""

import itertools
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.conditions import text_of, values_of
from aaptvae.tables.names import each_once

from .split import Index

_IN_MEMORY = 1 << 24  # bytes of text, of more the rest is in a temporary file


class RowIds:
    """Text of the columns `names` [K] for each row, added block by block; `take` reads that of some rows."""

    typed = True  # as conditions have it; ids are text in any case

    def __init__(self, names: Sequence[str]) -> None:
        each_once(names, "--id")
        self.names = tuple(names)
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._ends, self._size = [np.zeros(1, np.int64)], 0

    def complete(self, columns: Sequence[Any]) -> NDArray[np.bool_]:
        """Rows [n] that may stay: every one, because an id may be missing."""
        return np.ones(len(columns[0]), bool)

    def add(self, columns: Sequence[Any], kept: NDArray[np.bool_] | None = None) -> None:
        """Take in the values of every column, of all rows or of those `kept`."""
        rows = zip(*map(values_of, columns), strict=True)
        chosen = rows if kept is None else itertools.compress(rows, kept)
        texts = [text_of(value).encode() for row in chosen for value in row]
        self._file.seek(0, 2)
        self._file.write(b"".join(texts))
        self._ends.append(self._size + np.cumsum([len(text) for text in texts], dtype=np.int64))
        self._size += sum(map(len, texts))

    def take(self, index: Index) -> list[tuple[str, ...]]:
        """The ids [K] of the rows at these positions."""
        ends, width = np.concatenate(self._ends), len(self.names)
        return [tuple(self._text(*ends[cell : cell + 2]) for cell in range(row * width, (row + 1) * width)) for row in index]

    def _text(self, start: int, stop: int) -> str:
        self._file.seek(start)
        return self._file.read(stop - start).decode()

    def close(self) -> None:
        """Forget the text."""
        self._file.close()
