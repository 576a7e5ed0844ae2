"""The noise of the discarded directions of a linear start: held-out rows choose its shape."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aaptvae.density.observation import LOG_2PI
from aaptvae.rows import Matrix

from ..features import FEW_COLUMNS, Prepared
from .ppca import NULL, PPCA, coordinates, ppca_of, principal_axes

SHRINKAGES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
FREEDOMS = (4.5, 8.0, 16.0, 32.0, 64.0, 256.0)
TAIL_STEPS = 8
FEW_ROWS = 100  # validation rows below which training rows take their turn as held-out rows too
FOLDS = 10


class Tail(NamedTuple):
    """Noise under which held-out rows have the highest density: shrinkage, degrees of freedom, factor on the scales."""

    shrinkage: float
    freedom: float
    factor: float


class HeldOut(NamedTuple):
    """Standardised rows [N, D], and pPCA of other rows, without them."""

    ppca: PPCA
    rows: Matrix

    @property
    def kept(self) -> int:
        """How many directions have a latent."""
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
    """The noise of the discarded directions that gives held-out rows the highest density.

    They decide how far the discarded variances shrink towards their mean (all the way is pPCA) and, with `tails`, the
    degrees of freedom and the scale of a multivariate t in the discarded directions.
    """
    all_null = not any(part.live.any() for part in parts)
    best, chosen = -np.inf, Tail(1.0, np.inf, 1.0)
    for shrinkage in SHRINKAGES[-1:] if all_null else SHRINKAGES:
        for freedom in (FREEDOMS[-1:] if all_null else FREEDOMS) if tails else (np.inf,):
            factor = tail_factor(parts, shrinkage, freedom) if tails else 1.0
            likelihood = mean_density(parts, Tail(shrinkage, freedom, factor))
            if likelihood > best:
                best, chosen = likelihood, Tail(shrinkage, freedom, factor)
    return chosen


def tail_factor(parts: Sequence[HeldOut], shrinkage: float, freedom: float) -> float:
    """Factor on the scales of a multivariate t that fits the rows best in the directions that carry variance."""
    distances, widths = [], []
    for part in parts:
        live, scale = part.live, shrink(part.ppca, shrinkage)[part.kept :]
        distances.append((part.squares / scale)[:, live].sum(axis=1))
        others = part.ppca.others if live[-1:].all() else 1
        widths.append(np.full(len(part.rows), int(live.sum()) + others - 1))
    distance, width = np.concatenate(distances), np.concatenate(widths)
    return tail_scale(distance[width > 0], width[width > 0], freedom)


def mean_density(parts: Sequence[HeldOut], tail: Tail) -> float:
    """Mean log density of the discarded coordinates of all rows."""
    total = 0.0
    for part in parts:
        scale = tail_variance(part.ppca, tail)
        total += len(part.rows) * mean_log_density(part.squares, scale, tail.freedom, part.ppca.others)
    return total / sum(len(part.rows) for part in parts)


def tail_variance(ppca: PPCA, tail: Tail) -> Matrix:
    """Squared scales of the noise in the discarded directions."""
    kept = kept_axes(ppca)
    scale = shrink(ppca, tail.shrinkage)[kept:]
    return np.where(is_null(ppca)[kept:], scale, scale * tail.factor)


def kept_axes(ppca: PPCA) -> int:
    """How many directions have a latent: with noise of their own all live axes may have one."""
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
    null: NDArray[np.bool_] = ppca.eigenvalues < NULL * ppca.eigenvalues[0]
    return null


def tail_scale(distance: Matrix, width: Matrix, freedom: float) -> float:
    """Factor on the scales of multivariate t that fits standardised squared lengths [N] best, by EM (Lange et al. 1989).

    Row i has `width` [N] coordinates.
    """
    factor = 1.0
    for _ in range(TAIL_STEPS if len(distance) else 0):
        weight = (freedom + width) / (freedom + distance / factor)
        factor = max(float((weight * distance).sum() / width.sum()), 1e-6)
    return factor


def mean_log_density(squares: Matrix, scale: Matrix, freedom: float, others: int = 1) -> float:
    """Mean log density of a multivariate t (infinite freedom: Gaussian) from squares [N, D] and squared scales [D].

    The last square is the sum of `others` with the same scale.
    """
    width = len(scale) + others - 1
    distance, volume = (squares / scale).sum(axis=1), 0.5 * np.log(scale).sum()
    if others > 1:
        volume += 0.5 * (others - 1) * np.log(scale[-1])
    if np.isinf(freedom):
        return float(-0.5 * distance.mean() - volume - 0.5 * width * LOG_2PI)
    norm = math.lgamma(0.5 * (freedom + width)) - math.lgamma(0.5 * freedom) - 0.5 * width * math.log(math.pi * freedom)
    return float(norm - volume - 0.5 * (freedom + width) * np.log1p(distance / freedom).mean())
