"""Mean and covariance of a feature table, accumulated block by block."""

from dataclasses import dataclass

import numpy as np

from aaptvae.errors import InputError
from aaptvae.rows import Matrix, Names, Rows, called


@dataclass(frozen=True)
class Statistics:
    """Moments of a table: rows N, mean [D], covariance [D, D] (divided by N), smallest and largest value [D]."""

    rows: int
    mean: Matrix
    covariance: Matrix
    minimum: Matrix
    maximum: Matrix

    @property
    def deviation(self) -> Matrix:
        """Standard deviation of every column [D]; exactly 0 for a constant one."""
        deviation = np.sqrt(np.clip(np.diag(self.covariance), 0, None))
        return np.where(self.minimum == self.maximum, 0.0, deviation)

    def standardised_covariance(self, scale: Matrix) -> Matrix:
        """Covariance [D, D] of (x - mean) / scale."""
        return self.covariance / np.outer(scale, scale)


class Moments:
    """Accumulates `Statistics` block by block, in float64, around the first block's mean (Chan et al. 1979)."""

    def __init__(self, width: int) -> None:
        self.rows = 0
        self._shift: Matrix | None = None
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))
        self._minimum, self._maximum = np.full(width, np.inf), np.full(width, -np.inf)

    def add(self, block: Rows) -> None:
        """Add finite rows [n, D]."""
        if not len(block):
            return
        wide = block.astype(np.float64)
        if self._shift is None:
            self._shift = wide.mean(axis=0)
        self._minimum = np.minimum(self._minimum, wide.min(axis=0))
        self._maximum = np.maximum(self._maximum, wide.max(axis=0))
        wide -= self._shift
        self.rows += len(wide)
        self._sum += wide.sum(axis=0)
        self._products += wide.T @ wide

    def finish(self) -> Statistics:
        """The moments of all rows added; `InputError` if there were none."""
        if self._shift is None:
            raise InputError("got no rows: training needs at least one file with rows")
        offset = self._sum / self.rows
        covariance = self._products / self.rows - np.outer(offset, offset)
        return Statistics(self.rows, self._shift + offset, covariance, self._minimum, self._maximum)


def first_bad_value(block: Rows, first_row: int, columns: Names = None) -> str | None:
    """Place and value of the first NaN or infinity in rows [n, D] that begin at `first_row`, or None.

    Larger values than float32 holds are infinities here.
    """
    # A sum is much cheaper than a mask. It is finite only if every value is; where it overflows, the mask decides.
    with np.errstate(invalid="ignore"):  # infinities of both signs
        if np.isfinite(block.sum(dtype=np.float64)):
            return None
    bad = np.argwhere(~np.isfinite(block))
    if not len(bad):
        return None
    row, column = bad[0]
    value = block[row, column]
    beyond = "" if np.isnan(value) else " in float32"
    return f"row {first_row + row}, column {called(int(column), columns)} is {value}{beyond}"
