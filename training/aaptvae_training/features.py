"""Feature files as one table of float32 rows, read a stretch at a time so that memory stays bounded.

Formats are the runtime's (`aaptvae.files`). What cannot be read at random (text, archives) is decoded once to a scratch file.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.files import Layout, RowReader, open_output, open_rows
from aaptvae.files.binary import BinaryRows
from aaptvae.files.opening import ShardedRows

Rows = NDArray[np.float32]

BLOCK_ROWS = 4096
RANDOM_ACCESS = (".npy", ".safetensors")


class Features:
    """A table of N `rows` of D numbers (`width`) over one file or several."""

    def __init__(self, readers: Sequence[RowReader], dtype: str = "float32") -> None:
        self._readers, self.width, self.dtype = readers, readers[0].width, dtype
        self._ends = np.cumsum([reader.rows or 0 for reader in readers])
        self.rows = int(self._ends[-1])

    def read(self, start: int, stop: int) -> Rows:
        """Rows start..stop: float32 [stop - start, D]."""
        parts = [np.empty((0, self.width), np.float32)]
        for reader, end in zip(self._readers, self._ends, strict=True):
            begin = int(end) - (reader.rows or 0)
            low, high = max(start, begin), min(stop, int(end))
            if low < high:
                parts.append(_single(next(reader.batches(high - low, low - begin))))
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[tuple[int, Rows]]:
        """Every row once, in order: (first row, float32 [n, D])."""
        for start in range(0, self.rows, rows):
            yield start, self.read(start, min(start + rows, self.rows))

    def take(self, index: NDArray[np.int64]) -> Rows:
        """The rows at these sorted positions: float32 [len(index), D]."""
        return np.concatenate([rows_within(index, start, block) for start, block in self.blocks()])


def _single(rows: NDArray[Any]) -> Rows:
    """Rows as float32; values beyond its range become infinities, which whoever reads them refuses by name."""
    with np.errstate(over="ignore"):
        return rows.astype(np.float32, copy=False)


def rows_within(index: NDArray[np.int64], start: int, block: Rows) -> Rows:
    """The rows of a block, which begins at row `start` of its table, that a sorted index names."""
    low, high = np.searchsorted(index, (start, start + len(block)))
    return block[index[low:high] - start]


@contextmanager
def open_features(path: str | os.PathLike[str]) -> Iterator[Features]:
    """A feature file, a folder of shards or a pattern as one table; `InputError` says what is wrong with it."""
    if os.fspath(path) == "-":
        raise InputError("features are read more than once, which stdin cannot be: name a file")
    with ExitStack() as stack:
        whole = stack.enter_context(open_rows(path))
        pieces = whole.paths if isinstance(whole, ShardedRows) else [os.fspath(path)]
        scratch = None
        readers = []
        for number, piece in enumerate(pieces):
            reader = stack.enter_context(open_rows(piece))
            if not (isinstance(reader, BinaryRows) and piece.lower().endswith(RANDOM_ACCESS)):
                scratch = scratch or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aaptvae-features-")))
                reader = stack.enter_context(open_rows(_decode(reader, scratch / f"{number}.npy")))
            readers.append(reader)
        yield Features(readers, str(whole.dtype))


def _decode(reader: RowReader, target: Path) -> Path:
    """Copy rows of any format to an .npy, which can be read at random."""
    with open_output(target, Layout(width=reader.width)) as writer:
        for batch in reader.batches(BLOCK_ROWS):
            writer.write(_single(batch))
    return target
