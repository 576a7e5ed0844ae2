"""Seeded noise whose row i depends on (seed, stream, i, width) alone, not on the number of rows drawn.

Each block of rows starts at its own counter of the Philox generator.
"""

import operator
import os
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..rows import BLOCK, Matrix, Rows, refuse_overflow

_Float = TypeVar("_Float", bound=np.floating[Any])
_Draw = Callable[["np.random.Generator", tuple[int, int]], NDArray[Any]]


class Stream(IntEnum):
    """Use of the noise; streams of one seed are independent."""

    LATENT = 0
    OBSERVATION = 1
    COMPONENT = 2
    IMPORTANCE = 3
    TAIL = 4
    BREADTH = 5


def resolve_seed(seed: int | None) -> int:
    """`seed`, or a fresh one for None; raises `InputError` for anything but an integer in [0, 2**64)."""
    if seed is None:
        return int.from_bytes(os.urandom(8), "little")
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise InputError(f"seed is {seed!r}: expected an integer from 0 to 2**64 - 1, or None for fresh noise")
    return value


def normal_rows(seed: int, start: int, stop: int, width: int, stream: Stream) -> Rows:
    """Standard normal rows start..stop of the sequence (seed, stream): float32 [stop - start, width]."""
    rows = np.empty((max(0, stop - start), width), np.float32)
    return _drawn(rows, start, seed, stream, lambda generator, shape: generator.standard_normal(shape, np.float32))


def uniform_rows(seed: int, start: int, stop: int, width: int, stream: Stream) -> Matrix:
    """Uniform rows start..stop in [0, 1): float64 [stop - start, width]."""
    rows = np.empty((max(0, stop - start), width))
    return _drawn(rows, start, seed, stream, lambda generator, shape: generator.random(shape))


def chi_square_rows(seed: int, start: int, stop: int, freedom: float, stream: Stream) -> Matrix:
    """Chi-square rows start..stop with `freedom` degrees of freedom: float64 [stop - start, 1]."""
    rows = np.empty((max(0, stop - start), 1))
    return _drawn(rows, start, seed, stream, lambda generator, shape: generator.chisquare(freedom, shape))


def _drawn(rows: NDArray[_Float], start: int, seed: int, stream: Stream, draw: _Draw) -> NDArray[_Float]:
    """`rows` filled with those from `start` on of the sequence (seed, stream), block by block."""
    for block, skip, part in _blocks(start, rows):
        part[:] = draw(_generator(seed, stream, block), (skip + len(part), rows.shape[1]))[skip:]
    return rows


def _blocks(start: int, rows: NDArray[_Float]) -> Iterator[tuple[int, int, NDArray[_Float]]]:
    """Each block that overlaps `rows`: its number, the rows of it to skip, and the part of `rows` it fills."""
    row, stop = start, start + len(rows)
    while row < stop:
        block, skip = divmod(row, BLOCK)
        end = min(stop, (block + 1) * BLOCK)
        yield block, skip, rows[row - start : end - start]
        row = end


def _generator(seed: int, stream: Stream, block: int) -> "np.random.Generator":
    # The annotation is a string because numpy.random is slow to import and loading a bundle does not need it.
    # The low 128 bits of the counter count within a block, so blocks and streams do not overlap.
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, block, int(stream)]))


def reparameterized(mu: Rows, logvar: Rows, seed: int, first: int) -> Rows:
    """`mu + exp(logvar / 2) * noise` [N, L] for rows from `first` on; `RowError` where float32 cannot hold it."""
    noise = normal_rows(seed, first, first + len(mu), mu.shape[1], Stream.LATENT)
    with np.errstate(over="ignore"):  # refused below
        rows: Rows = (mu + np.exp(logvar / 2) * noise).astype(np.float32)
    refuse_overflow("logvar", logvar, first, [rows])
    return rows
