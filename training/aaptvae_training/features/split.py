"""The random split of rows into training, validation and test rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError

Index = NDArray[np.int64]

MOST_HELD_OUT = 5_000  # rows; more of them change no figure noticeably
LEAST_ROWS = 10
FEW_ROWS = 20  # per latent: with fewer, figures depend on the seed


class Split(NamedTuple):
    """Sorted row positions of the three parts; together they are every row once."""

    train: Index
    validation: Index
    test: Index


def split_rows(rows: int, validation_share: float, test_share: float, seed: int) -> Split:
    """Random split of `rows`, which depends on `seed` alone; `InputError` for fewer than `LEAST_ROWS`."""
    if rows < LEAST_ROWS:
        raise InputError(f"got {rows} row{'s' * (rows != 1)}: training needs at least {LEAST_ROWS}; useful models need more")
    counts = [min(MOST_HELD_OUT, max(2, round(rows * share))) for share in (validation_share, test_share)]
    order = np.random.default_rng([seed, 0x5911]).permutation(rows)
    validation, test, train = np.split(order, np.cumsum(counts))
    return Split(np.sort(train), np.sort(validation), np.sort(test))
