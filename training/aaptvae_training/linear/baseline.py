"""The figures that a model must beat: PCA, probabilistic PCA and one Gaussian of the training rows."""

from dataclasses import dataclass

import numpy as np
import torch
from msgspec import Struct

from aaptvae.rows import Matrix

from ..config import TrainConfig
from ..features import Mask, Prepared
from ..model import Fidelity
from .ppca import PPCA, mean_of, ppca_of
from .start import Start

LEAST_VARIANCE = 1e-6  # of a standardised axis, as for pPCA


class ColumnR2(Struct, frozen=True):
    """R2 of one column in its own units, the model's and PCA's."""

    column: int
    r2: float
    pca_r2: float


EXACT = 1e-3  # share of the variance: an error this small is accepted, even if PCA (with as many latents as features) has none


@dataclass(frozen=True)
class Baseline:
    """Statistics of the training rows: of their columns, their principal axes, and the variances of a Gaussian along them.

    Arrays along K < D axes have K + 1 numbers, the last the mean of the other axes.
    """

    mean: Matrix
    scale: Matrix
    eigenvalues: Matrix
    eigenvectors: Matrix
    spectrum: Matrix
    constant: Mask

    @property
    def deviation(self) -> Matrix:
        """Standard deviation of every column [D], 1 for a constant one; `scale` is larger where values lie far out."""
        axes = self.eigenvectors.shape[1]
        rest = self.eigenvalues[-1] if axes < len(self.eigenvectors) else 0.0  # along every other axis
        variance = (self.eigenvectors**2) @ (self.eigenvalues[:axes] - rest) + rest
        return np.where(self.constant | (variance <= 0), self.scale, self.scale * np.sqrt(np.maximum(variance, 0)))

    def ppca(self, latents: int) -> PPCA:
        """Probabilistic PCA of this many latents."""
        return ppca_of(self.eigenvalues, self.eigenvectors, latents, others=self.others)

    @property
    def others(self) -> int:
        """How many axes the last eigenvalue stands for."""
        return max(len(self.eigenvectors) - int(self.eigenvectors.shape[1]), 1)


def fit_baseline(prepared: Prepared, start: Start) -> Baseline:
    """Statistics of the training rows, and the Gaussian whose shrinkage follows from them alone, not from L."""
    ppca, sample = start.ppca, prepared.standardised_residuals(prepared.train_sample).astype(np.float64)
    fourth_moment = float(((sample**2).sum(axis=1) ** 2).mean())  # of a sample of the rows: of all of them, if they are few
    spectrum = ledoit_wolf(ppca.eigenvalues, fourth_moment, prepared.statistics.rows, ppca.others)
    return Baseline(prepared.statistics.mean, prepared.scale, ppca.eigenvalues, ppca.eigenvectors, spectrum, prepared.constant)


def ledoit_wolf(eigenvalues: Matrix, fourth_moment: float, rows: int, others: int = 1) -> Matrix:
    """Eigenvalues [D] of a covariance of N rows, shrunk towards their mean (Ledoit and Wolf 2004).

    `fourth_moment` is the mean of |x|^4 over centred rows; the share of shrinkage minimises the expected squared error.
    The last eigenvalue stands for `others`.
    """
    mean, width = mean_of(eigenvalues, others), len(eigenvalues) + others - 1
    spread = mean_of((eigenvalues - mean) ** 2, others)
    squares = float((eigenvalues**2).sum() + (others - 1) * eigenvalues[-1] ** 2)
    error = (fourth_moment - squares) / (width * rows)
    share = min(max(error / spread, 0.0), 1.0) if spread > 0 else 0.0
    return np.maximum((1 - share) * eigenvalues + share * mean, LEAST_VARIANCE)


def fidelity_to(ppca: PPCA, config: TrainConfig, prepared: Prepared) -> Fidelity:
    """The squared errors of PCA, or `EXACT`, that a model is held to; infinite where `fidelity` is off.

    In standardised units and, where all axes are known, in the features' own; runs of before with capped scales: in theirs.
    """
    if not (config.fidelity and config.sigma == "spectral") or config.likelihood == "bernoulli":
        return Fidelity((ppca.variance,))
    x = prepared.standardised_residuals(prepared.validation).astype(np.float64)
    error, total = (x - ppca.project(x)) ** 2, x**2

    def tolerated(weights: Matrix) -> float:
        return max(float((error @ weights).mean()), EXACT * float((total @ weights).mean()))

    standardised = tolerated(np.ones(x.shape[1]))
    if prepared.capped or ppca.others > 1:
        return Fidelity((ppca.variance,), (standardised,))
    weights = own_weights(prepared)
    left = ppca.variance, unexplained(ppca, weights)
    return Fidelity(left, (standardised, tolerated(weights)), torch.from_numpy(weights))


def own_weights(prepared: Prepared) -> Matrix:
    """Weights [D] of squared standardised features that make them squares in own units, of the same total variance."""
    variance = np.where(prepared.constant, 0.0, prepared.statistics.variance)
    squared_scale = np.where(prepared.constant, 0.0, prepared.scale**2)
    weights: Matrix = squared_scale * ((variance / prepared.scale**2).sum() / max(variance.sum(), 1e-300))
    return weights


def unexplained(ppca: PPCA, weights: Matrix) -> float:
    """Variance that PCA leaves in a discarded direction, of squares with these weights [D]."""
    kept = ppca.components
    spectrum = weights @ ppca.eigenvectors**2 * ppca.eigenvalues  # along each axis [D]
    left = max(float(spectrum[kept:].sum()), EXACT * float(spectrum.sum()))
    return max(left / max(len(spectrum) - kept, 1), LEAST_VARIANCE)
