"""The rounding of float64 and integer features to float32, compared with their variation."""

import numpy as np

from aaptvae.rows import Array
from aaptvae.tables.names import listed

MOST_LOST = 1e-3  # of a column's standard deviation: the root mean square of the rounding


class Rounding:
    """Accumulates, by column [D], squares of deviations and of rounding errors of rows of float64 or large integers."""

    def __init__(self, width: int) -> None:
        self._rows = 0
        self._shift: Array | None = None
        self._sum, self._squares, self._errors = np.zeros((3, width))

    def add(self, rows: Array) -> None:
        """Add rows [n, D]; those with values that are not finite in float32 are left out."""
        if np.can_cast(rows.dtype, np.float32):
            return
        rows = rows.astype(np.float64, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            error = rows - rows.astype(np.float32)
            kept = np.isfinite(error).all(axis=1)
        if not kept.any():
            return
        rows, error = rows[kept], error[kept]
        if self._shift is None:
            self._shift = rows.mean(axis=0)
        centred = rows - self._shift
        self._rows += len(rows)
        self._sum += centred.sum(axis=0)
        self._squares += (centred**2).sum(axis=0)
        self._errors += (error**2).sum(axis=0)

    def columns(self) -> list[int]:
        """Columns whose rounding is more than `MOST_LOST` of their standard deviation."""
        if not self._rows:
            return []
        variance = self._squares / self._rows - (self._sum / self._rows) ** 2
        lost = (self._errors / self._rows > MOST_LOST**2 * variance) & (variance > 0)
        return [int(column) for column in np.flatnonzero(lost)]


def sentence(names: list[str]) -> str:
    """The warning about these columns."""
    return (
        f"float32 cannot hold the variation of {len(names)} column{'s' * (len(names) != 1)} ({listed(names)}): its rounding "
        f"is over {MOST_LOST:.1%} of their deviation: subtract an offset in float64, such as the mean, and save the result"
    )
