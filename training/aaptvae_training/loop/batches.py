"""Batches of scaled rows in an order that depends on seed, epoch and rank alone, so that checkpoints need not store it.

Small tables are held as one tensor; larger ones are read in shuffled blocks through a bounded buffer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from aaptvae.rows import Rows

from ..config import TrainConfig
from ..features import Features, Index, Prepared, rows_within
from ..model import AAPTVAE, scale_rows
from .processes import World

RESIDENT_BYTES = 512 << 20  # training rows up to this size stay in memory
BUFFER_BYTES = 128 << 20  # rows of a streamed table that are shuffled together
BLOCK_BYTES = 512 << 10  # one read of a streamed table

Scaling = Callable[[Rows], Rows]  # raw rows [n, D] to scaled rows


class Batches(ABC):
    """Training rows of one process, batch by batch; `epoch(k)` always gives the same batches."""

    @abstractmethod
    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row once: `steps` batches [n, D] on the training device."""

    def __init__(self, rows: int, batch_size: int, seed: int, world: World) -> None:
        self.seed, self.world = seed, world
        self.rows = -(-rows // world.size)  # of this process; some rows are used twice if it does not divide evenly
        self.batch_size = max(1, batch_size // world.size)
        self.steps = -(-self.rows // self.batch_size)

    def rng(self, epoch: int) -> np.random.Generator:
        """A generator that is the same in every process in this epoch."""
        return np.random.default_rng([self.seed, 0xBA7C, epoch])

    def mine(self, order: Index) -> Index:
        """The part of an order that belongs to this process; all parts have the same length."""
        return np.resize(order, self.rows * self.world.size)[self.world.rank :: self.world.size]


class ResidentBatches(Batches):
    """Slices of one tensor [N, D] on the training device."""

    def __init__(self, table: Tensor, batch_size: int, seed: int, world: World) -> None:
        super().__init__(len(table), batch_size, seed, world)
        self.table = table

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row once, in the epoch's order: [n, D] each."""
        order = torch.from_numpy(self.mine(self.rng(epoch).permutation(len(self.table)))).to(self.table.device)
        for index in torch.split(order, self.batch_size):
            yield self.table.index_select(0, index)


class StreamedBatches(Batches):
    """Blocks of consecutive rows, read in random order; as many as fit into a buffer are shuffled together."""

    def __init__(self, features: Features, train: Index, scale: Scaling, batch_size: int, seed: int, world: World) -> None:
        super().__init__(len(train), batch_size, seed, world)
        self.features, self.scale = features, scale
        self._is_train = np.zeros(features.rows, bool)
        self._is_train[train] = True
        row_bytes = 4 * features.width
        self._block = max(1, BLOCK_BYTES // row_bytes)
        self._blocks_at_once = max(1, BUFFER_BYTES // (self._block * row_bytes))
        self._counts = np.add.reduceat(self._is_train, np.arange(0, features.rows, self._block), dtype=np.int64)

    def epoch(self, epoch: int) -> Iterator[Tensor]:
        """Every row of this process once: [n, D] each."""
        rest = None
        for buffer in self._buffers(self.rng(epoch)):
            rows = buffer if rest is None else np.concatenate((rest, buffer))
            whole = len(rows) - len(rows) % self.batch_size
            for start in range(0, whole, self.batch_size):
                yield torch.from_numpy(rows[start : start + self.batch_size]).to(self.world.device)
            rest = rows[whole:].copy()
            del buffer, rows  # before the next buffer is read: at most two are in memory, not five
        if rest is not None and len(rest):
            yield torch.from_numpy(rest).to(self.world.device)

    def _buffers(self, rng: np.random.Generator) -> Iterator[Rows]:
        """Shuffled buffers of the rows of this process, in the order of shuffled blocks.

        Each process has an interval of equally many rows, whose ends may lie within blocks: with whole blocks for each
        process, the processes would have different numbers of rows.
        """
        laps = -(-self.rows * self.world.size // int(self._counts.sum()))  # the last interval may reach beyond the last row
        order = np.tile(rng.permutation(len(self._counts)), laps)
        ends = np.cumsum(self._counts[order])
        first = self.world.rank * self.rows
        mine = np.flatnonzero((ends > first) & (ends - self._counts[order] < first + self.rows))
        for chosen in np.array_split(mine, -(-len(mine) // self._blocks_at_once)):
            parts = [self._read(int(order[k]), first - int(ends[k] - self._counts[order[k]])) for k in chosen]
            rows = np.concatenate(parts)
            del parts
            rows = rows[rng.permutation(len(rows))]
            yield rows
            del rows

    def _read(self, block: int, first: int) -> Rows:
        """Scaled training rows of a block within the interval of this process, which begins `first` rows into the block."""
        start = block * self._block
        stop = min(start + self._block, self.features.rows)
        rows = self.features.read(start, stop)[self._is_train[start:stop]]
        return self.scale(rows[max(first, 0) : first + self.rows])


def training_batches(features: Features, prepared: Prepared, model: AAPTVAE, options: TrainConfig, world: World) -> Batches:
    """Batches of scaled training rows: from memory if the rows fit into `RESIDENT_BYTES`, else from disk."""
    rows, batch = prepared.split.train, options.batch_size or 1
    if len(rows) * model.scaler.outer * 4 > RESIDENT_BYTES:
        return StreamedBatches(features, rows, partial(scale_rows, model), batch, options.seed, world)
    table, done = torch.empty(len(rows), model.scaler.outer + model.condition_dim), 0
    for start, block in features.blocks():
        scaled = scale_rows(model, rows_within(rows, start, block))
        table[done : done + len(scaled)] = torch.from_numpy(scaled)
        done += len(scaled)
    return ResidentBatches(table.to(world.device), batch, options.seed, world)
