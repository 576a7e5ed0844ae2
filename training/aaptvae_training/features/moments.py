"""Mean, variance and covariance of a feature table, accumulated block by block."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from aaptvae.errors import InputError
from aaptvae.rows import Matrix, Names, Rows, called

FEW_COLUMNS = 1024
MOST_COVARIANCE_COLUMNS = 4096


@dataclass(frozen=True)
class Statistics:
    """Moments of a table: rows N, mean and variance [D], smallest and largest value [D], covariance [D, D] (divided by N).

    The covariance is None for a table of many columns.
    """

    rows: int
    mean: Matrix
    variance: Matrix
    minimum: Matrix
    maximum: Matrix
    covariance: Matrix | None = None

    @property
    def width(self) -> int:
        """Columns D."""
        return len(self.mean)

    @property
    def deviation(self) -> Matrix:
        """Standard deviation of every column [D]; exactly 0 for a constant one."""
        deviation = np.sqrt(np.clip(self.variance, 0, None))
        return np.where(self.minimum == self.maximum, 0.0, deviation)

    def standardised_covariance(self, scale: Matrix) -> Matrix:
        """Covariance [D, D] of (x - mean) / scale; `ValueError` for statistics without a covariance."""
        if self.covariance is None:
            raise ValueError(f"statistics of {self.width} columns hold no covariance: find axes with linear/axes.py")
        return self.covariance / np.outer(scale, scale)


class Sums(ABC):
    """Accumulates blocks of rows in float64, around the mean of the first block (Chan et al. 1979)."""

    def __init__(self, width: int) -> None:
        self.rows = 0
        self._shift: Matrix | None = None
        self._sum = np.zeros(width)

    def add(self, block: Rows) -> None:
        """Add finite rows [n, D]."""
        if not len(block):
            return
        wide = block.astype(np.float64)
        if self._shift is None:
            self._shift = wide.mean(axis=0)
        wide -= self._shift
        self.rows += len(wide)
        self._sum += wide.sum(axis=0)
        self._add_products(block, wide)

    @abstractmethod
    def _add_products(self, block: Rows, centred: Matrix) -> None:
        """Add what is wanted of rows, and of the same rows less the mean of the first block."""


class Moments(Sums):
    """Accumulates `Statistics`; without `products` the covariance is left out, whose memory grows with the columns' square."""

    def __init__(self, width: int, *, products: bool = True) -> None:
        super().__init__(width)
        self._products = np.zeros((width, width)) if products else np.zeros(width)
        self._minimum, self._maximum = np.full(width, np.inf), np.full(width, -np.inf)

    def _add_products(self, block: Rows, centred: Matrix) -> None:
        self._minimum = np.minimum(self._minimum, block.min(axis=0))
        self._maximum = np.maximum(self._maximum, block.max(axis=0))
        self._products += centred.T @ centred if self._products.ndim == 2 else np.einsum("nd,nd->d", centred, centred)

    def statistics(self) -> Statistics:
        """The moments of all rows added; `InputError` if there were none."""
        if self._shift is None:
            raise InputError("got no rows: training needs at least one file with rows")
        offset = self._sum / self.rows
        mean, extremes = self._shift + offset, (self._minimum, self._maximum)
        if self._products.ndim == 1:
            return Statistics(self.rows, mean, self._products / self.rows - offset**2, *extremes)
        covariance = self._products / self.rows - np.outer(offset, offset)
        return Statistics(self.rows, mean, np.diag(covariance), *extremes, covariance)


def wants_covariance(rows: int, width: int) -> bool:
    """Whether the covariance of a table is small enough, or of full rank and not too large."""
    return width <= FEW_COLUMNS or (rows > width and width <= MOST_COVARIANCE_COLUMNS)


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
