"""Probabilistic PCA in closed form (Tipping and Bishop 1999): the baseline, and the start of training. Needs no torch."""

from dataclasses import dataclass

import numpy as np

from aaptvae.density.observation import LOG_2PI
from aaptvae.rows import Matrix

NULL = 1e-7  # share of the largest eigenvalue below which an eigenvalue is a rounding error
ACTIVE = 0.01  # variance of a posterior mean above which a latent is in use (Burda et al. 2016)


@dataclass(frozen=True)
class PPCA:
    """Maximum-likelihood pPCA of standardised features: eigenvalues [D] falling, eigenvectors [D, D], variance s2.

    With eigenvectors [D, K] of the K leading axes only, a last eigenvalue [K + 1] is the mean of the `others`, D - K.
    `latents` directions are modelled apart from the noise; a PCA reconstruction keeps `components`, which may be more.
    """

    eigenvalues: Matrix
    eigenvectors: Matrix
    latents: int
    variance: float
    components: int
    others: int = 1  # axes that the last eigenvalue stands for

    @property
    def loadings(self) -> Matrix:
        """W = U_L (lambda_L - s2)^(1/2): [D, L]."""
        kept = np.clip(self.eigenvalues[: self.latents] - self.variance, 0, None)
        loadings: Matrix = self.eigenvectors[:, : self.latents] * np.sqrt(kept)
        return loadings

    def log_likelihood(self, standardised: Matrix) -> Matrix:
        """Exact log p(x) in nats per row: [N, D] -> [N]."""
        spectrum = np.full(len(self.eigenvalues), self.variance)
        spectrum[: self.latents] = np.maximum(self.eigenvalues[: self.latents], self.variance)
        return gaussian_log_likelihood(self.coordinates(standardised), spectrum, self.others)

    def coordinates(self, standardised: Matrix) -> Matrix:
        """Coordinates along the axes, [N, D] -> [N, D]; or [N, K + 1], the last the length orthogonal to K axes."""
        return coordinates(standardised, self.eigenvectors)

    def project(self, standardised: Matrix) -> Matrix:
        """The PCA reconstruction, which the R2 of a model is held against: [N, D] -> [N, D]."""
        basis = self.eigenvectors[:, : self.components]
        projection: Matrix = standardised @ basis @ basis.T
        return projection


def coordinates(standardised: Matrix, axes: Matrix) -> Matrix:
    """Coordinates of rows [N, D] along orthonormal axes [D, K]; with K < D also the length of what is left: [N, K + 1]."""
    along: Matrix = standardised @ axes
    if axes.shape[1] == len(axes):
        return along
    left = (standardised**2).sum(axis=1) - (along**2).sum(axis=1)
    return np.concatenate([along, np.sqrt(np.maximum(left, 0))[:, None]], axis=1)


def gaussian_log_likelihood(rotated: Matrix, variances: Matrix, others: int = 1) -> Matrix:
    """log N(x; 0, diag(variances)) of rows in coordinates along the principal axes: [N, D] -> [N].

    The last coordinate is the length of `others` numbers of equal variance.
    """
    density: Matrix = -0.5 * (rotated**2 / variances + np.log(variances) + LOG_2PI).sum(axis=1)
    return density - 0.5 * (others - 1) * (np.log(variances[-1]) + LOG_2PI) if others > 1 else density


def mean_of(values: Matrix, others: int) -> float:
    """Mean of values along axes [K], the last of which stands for `others`."""
    if others == 1:
        return float(values.mean())
    return float((values.sum() + (others - 1) * values[-1]) / (len(values) + others - 1))


def principal_axes(covariance: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues [D], largest first, none negative, and eigenvectors [D, D] whose largest entry is positive."""
    values, vectors = np.linalg.eigh(covariance)
    return np.clip(values[::-1], 0, None), with_signs(vectors[:, ::-1])


def with_signs(vectors: Matrix) -> Matrix:
    """Eigenvectors [D, K] whose largest entries are positive."""
    # The sign of an eigenvector depends on the LAPACK build: without a rule, runs of two builds could not be compared.
    largest = np.abs(vectors).argmax(axis=0)
    signed: Matrix = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return signed


def ppca_of(eigenvalues: Matrix, eigenvectors: Matrix, latents: int, floor: float = 1e-6, others: int = 1) -> PPCA:
    """pPCA from principal axes; the discarded variance is held at `floor` or more.

    At least one axis with variance is left to the noise; without any the likelihood has no maximum.
    PCA has no such limit and keeps as many components as there are latents.
    """
    live = int((eigenvalues > NULL * eigenvalues[0]).sum())
    components = min(latents, len(eigenvalues) - (others > 1))
    latents = min(latents, max(live - 1, 0), components)
    variance = max(mean_of(eigenvalues[latents:], others), floor)
    return PPCA(eigenvalues, eigenvectors, latents, variance, components, others)
