"""A table of real rows with its split, and the list of all that the modules of this folder declare."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["table", "embedding", "counts", "series", "spectra", "pictures"]
Split = Literal["random", "time", "group"]

TEST_SHARE = 0.2
MOST_TEST = 4_000
SEED = 20_26


class MissingPackageError(Exception):
    """A table's package is not installed."""


@dataclass(frozen=True)
class Contents:
    """What a source returns: features [N, D], labels [N], and the group of each row; rows of a series come in time order."""

    x: Array
    labels: Array | None = None
    groups: Array | None = None


@dataclass(frozen=True)
class Table:
    """Features float32 [N, D], positions of training and test rows, labels as integers [N]; `latents` to fit."""

    name: str
    kind: Kind
    split: Split
    package: str
    x: Array
    train: Array
    test: Array
    labels: Array | None
    latents: int


@dataclass(frozen=True)
class Source:
    """How to make a table."""

    name: str
    kind: Kind
    split: Split
    package: str
    read: Callable[[], Contents]

    def table(self) -> Table:
        """The table, rows with NaN dropped; `MissingPackageError` where its package is not installed."""
        try:
            contents = self.read()
        except ImportError as error:
            raise MissingPackageError(f"{self.name}: needs {self.package} ({error})") from None
        x = np.ascontiguousarray(contents.x, np.float32)
        whole = np.isfinite(x).all(axis=1)
        labels, groups = contents.labels, contents.groups
        labels = None if labels is None else np.unique(labels[whole], return_inverse=True)[1]
        train, test = split_rows(int(whole.sum()), self.split, None if groups is None else groups[whole])
        latents = int(np.clip(x.shape[1] // 4, 2, 64))
        return Table(self.name, self.kind, self.split, self.package, x[whole], train, test, labels, latents)


SOURCES: dict[str, Source] = {}


def source(kind: Kind, package: str, split: Split = "random") -> Callable[[Callable[[], Contents]], Callable[[], Contents]]:
    """Declare a function as the source of the table of its name."""

    def declare(read: Callable[[], Contents]) -> Callable[[], Contents]:
        SOURCES[read.__name__] = Source(read.__name__, kind, split, package, read)
        return read

    return declare


def split_rows(rows: int, split: Split, groups: Array | None) -> tuple[Array, Array]:
    """Sorted positions of training and test rows: at random, the last rows, or whole groups."""
    rng = np.random.default_rng(SEED)
    wanted = min(MOST_TEST, max(2, round(rows * TEST_SHARE)))
    if split == "time":
        return np.arange(rows - wanted), np.arange(rows - wanted, rows)
    if split == "random":
        order = rng.permutation(rows)
        return np.sort(order[wanted:]), np.sort(order[:wanted])
    assert groups is not None
    unseen = np.zeros(rows, bool)
    for group in rng.permutation(np.unique(groups)):
        if unseen.sum() < wanted:
            unseen |= groups == group
    return np.flatnonzero(~unseen), np.flatnonzero(unseen)


def folder_of(package: str) -> Path:
    """Where an installed package lies, without running it; `ImportError` if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"no module named {package}")
    return Path(spec.submodule_search_locations[0])


def windows(series: Array, width: int, step: int = 1) -> Array:
    """Stretches [N, width] of a series, one every `step` values."""
    return np.lib.stride_tricks.sliding_window_view(series, width)[::step]
