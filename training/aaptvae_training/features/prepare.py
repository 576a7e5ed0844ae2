"""From a feature table to what training needs, in one streaming pass: digest, split, scaler, covariance, held-out rows."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError

from .moments import Moments, Statistics, first_bad_value
from .split import Split, split_rows
from .table import Features, Rows, rows_within

Matrix = NDArray[np.float64]

SAMPLE_ROWS = 2_000  # training rows kept beside the held-out ones, to compare the two
MOST_DEVIATIONS = 6.0
ROUNDINGS = 8.0  # a range of no more roundings than this is no signal
FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Prepared:
    """What one pass over the features leaves: rows are raw, moments are of the training rows alone."""

    sha256: str
    split: Split
    statistics: Statistics
    scale: Matrix
    constant: NDArray[np.bool_]
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
    digest = shape_digest(features)
    kept: tuple[list[Rows], ...] = ([], [], [])
    for start, block in features.blocks():
        if bad := first_bad_value(block, start):
            raise InputError(f"features must be finite, but {bad}: drop or repair such rows (aaptvae diagnose lists them)")
        digest.update(values(block))
        moments.add(rows_within(split.train, start, block))
        for index, rows in zip((split.validation, split.test, sample), kept, strict=True):
            rows.append(rows_within(index, start, block))
        tick(len(block))
    statistics = moments.finish()
    parts = [np.concatenate(rows) for rows in kept]
    dtype = np.dtype(features.dtype)
    scale, constant = column_scale(statistics, dtype), is_constant(statistics, dtype)
    return Prepared(digest.hexdigest(), split, statistics, scale, constant, *parts)


def digest_of(features: Features) -> str:
    """SHA-256 of a table's shape and values, the same in whatever format or shards they are stored."""
    digest = shape_digest(features)
    for _, block in features.blocks():
        digest.update(values(block))
    return digest.hexdigest()


def shape_digest(features: Features) -> "hashlib._Hash":
    """What a digest of these features begins with."""
    return hashlib.sha256(f"{features.rows}x{features.width}".encode())


def values(block: Rows) -> memoryview:
    """The bytes of rows that go into a digest, alike on every machine."""
    return np.ascontiguousarray(block, "<f4").data


def column_scale(statistics: Statistics, dtype: np.dtype[Any] = FLOAT32) -> Matrix:
    """Positive scale of every column [D] of a table stored as `dtype`: its deviation, 1 for a column that never moves.

    A rare feature may lie many deviations out and would outweigh every other column, so no training value counts for more
    than `MOST_DEVIATIONS`.
    """
    reach = np.maximum(statistics.maximum - statistics.mean, statistics.mean - statistics.minimum)
    scale = np.maximum(statistics.deviation, reach / MOST_DEVIATIONS)
    return np.where(is_constant(statistics, dtype), 1.0, scale)


def is_constant(statistics: Statistics, dtype: np.dtype[Any] = FLOAT32) -> NDArray[np.bool_]:
    """Which columns [D] never move: their whole range is a few roundings of the type they are stored in."""
    largest = np.maximum(np.abs(statistics.minimum), np.abs(statistics.maximum))
    stored = dtype if dtype.kind == "f" and dtype.itemsize < FLOAT32.itemsize else FLOAT32  # rows are read as float32
    with np.errstate(over="ignore"):
        rounding = np.spacing(largest.astype(stored)).astype(np.float64)
    constant: NDArray[np.bool_] = statistics.maximum - statistics.minimum <= ROUNDINGS * rounding
    return constant
