"""The noise of the discarded directions of a linear start: held-out rows choose its shape."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aaptvae.density.observation import density_of_distance
from aaptvae.rows import Matrix

from ..features import FEW_COLUMNS, Prepared
from .ppca import NULL, PPCA, coordinates, gaussian_log_likelihood, ppca_of, principal_axes

SHRINKAGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
FREEDOMS = (4.5, 8.0, 16.0, 32.0, 64.0, 256.0)
TAIL_STEPS = 8
MOST_LOST = 0.5  # nats of the median density of held-out rows below that of pPCA
BEYOND = 1e-5  # share of squares along directions without variance above which these have noise and latents of their own
FEW_ROWS = 100  # validation rows below which training rows take their turn as held-out rows too
FOLDS = 10


class Tail(NamedTuple):
    """Noise under which held-out rows have the highest density: shrinkage, degrees of freedom, factor on the scales.

    `null` is the squared scale along axes without variance among training rows; 0 where held-out rows have none there either.
    """

    shrinkage: float
    freedom: float
    factor: float
    null: float = 0.0


class HeldOut(NamedTuple):
    """Standardised rows [N, D], and pPCA of other rows, without them."""

    ppca: PPCA
    rows: Matrix

    @property
    def kept(self) -> int:
        """How many directions with variance have a latent."""
        return kept_axes(self.ppca)

    @property
    def squares(self) -> Matrix:
        """Squared coordinates along the discarded directions."""
        squares: Matrix = coordinates(self.rows, self.ppca.eigenvectors)[:, self.kept :] ** 2
        return squares

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which discarded directions carry variance."""
        return ~is_null(self.ppca)[self.kept :]

    @property
    def beyond(self) -> float:
        """Share of the squares along directions that carry no variance among training rows."""
        squares = coordinates(self.rows, self.ppca.eigenvectors) ** 2
        return float(squares[:, is_null(self.ppca)].sum() / max(squares.sum(), 1e-300))

    @property
    def carried(self) -> Matrix:
        """Log density of each row along the directions that have a latent: [N]."""
        kept = self.kept
        along = coordinates(self.rows, self.ppca.eigenvectors)[:, :kept]
        return gaussian_log_likelihood(along, np.maximum(self.ppca.eigenvalues[:kept], self.ppca.variance))

    def lengths(self, shrinkage: float) -> tuple[Matrix, Matrix]:
        """Squared lengths [2, N] of the rows in discarded directions with variance, in units of their scales, and without.

        And how many directions these are [2].
        """
        live, squares, scale = self.live, self.squares, shrink(self.ppca, shrinkage)[self.kept :]
        counts = np.where(np.arange(len(live)) < len(live) - 1, 1, self.ppca.others)
        width = np.array([counts[live].sum(), counts[~live].sum()], float)
        return np.stack([(squares / scale)[:, live].sum(axis=1), squares[:, ~live].sum(axis=1)]), width


def held_out_rows(prepared: Prepared, ppca: PPCA) -> list[HeldOut]:
    """Validation rows with `ppca`, that of the training rows; where they are few also each tenth of the training rows.

    A handful of validation rows says little about the noise: two of them chose scales 50 times too large.
    """
    parts = [HeldOut(ppca, prepared.standardised_residuals(prepared.validation).astype(np.float64))]
    if len(prepared.validation) >= FEW_ROWS or prepared.statistics.width > FEW_COLUMNS or prepared.table is None:
        return parts
    blocks = [(block - prepared.statistics.mean) / prepared.scale for block in prepared.training_rows()]
    rows = np.concatenate(blocks).astype(np.float64)
    for first in range(min(FOLDS, len(rows))):
        others = np.ones(len(rows), bool)
        others[first::FOLDS] = False
        mean = rows[others].mean(axis=0)
        centred = rows[others] - mean
        parts.append(
            HeldOut(ppca_of(*principal_axes(centred.T @ centred / len(centred)), ppca.components), rows[~others] - mean)
        )
    return parts


def spectral_tail(parts: Sequence[HeldOut], tails: bool) -> Tail:
    """The noise of the discarded directions that gives held-out rows the highest mean density.

    They decide how far the discarded variances shrink towards their mean (all the way is pPCA) and, with `tails`, the
    degrees of freedom and the scale of a multivariate t in the discarded directions. A gain on a few rows far out must not
    cost the others: the median density may be at most `MOST_LOST` below that of pPCA.
    """
    beyond = max(part.beyond for part in parts) > BEYOND
    all_null = not beyond and not any(part.live.any() for part in parts)
    carried = [part.carried for part in parts]
    least = np.median(densities(parts, carried, Tail(1.0, np.inf, 1.0))) - MOST_LOST
    best, chosen = (-np.inf, -np.inf), Tail(1.0, np.inf, 1.0)
    for shrinkage in SHRINKAGES[-1:] if all_null else SHRINKAGES:
        for freedom in (FREEDOMS[-1:] if all_null else FREEDOMS) if tails else (np.inf,):
            tail = fitted_scales(parts, Tail(shrinkage, freedom, 1.0), beyond)
            tail = tail if tails else tail._replace(factor=1.0)
            found = densities(parts, carried, tail)
            figures = min(float(np.median(found) - least), 0.0), float(found.mean())
            if figures > best:
                best, chosen = figures, tail
    return chosen


def fitted_scales(parts: Sequence[HeldOut], tail: Tail, beyond: bool) -> Tail:
    """The tail with the factor that fits the rows best and, where they go `beyond` directions with variance, the scale there.

    By EM (Lange et al. 1989), for a multivariate t.
    """
    found, sizes = zip(*(part.lengths(tail.shrinkage) for part in parts), strict=True)
    widths = np.concatenate(
        [np.tile(size[:, None], lengths.shape[1]) for size, lengths in zip(sizes, found, strict=True)], axis=1
    )
    lengths, used = np.concatenate(found, axis=1), np.array([True, beyond])[:, None]
    lengths, widths = lengths * used, widths * used
    total = np.maximum(widths.sum(axis=1), 1)
    scales = np.array([1.0, max(lengths[1].sum() / total[1], 1e-6)])
    for _ in range(TAIL_STEPS):
        distance = tail.freedom + (lengths / scales[:, None]).sum(axis=0)
        weight = 1.0 if np.isinf(tail.freedom) else (tail.freedom + widths.sum(axis=0)) / distance
        scales = np.maximum((weight * lengths).sum(axis=1) / total, 1e-6)
    return tail._replace(factor=float(scales[0]) if widths[0].any() else 1.0, null=float(scales[1]) if beyond else 0.0)


def densities(parts: Sequence[HeldOut], carried: Sequence[Matrix], tail: Tail) -> Matrix:
    """Log density of every row under the linear start, from its log densities along `carried` directions."""
    return np.concatenate(
        [
            along + log_density(part.squares, tail_variance(part.ppca, tail), tail.freedom, part.ppca.others)
            for part, along in zip(parts, carried, strict=True)
        ]
    )


def tail_variance(ppca: PPCA, tail: Tail) -> Matrix:
    """Squared scales of the noise in the discarded directions."""
    kept = kept_axes(ppca)
    scale = shrink(ppca, tail.shrinkage)[kept:]
    return np.where(is_null(ppca)[kept:], np.maximum(scale, tail.null), scale * tail.factor)


def kept_axes(ppca: PPCA) -> int:
    """How many directions with variance have a latent: with noise of their own all of them may have one."""
    return min(ppca.components, int((~is_null(ppca)[: ppca.eigenvectors.shape[1]]).sum()))


def shrink(ppca: PPCA, amount: float) -> Matrix:
    """The spectrum [D] with its discarded part moved towards their mean by a share of 0 to 1."""
    spectrum = np.maximum(ppca.eigenvalues, ppca.variance)
    tail = (1 - amount) * ppca.eigenvalues[ppca.latents :] + amount * ppca.variance
    # Axes without variance (a constant column, a copy of another) have the noise of pPCA in every model: otherwise the
    # likelihood there would grow without limit, and comparisons with pPCA would measure nothing else.
    spectrum[ppca.latents :] = np.where(is_null(ppca)[ppca.latents :], ppca.variance, np.maximum(tail, 1e-3 * ppca.variance))
    return spectrum


def is_null(ppca: PPCA) -> NDArray[np.bool_]:
    """Which axes [D] carry no variance at all."""
    null: NDArray[np.bool_] = ppca.eigenvalues <= NULL * ppca.eigenvalues[0]  # all of them where rows are equal
    return null


def hides_rows(ppca: PPCA, prepared: Prepared) -> bool:
    """Whether most training rows differ along directions whose variance counts as a rounding error.

    It does beside a much larger variance that one extreme row causes.
    """
    null = is_null(ppca)
    if not null.any():
        return False
    along = coordinates(prepared.standardised_residuals(prepared.train_sample).astype(np.float64), ppca.eigenvectors)
    squares = (along - np.median(along, axis=0)) ** 2
    return bool(np.median(squares[:, null].sum(axis=1) / np.maximum(squares.sum(axis=1), 1e-300)) > BEYOND)


def log_density(squares: Matrix, scale: Matrix, freedom: float, others: int = 1) -> Matrix:
    """Log density [N] of a multivariate t (infinite freedom: Gaussian) from squares [N, D] and squared scales [D].

    The last square is the sum of `others` with the same scale.
    """
    width = len(scale) + others - 1
    distance, volume = (squares / scale).sum(axis=1), 0.5 * np.log(scale).sum()
    if others > 1:
        volume += 0.5 * (others - 1) * np.log(scale[-1])
    return density_of_distance(distance, volume, width, freedom)
