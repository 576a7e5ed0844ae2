"""Columns of a file without names, chosen by their positions."""

from collections.abc import Iterator

from ..rows import Array
from .reading import Reading, choose
from .table import Batch, RowReader, check_table


class SelectedRows(RowReader):
    """Columns of a file without names, chosen by their positions, from 0."""

    def __init__(self, whole: RowReader, reading: Reading) -> None:
        self._whole, self.ids = whole, reading.ids
        self._chosen = choose(whole.name, None, whole.width, reading)
        self.name, self.rows, self.dtype, self.width = whole.name, whole.rows, whole.dtype, len(self._chosen.features)
        check_table(self.name, (self.rows or 0, self.width))

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """The chosen columns."""
        return (batch.values for batch in self.labelled(size, start))

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """The chosen columns, with those that pass through."""
        for rows in self._whole.batches(size, start):
            yield Batch(rows[:, self._chosen.features], tuple(rows[:, index].astype(object) for index in self._chosen.ids))
