"""From a feature table to what training needs, in one streaming pass: digest, split, scaler, covariance, held-out rows."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError

from .features import Features, Rows, rows_within
from .split import Split, split_rows
from .statistics import Moments, Statistics, first_bad_value

Matrix = NDArray[np.float64]

SAMPLE_ROWS = 2_000  # training rows kept beside the held-out ones, to compare the two
MOST_DEVIATIONS = 6.0
CONSTANT = 1e-6  # a deviation below this share of the column's largest value is rounding, not signal


@dataclass(frozen=True)
class Prepared:
    """What one pass over the features leaves: rows are raw, moments are of the training rows alone."""

    sha256: str
    split: Split
    statistics: Statistics
    scale: Matrix
    validation: Rows
    test: Rows
    train_sample: Rows

    def standardise(self, rows: NDArray[np.float32]) -> Rows:
        """Raw rows to standardised float32 rows; in float64 between, so that large means cost no digits."""
        return ((rows - self.statistics.mean) / self.scale).astype(np.float32)


def prepare(features: Features, shares: tuple[float, float], seed: int, tick: Callable[[int], object]) -> Prepared:
    """Read the table once; `InputError` at the first NaN or infinity."""
    split = split_rows(features.rows, *shares, seed)
    sample = np.sort(np.random.default_rng([seed, 0x5A3]).permutation(split.train)[:SAMPLE_ROWS])
    moments = Moments(features.width)
    digest = hashlib.sha256(f"{features.rows}x{features.width}".encode())
    kept: tuple[list[Rows], ...] = ([], [], [])
    for start, block in features.blocks():
        if bad := first_bad_value(block, start):
            raise InputError(f"features must be finite, but {bad}: drop or repair such rows (aaptvae diagnose lists them)")
        digest.update(np.ascontiguousarray(block, "<f4").data)
        moments.add(rows_within(split.train, start, block))
        for index, rows in zip((split.validation, split.test, sample), kept, strict=True):
            rows.append(rows_within(index, start, block))
        tick(len(block))
    statistics = moments.finish()
    parts = [np.concatenate(rows) for rows in kept]
    return Prepared(digest.hexdigest(), split, statistics, column_scale(statistics), *parts)


def column_scale(statistics: Statistics) -> Matrix:
    """Positive scale of every column [D]: its standard deviation, 1 for a column that never moves.

    A rare feature may lie many deviations out and would outweigh every other column, so no training value counts for more
    than `MOST_DEVIATIONS`.
    """
    reach = np.maximum(statistics.maximum - statistics.mean, statistics.mean - statistics.minimum)
    largest = np.maximum(np.abs(statistics.minimum), np.abs(statistics.maximum))
    scale = np.maximum(statistics.deviation, reach / MOST_DEVIATIONS)
    return np.where(statistics.deviation > CONSTANT * largest, scale, 1.0)
