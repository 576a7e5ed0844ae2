"""Missing values of a table, replaced by the mean of the training rows in their column."""

import numpy as np

from aaptvae.errors import InputError
from aaptvae.tables.names import listed

from .split import Index
from .table import Features, rows_within


def replace_missing(features: Features, rows: Index) -> int:
    """Replace missing values from now on by the mean of their column over `rows`, sorted positions; how many there are.

    `InputError` names a column in which none of these rows has a value.
    """
    features.fill = np.full(features.width, np.nan, np.float32)
    total, count, missing = np.zeros(features.width), np.zeros(features.width, np.int64), 0
    for start, whole in features.blocks():
        block = whole[:, : features.width]
        missing += int(np.isnan(block).sum())
        seen = rows_within(rows, start, block)
        finite = np.isfinite(seen)  # infinities are refused later
        total += np.where(finite, seen, 0).sum(axis=0, dtype=np.float64)
        count += finite.sum(axis=0)
    if not count.all():
        empty = [features.called(int(column)) for column in np.flatnonzero(count == 0)]
        raise InputError(
            f"column {listed(empty)} has no value in any training row: expected some to take the mean of: "
            f"leave it out with --drop {empty[0]}"
        )
    features.fill = (total / count).astype(np.float32)
    return missing
