"""Feature files as one table of float32 rows, read a stretch at a time so that memory stays bounded.

Formats are the runtime's (`aaptvae.files`). What cannot be read at random (text, archives) is decoded once to a scratch file.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError
from aaptvae.files import Layout, RowReader, open_output, open_rows
from aaptvae.files.binary import BinaryRows
from aaptvae.files.opening import ShardedRows
from aaptvae.rows import Rows

BLOCK_ROWS = 4096
MOST_OPEN = 64  # files at a time
RANDOM_ACCESS = (".npy", ".safetensors")


class Features:
    """A table of N `rows` of D numbers (`width`) over one file or several, of which a few are open at a time."""

    def __init__(self, paths: Sequence[str], rows: Sequence[int], width: int, dtype: str = "float32") -> None:
        self._paths, self._counts, self.width, self.dtype = paths, rows, width, dtype
        self._ends = np.cumsum(rows)
        self.rows = int(self._ends[-1])
        self._open: dict[int, RowReader] = {}  # the one used last comes last

    def read(self, start: int, stop: int) -> Rows:
        """Rows start..stop: float32 [stop - start, D]; `InputError` if a file is no longer what it was."""
        parts = [np.empty((0, self.width), np.float32)]
        for number, end in enumerate(self._ends.tolist()):
            begin = end - self._counts[number]
            low, high = max(start, begin), min(stop, end)
            if low < high:
                parts.append(_single(next(self._reader(number).batches(high - low, low - begin))))
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _reader(self, number: int) -> RowReader:
        reader = self._open.pop(number, None) or open_rows(self._paths[number])
        self._open[number] = reader
        if (reader.rows, reader.width) != (self._counts[number], self.width):
            raise InputError(f"{self._paths[number]} has changed since it was opened: leave it alone until training is done")
        if len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return reader

    def close(self) -> None:
        """Let go of the files."""
        for reader in self._open.values():
            reader.close()

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
        with open_rows(path) as whole:
            paths = whole.paths if isinstance(whole, ShardedRows) else [os.fspath(path)]
            width, dtype = whole.width, str(whole.dtype)
        scratch, rows = None, []
        for number, piece in enumerate(paths):
            with open_rows(piece) as reader:
                if not (isinstance(reader, BinaryRows) and piece.lower().endswith(RANDOM_ACCESS)):
                    scratch = scratch or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aaptvae-features-")))
                    paths[number] = str(_decode(reader, scratch / f"{number}.npy"))
            with open_rows(paths[number]) as reader:
                rows.append(reader.rows or 0)
        yield stack.enter_context(closing(Features(paths, rows, width, dtype)))


def _decode(reader: RowReader, target: Path) -> Path:
    """Copy rows of any format to an .npy, which can be read at random."""
    with open_output(target, Layout(width=reader.width)) as writer:
        for batch in reader.batches(BLOCK_ROWS):
            writer.write(_single(batch))
    return target
