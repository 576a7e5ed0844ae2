"""Batches of standardised rows in an order that seed, epoch and rank decide: nothing about the order needs saving.

Tables that fit are held as one tensor and sliced; larger ones are read in shuffled blocks through a bounded buffer.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .distributed import World
from .features import Features
from .split import Index

RESIDENT_BYTES = 512 << 20  # training rows up to this size stay in memory
BUFFER_BYTES = 128 << 20  # rows that a streamed table shuffles at once
BLOCK_BYTES = 512 << 10  # what one read of a streamed table brings


class Standardise(Protocol):
    """Raw rows [n, D] to standardised float32 rows [n, D]."""

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]: ...


class Batches:
    """Training rows of one process, batch by batch; `epoch(k)` gives the same batches whenever it is asked."""

    def __init__(self, rows: int, batch_size: int, seed: int, world: World) -> None:
        self.seed, self.world = seed, world
        self.rows = -(-rows // world.size)  # of this process; the order wraps where the division leaves a rest
        self.batch_size = max(1, batch_size // world.size)
        self.steps = -(-self.rows // self.batch_size)

    def rng(self, epoch: int) -> np.random.Generator:
        """Random numbers that every process draws alike in this epoch."""
        return np.random.default_rng([self.seed, 0xBA7C, epoch])

    def mine(self, order: Index) -> Index:
        """This process's share of an order, as long as everybody else's."""
        return np.resize(order, self.rows * self.world.size)[self.world.rank :: self.world.size]


class ResidentBatches(Batches):
    """Slices of one tensor [N, D] on the training device."""

    def __init__(self, table: Tensor, batch_size: int, seed: int, world: World) -> None:
        super().__init__(len(table), batch_size, seed, world)
        self.table = table

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row once, in the epoch's order: [n, D] each."""
        order = torch.from_numpy(self.mine(self.rng(epoch).permutation(len(self.table)))).to(self.table.device)
        for index in order.split(self.batch_size):
            yield self.table.index_select(0, index)


class StreamedBatches(Batches):
    """Blocks of neighbouring rows read in random order and shuffled together, a buffer at a time."""

    def __init__(  # noqa: PLR0913 - a table, its rows, and how to serve them
        self, features: Features, train: Index, standardise: Standardise, batch_size: int, seed: int, world: World
    ) -> None:
        super().__init__(len(train), batch_size, seed, world)
        self.features, self.standardise = features, standardise
        self._is_train = np.zeros(features.rows, bool)
        self._is_train[train] = True
        row_bytes = 4 * features.width
        self._block = max(1, BLOCK_BYTES // row_bytes)
        self._blocks_at_once = max(1, BUFFER_BYTES // (self._block * row_bytes))

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row of this process's blocks once: [n, D] each, exactly `steps` of them."""
        left = self.rows
        rest = np.empty((0, self.features.width), np.float32)
        for buffer in self._buffers(self.rng(epoch)):
            rows = np.concatenate((rest, buffer))[:left]
            whole = len(rows) if len(rows) == left else len(rows) - len(rows) % self.batch_size
            for batch in torch.from_numpy(rows[:whole]).split(self.batch_size):
                yield batch.to(self.world.device)
            left -= whole
            rest = rows[whole:].copy()
            if not left:
                return

    def _buffers(self, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
        """Shuffled buffers without end: the order starts again where one process's blocks hold too few rows."""
        count = -(-self.features.rows // self._block)
        order = rng.permutation(count)[self.world.rank :: self.world.size] if count >= self.world.size else np.arange(count)
        while True:
            for chosen in np.array_split(order, -(-len(order) // self._blocks_at_once)):
                rows = np.concatenate([self._read(int(block)) for block in chosen])
                yield self.standardise(rows[rng.permutation(len(rows))])

    def _read(self, block: int) -> NDArray[np.float32]:
        start = block * self._block
        stop = min(start + self._block, self.features.rows)
        return self.features.read(start, stop)[self._is_train[start:stop]]
