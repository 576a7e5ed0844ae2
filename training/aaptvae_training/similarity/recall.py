"""Recall of true neighbours: how many of a row's nearest rows are found by other vectors of the same rows."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aaptvae.rows import Array, Matrix

Geometry = Literal["cosine", "euclidean"]

NEIGHBOURS = 10
TIE = 1e-6  # relative difference of distances below which two rows are equally near
BLOCK_VALUES = 1 << 24  # distances held at once

EQUAL_NORMS = 0.05  # coefficient of variation of row norms below which rows are compared by cosine
NORMS_IN_SPREAD = 0.1  # deviation of norms in distances from the mean row: more where only a large mean makes norms alike
LARGEST_SHARE = 0.25  # of the mean square in one column, above which that column alone would decide a cosine
FEWEST_COLUMNS = 16  # of embeddings
LAGS = 8  # distances between columns that are tried: channels of a series may alternate
ORDERED = 0.2  # mean correlation of columns at one lag above that of all pairs: embeddings reach 0.02, series 0.7
BY_CHANCE = 2.0  # the same difference of a few columns without an order, times the root of their number


def geometry_of(x: Array) -> Geometry:
    """Cosine for rows [N, D] that look like embeddings, with equal norms and columns without an order; else Euclidean."""
    return "cosine" if has_equal_norms(x) and not _has_ordered_columns(x) else "euclidean"


def has_equal_norms(x: Array) -> bool:
    """Whether rows [N, D] have many columns, nearly equal norms, not by a large mean alone, and no column that dominates."""
    rows = np.asarray(x, np.float64)
    squares = np.square(rows)
    norms, columns = np.sqrt(squares.sum(axis=1)), squares.mean(axis=0)
    spread = np.sqrt(rows.var(axis=0).sum())
    equal = norms.std() <= min(EQUAL_NORMS * norms.mean(), NORMS_IN_SPREAD * spread)
    return bool(x.shape[1] >= FEWEST_COLUMNS and norms.mean() > 0 and equal and columns.max() <= LARGEST_SHARE * columns.sum())


def _has_ordered_columns(x: Array) -> bool:
    """Whether columns of rows [N, D] a few places apart correlate, as those of series, spectra and pictures do."""
    centred = x - x.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    z = centred[:, deviation > 0] / deviation[deviation > 0]
    width = z.shape[1]
    if width <= LAGS:
        return False
    all_pairs = (np.square(z.sum(axis=1)).mean() - width) / (width * (width - 1))
    at_lag = [np.einsum("nd,nd->", z[:, lag:], z[:, :-lag]) / (len(z) * (width - lag)) for lag in range(1, LAGS + 1)]
    return bool(max(at_lag) - all_pairs > max(ORDERED, BY_CHANCE / np.sqrt(width)))


def recall_at(
    k: int, full: Array, views: Mapping[str, Array], geometry: Geometry, queries: int | None = None
) -> dict[str, float]:
    """Mean share of the `k` nearest rows by each of `views` [N, S] that are among the `k` nearest by `full` [N, D].

    Neighbours of the first `queries` rows (default: all) are searched among all N; no row is its own neighbour. Rows as near
    as the k-th true neighbour count as true, so that copies of rows cannot lower a recall.
    """
    rows, k = len(full), min(k, len(full) - 1)
    asking = min(queries or rows, rows)
    size = max(1, BLOCK_VALUES // rows)
    hits = dict.fromkeys(views, 0)
    truth, prepared = _prepare(full, geometry), {name: _prepare(view, geometry) for name, view in views.items()}
    for start in range(0, asking, size):
        stop = min(start + size, asking)
        distances = _distances(truth, start, stop)
        limit = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
        near = distances <= limit + TIE * np.abs(limit) + 1e-12
        for name, view in prepared.items():
            found = np.argpartition(_distances(view, start, stop), k - 1, axis=1)[:, :k]
            hits[name] += int(np.take_along_axis(near, found, axis=1).sum())
    return {name: count / (asking * k) for name, count in hits.items()}


def _prepare(x: Array, geometry: Geometry) -> Matrix:
    """Rows whose squared Euclidean distances are the ones to compare."""
    rows: Matrix = np.array(x, np.float64)
    if geometry == "euclidean":
        rows -= rows.mean(axis=0)
        return rows
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows


def _distances(rows: Matrix, start: int, stop: int) -> NDArray[np.float64]:
    """Squared distances [stop - start, N] of these rows from all; a row is infinitely far from itself."""
    squares = np.square(rows).sum(axis=1)
    distances: Matrix = np.maximum(squares[start:stop, None] + squares - 2 * rows[start:stop] @ rows.T, 0)
    distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
    return distances
