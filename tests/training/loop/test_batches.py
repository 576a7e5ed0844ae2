"""Every row of an epoch comes once, from memory or from disk, in one process or several, in an order the seed decides."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae_training.features import open_features
from aaptvae_training.features.split import split_rows
from aaptvae_training.loop import batches
from aaptvae_training.loop.batches import ResidentBatches, StreamedBatches
from aaptvae_training.loop.processes import World

from ..conftest import saved

CPU = torch.device("cpu")
WORLD = World(0, 1, CPU)
ROWS, WIDTH = 1003, 3


@pytest.fixture
def numbered(tmp_path, monkeypatch):
    """A table whose rows carry their own number, in blocks of 10 rows of which a buffer holds 4."""
    monkeypatch.setattr(batches, "BLOCK_BYTES", 10 * 4 * WIDTH)
    monkeypatch.setattr(batches, "BUFFER_BYTES", 40 * 4 * WIDTH)
    rows = np.repeat(np.arange(ROWS, dtype=np.float32)[:, None], WIDTH, axis=1)
    with open_features(saved(tmp_path, rows)) as features:
        yield features


def streamed(features, train, world=WORLD, batch_size=16, seed=0):
    return StreamedBatches(features, train, lambda rows: rows, batch_size, seed, world)


def seen(source, epoch=0):
    return torch.cat([batch[:, 0] for batch in source.epoch(epoch)]).numpy().astype(int)


def resident(rows, world=WORLD, batch_size=16, seed=0):
    return ResidentBatches(torch.arange(rows, dtype=torch.float32)[:, None], batch_size, seed, world)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 1003])
def test_no_row_is_dropped_from_memory(rows):
    source = resident(rows)
    assert sorted(seen(source)) == list(range(rows))
    assert len(list(source.epoch(0))) == source.steps


@pytest.mark.parametrize("batch_size", [1, 7, 16, 5000])
def test_no_row_is_dropped_from_disk(numbered, batch_size):
    train = split_rows(ROWS, 0.1, 0.1, 0).train
    source = streamed(numbered, train, batch_size=batch_size)
    assert sorted(seen(source)) == list(train)
    assert len(list(source.epoch(0))) == source.steps
    assert {len(batch) for batch in list(source.epoch(0))[:-1]} <= {batch_size}


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_processes_share_rows_without_losing_one(numbered, processes):
    """The rest of the division comes twice, so that every process takes the same number of steps; nothing is left out."""
    train = split_rows(ROWS, 0.1, 0.1, 0).train
    worlds = [World(rank, processes, CPU) for rank in range(processes)]
    for make in (lambda world: streamed(numbered, train, world), lambda world: resident(len(train), world)):
        sources = [make(world) for world in worlds]
        shares = [seen(source, epoch=3) for source in sources]
        everything = np.concatenate(shares)
        assert len(set(everything)) == len(train)
        assert len(everything) - len(train) < processes
        assert len({len(share) for share in shares}) == 1
        assert {len(list(source.epoch(3))) for source in sources} == {sources[0].steps}


def test_blocks_without_training_rows_are_passed_over(numbered):
    train = np.array([5, 6, 500, 1002])
    for size in (1, 2, 3):
        shares = [seen(streamed(numbered, train, World(rank, size, CPU))) for rank in range(size)]
        assert set(np.concatenate(shares)) == set(train)


@pytest.mark.parametrize("kind", ["resident", "streamed"])
def test_the_order_depends_on_seed_and_epoch(numbered, kind):
    train = np.arange(ROWS)
    make = (lambda seed: streamed(numbered, train, seed=seed)) if kind == "streamed" else lambda seed: resident(ROWS, seed=seed)
    first = make(1)
    order = seen(first, epoch=4)
    seen(first, epoch=5)
    np.testing.assert_array_equal(order, seen(first, epoch=4))
    np.testing.assert_array_equal(order, seen(make(1), epoch=4))
    assert (order != seen(first, epoch=5)).any() and (order != seen(make(2), epoch=4)).any()


def test_a_batch_from_disk_mixes_distant_rows(numbered):
    first = next(iter(streamed(numbered, np.arange(ROWS)).epoch(0)))[:, 0]
    assert first.max() - first.min() > 100
    assert (first.diff() < 0).any()


def test_more_shards_than_open_files_are_read(tmp_path):
    rows = np.random.default_rng(0).standard_normal((300, WIDTH)).astype(np.float32)
    for number, row in enumerate(rows):
        np.save(tmp_path / f"{number:03}.npy", row[None])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 100, limits[1]))
    try:
        with open_features(tmp_path) as features:
            np.testing.assert_array_equal(features.read(0, 300), rows)
            np.testing.assert_array_equal(features.read(7, 9), rows[7:9])
            np.save(tmp_path / "005.npy", rows[:2])
            with pytest.raises(InputError, match=r"005\.npy has changed since it was opened: do not change it"):
                features.read(0, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
