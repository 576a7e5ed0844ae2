"""Rows that equal each other, found by a hash of 64 bits, and the split that keeps them on one side."""

import numpy as np
from numpy.typing import NDArray

from aaptvae.rows import Array, Rows

from ..config import TrainConfig
from .split import Split, split_copies, split_groups, split_time
from .split_column import split_values
from .table import Features

Keys = NDArray[np.uint64]


class RowKeys:
    """One key for every row of a table, equal for rows of equal values, and the values of the split column."""

    def __init__(self, features: Features, config: TrainConfig | None = None) -> None:
        self.keys: Keys = np.empty(features.rows, np.uint64)
        column = None if config is None else config.split_column  # as `check_split` has found it
        self._column = column if isinstance(column, int) else None
        self._values: Array | None = None
        if config is not None and isinstance(column, str):
            self._values = split_values(features, column, config.split)
        elif column is not None:
            self._values = np.empty(features.rows, np.float32)
        # Odd factors: a change in one column always changes the sum modulo 2^64.
        self._factors = np.random.default_rng(0x4B).integers(0, 1 << 63, features.width, np.uint64) * np.uint64(2) + np.uint64(
            1
        )

    def add(self, start: int, block: Rows) -> None:
        """Take in finite rows [n, D] that begin at row `start`."""
        bits = np.ascontiguousarray(block + np.float32(0), np.float32).view(np.uint32)  # -0 equals 0
        bits ^= bits >> np.uint32(16)  # small integers differ in their upper bits alone
        self.keys[start : start + len(block)] = bits.astype(np.uint64) @ self._factors
        if self._column is not None and self._values is not None:
            self._values[start : start + len(block)] = block[:, self._column]

    @property
    def copies(self) -> int:
        """How many rows equal an earlier one."""
        return len(self.keys) - len(np.unique(self.keys))

    def shared(self, split: Split) -> int:
        """How many held-out rows equal a training row."""
        return int(np.isin(self.keys[np.concatenate(split[1:])], self.keys[split.train]).sum())

    def split(self, config: TrainConfig) -> Split:
        """The split that the options ask for, now that every row is known."""
        shares = config.validation_share, config.test_share
        if config.split == "group" and self._values is not None:
            return split_groups(self._values, *shares, config.seed)
        if config.split == "time":
            return split_time(len(self.keys), *shares, self._values)
        return split_copies(self.keys, *shares, config.seed)
