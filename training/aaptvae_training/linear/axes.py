"""The leading principal axes of the training rows, in memory that grows with rows times columns, not with columns squared.

Few columns: from their covariance. Fewer rows than columns: from the Gram matrix of the rows, which has the same
eigenvalues. Many of both: by subspace iteration (Halko et al. 2011), in passes over the rows.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from aaptvae.rows import Matrix, Rows

from ..config import TrainConfig
from ..features import FEW_COLUMNS, MOST_COVARIANCE_COLUMNS, Mask, Moments, Statistics
from .ppca import NULL, PPCA, ppca_of, principal_axes, with_signs

MOST_NUMBERS = 1 << 22  # of the axes, where twice the latents are fewer
MOST_GRAM_ROWS = 6_000
CHUNK = 1 << 23  # numbers in float64 at once
OVERSAMPLED = 16
ITERATIONS = 3


class CentredRows(Protocol):
    """Training rows with their statistics; `constant` [D] marks constant columns."""

    @property
    def statistics(self) -> Statistics:
        """Moments of the rows."""

    @property
    def constant(self) -> Mask:
        """Columns with one value."""

    def training_rows(self) -> Iterator[Rows]:
        """The raw rows, block by block."""


class Axes(NamedTuple):
    """Eigenvalues [K] falling, eigenvectors [D, K]; with K < D a last eigenvalue [K + 1], the mean of the `others`.

    `tail` are the eigenvalues of other axes as far as they are known; where it is not empty, those beyond it are 0.
    """

    eigenvalues: Matrix
    eigenvectors: Matrix
    others: int = 1
    tail: Matrix = np.empty(0)

    @property
    def spectrum(self) -> Matrix:
        """Every eigenvalue [D]; those that are not known at their mean."""
        if not len(self.tail):
            return np.concatenate([self.eigenvalues, np.full(self.others - 1, self.eigenvalues[-1])])
        return np.concatenate([self.eigenvalues[:-1], self.tail, np.zeros(self.others - len(self.tail))])

    @property
    def known(self) -> int:
        """How many of the leading eigenvalues are known one by one."""
        width, axes = self.eigenvectors.shape
        return width if axes == width or len(self.tail) else int(axes)

    def ppca(self, latents: int) -> PPCA:
        """Probabilistic PCA along these axes."""
        return ppca_of(self.eigenvalues, self.eigenvectors, latents, others=self.others)


def most_axes(rows: int, width: int, latents: int) -> int | None:
    """Axes of a table of so many training rows and columns, None for all: as many as rows span, as long as they stay small."""
    most = min(rows - 1, max(MOST_NUMBERS // width, 2 * latents))
    if width <= FEW_COLUMNS or (width <= MOST_COVARIANCE_COLUMNS and most >= width):
        return None
    return max(1, min(most, width - 2))  # scales of D - 1 axes and the others would be taken for those of D columns


def axes_count(table: CentredRows, latents: int) -> int | None:
    """How many axes a model of these rows uses, None for all."""
    most = most_axes(table.statistics.rows, table.statistics.width, latents)
    return most if most is None else max(1, min(most, int((~table.constant).sum()) - 1))


def model_axes(config: TrainConfig, table: CentredRows) -> int | None:
    """Axes of a model of these rows: None for all, 0 for noise by column where only a linear start has axes."""
    count = axes_count(table, config.latent_dim)
    along_axes = config.linear_skip and config.sigma == "spectral" and config.likelihood != "bernoulli"
    return count if count is None or along_axes else 0


def find_axes(table: CentredRows, scale: Matrix, count: int | None) -> Axes:
    """The `count` leading principal axes of the training rows in units of `scale` [D], None for all."""
    statistics = table.statistics
    if count is None or statistics.covariance is not None:
        if statistics.covariance is None:  # a run begun before there was a limit
            moments = Moments(statistics.width)
            for block in table.training_rows():
                moments.add(block)
            statistics = moments.statistics()
        values, vectors = principal_axes(statistics.standardised_covariance(scale))
        return Axes(values, vectors) if count is None else _with_rest(values, vectors[:, :count], float(values.sum()))
    total = float((statistics.variance / scale**2).sum())
    if statistics.rows <= MOST_GRAM_ROWS:
        values, vectors = _gram_axes(_standardised(table, scale), statistics.rows, count)
    else:
        values, vectors = _subspace_axes(table, scale, count)
    return _with_rest(values, with_signs(_completed(vectors, values[:count], table)), total)


def _with_rest(values: Matrix, vectors: Matrix, total: float) -> Axes:
    """Axes with the mean of the eigenvalues that are left of `total`, their sum."""
    leading, tail = np.split(values, [vectors.shape[1]])
    others = len(vectors) - len(leading)
    return Axes(np.append(leading, max((total - float(leading.sum())) / others, 0.0)), vectors, others, tail)


def _standardised(table: CentredRows, scale: Matrix) -> Iterator[Rows]:
    """Blocks of training rows, centred, in units of `scale`: float32."""
    for block in table.training_rows():
        yield ((block - table.statistics.mean) / scale).astype(np.float32)


def _gram_axes(blocks: Iterator[Rows], rows: int, count: int) -> tuple[Matrix, Matrix]:
    """Every eigenvalue [N] and eigenvectors [D, count] by way of X X' [N, N]; those without variance are zeros."""
    x = np.concatenate(list(blocks))
    step = max(1, CHUNK // rows)
    gram = np.zeros((rows, rows))
    for start in range(0, x.shape[1], step):
        part = x[:, start : start + step].astype(np.float64)
        gram += part @ part.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1][:, :count]
    live = values[:count] > NULL * values[0]
    weights = np.where(live, vectors / np.sqrt(np.maximum(values[:count], 1e-300)), 0.0)
    axes = np.empty((x.shape[1], len(live)))
    for start in range(0, x.shape[1], step):
        axes[start : start + step] = x[:, start : start + step].T.astype(np.float64) @ weights
    return values / rows, axes


def _subspace_axes(table: CentredRows, scale: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """The same by multiplying a random subspace with the covariance, which is never formed, until it holds the axes."""
    width, rows = table.statistics.width, table.statistics.rows
    basis = np.random.default_rng(0xA8E5).standard_normal((width, min(count + OVERSAMPLED, width)))
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(basis)[0]
        image = np.zeros_like(basis)
        for block in _standardised(table, scale):
            image += block.T @ (block @ basis)
        basis = image
    basis = np.linalg.qr(basis)[0]
    inner = np.zeros((basis.shape[1],) * 2)
    for block in _standardised(table, scale):
        coordinates = block @ basis
        inner += coordinates.T @ coordinates
    values, vectors = principal_axes(inner / rows)
    return values[:count], basis @ vectors[:, :count]


def _completed(vectors: Matrix, values: Matrix, table: CentredRows) -> Matrix:
    """Orthonormal columns: those without variance are directions of varying columns that are orthogonal to the others."""
    live = values > NULL * values[0]
    if live.all():
        return vectors
    random = np.random.default_rng(0xA8E6).standard_normal((len(vectors), int((~live).sum())))
    for _ in range(2):
        random -= vectors[:, live] @ (vectors[:, live].T @ random)
        random[table.constant] = 0
        random = np.linalg.qr(random)[0]
    random[table.constant] = 0  # also its roundings: the decoder gives these columns their value
    return np.concatenate([vectors[:, live], random], axis=1)
