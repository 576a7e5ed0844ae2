"""The random split of rows into training, validation and test rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aaptvae.errors import InputError

Index = NDArray[np.int64]

MOST_HELD_OUT = 5_000  # rows; more of them change no figure noticeably
LEAST_ROWS = 10
LEAST_GROUPS = 3
LEAST_HELD_OUT = 2
FEW_ROWS = 20  # per latent: with fewer, figures depend on the seed


class Split(NamedTuple):
    """Sorted row positions of the three parts; together they are every row once."""

    train: Index
    validation: Index
    test: Index


def held_out_counts(rows: int, validation_share: float, test_share: float) -> tuple[int, int]:
    """Numbers of validation and of test rows; `InputError` when there is too little to split."""
    if rows < LEAST_ROWS:
        raise InputError(f"got {rows} row{'s' * (rows != 1)}: training needs at least {LEAST_ROWS}; useful models need more")
    validation, test = (
        min(MOST_HELD_OUT, max(LEAST_HELD_OUT, round(rows * share))) for share in (validation_share, test_share)
    )
    return validation, test


def split_rows(rows: int, validation_share: float, test_share: float, seed: int) -> Split:
    """Random split of `rows`, which depends on `seed` alone; `InputError` for fewer than `LEAST_ROWS`."""
    counts = held_out_counts(rows, validation_share, test_share)
    validation, test, train = np.split(_order(rows, seed), np.cumsum(counts))
    return Split(np.sort(train), np.sort(validation), np.sort(test))


def split_copies(keys: NDArray[np.generic], validation_share: float, test_share: float, seed: int) -> Split:
    """The split of `split_rows`, with rows of equal keys [N] on the side of the first of them.

    Copies of one row that are more than the validation or test rows become training rows, and the shares are taken of the
    other rows. If too few others are left, copies are split like other rows.
    """
    counts = held_out_counts(len(keys), validation_share, test_share)
    _, first, group, sizes = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    order = _order(len(keys), seed)
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    ranked = np.argsort(position[first], kind="stable")
    ranked = ranked[sizes[ranked] <= min(counts)]
    if (left := int(sizes[ranked].sum())) >= LEAST_ROWS:
        found = _parts(_fill(ranked, sizes, held_out_counts(left, validation_share, test_share))[group])
        if min(map(len, found)) >= LEAST_HELD_OUT:
            return found
    return split_rows(len(keys), validation_share, test_share, seed)


def split_groups(values: NDArray[np.generic], validation_share: float, test_share: float, seed: int) -> Split:
    """Whole groups of rows with equal values [N] at random; the largest group trains. `InputError` for fewer than three."""
    counts = held_out_counts(len(values), validation_share, test_share)
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if len(sizes) < LEAST_GROUPS:
        raise InputError(
            f"the column of --split-column has {len(sizes)} distinct value{'s' * (len(sizes) != 1)}: a split by groups needs "
            f"at least {LEAST_GROUPS}, one each for training, validation and test rows"
        )
    ranked = _order(len(sizes), seed)
    ranked = ranked[ranked != sizes.argmax()]
    part = _fill(ranked, sizes, counts)
    if not (part == TEST).any():  # one large group filled the validation and more
        part[ranked[-1]] = TEST
    return _parts(part[group])


def split_time(rows: int, validation_share: float, test_share: float, times: NDArray[np.generic] | None = None) -> Split:
    """Test rows are the last ones, validation rows those before them; in the order of `times` [N], or of the table."""
    validation, test = held_out_counts(rows, validation_share, test_share)
    order = np.arange(rows) if times is None else np.argsort(times, kind="stable")
    parts = np.split(order, [rows - test - validation, rows - test])
    return Split(*(np.sort(part) for part in parts))


TRAIN, VALIDATION, TEST = range(3)


def _order(count: int, seed: int) -> Index:
    return np.random.default_rng([seed, 0x5911]).permutation(count)


def _fill(ranked: Index, sizes: Index, counts: tuple[int, int]) -> Index:
    """The part of every group: those ranked first fill the validation rows, the next ones the test rows."""
    part = np.full(len(sizes), TRAIN)
    for name, count in zip((VALIDATION, TEST), counts, strict=True):
        before = np.cumsum(sizes[ranked]) - sizes[ranked]
        taken = int((before < count).sum())
        part[ranked[:taken]] = name
        ranked = ranked[taken:]
    return part


def _parts(part: Index) -> Split:
    return Split(*(np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST)))
