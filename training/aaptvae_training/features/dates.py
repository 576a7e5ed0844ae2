"""Calendar dates that are written as numbers, yyyymmdd."""

import numpy as np
from numpy.typing import NDArray

from aaptvae.rows import Matrix, Rows

Mask = NDArray[np.bool_]

YEARS = 1900, 2099
LOWEST, HIGHEST = 1e4 * YEARS[0], 1e4 * (YEARS[1] + 1)
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def are_dates(block: Rows) -> Mask:
    """Columns [D] of which every value may be a date before it became float32, which at this size holds even numbers alone.

    An odd number becomes the neighbour that is a multiple of 4, so 20240131 is 20240132 here.
    """
    dates: Mask = np.asarray(((block >= LOWEST) & (block < HIGHEST)).all(axis=0))
    if dates.any():
        numbers = block[:, dates].astype(np.int64)
        odd = (numbers % 4 == 0) & (_is_date(numbers - 1) | _is_date(numbers + 1))
        dates[dates] = (_is_date(numbers) | odd).all(axis=0)
    return dates


def in_several_months(low: Matrix, high: Matrix) -> Mask:
    """Columns of dates [D] with these extremes that lie in different months; within one, their steps are days."""
    return np.asarray(low // 100 < high // 100)


def _is_date(numbers: NDArray[np.int64]) -> Mask:
    """Whether each number is yyyymmdd."""
    year, month, day = numbers // 10_000, numbers // 100 % 100, numbers % 100
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = _DAYS[np.where(month <= 12, month, 0)] + leap
    return np.asarray((day >= 1) & (day <= days))
