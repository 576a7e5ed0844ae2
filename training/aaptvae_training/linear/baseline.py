"""The figures that a model must beat: PCA, probabilistic PCA and one Gaussian of the training rows."""

import math
from dataclasses import dataclass

import numpy as np

from aaptvae.rows import Matrix

from ..config import TrainConfig
from ..features.prepare import Prepared
from .ppca import PPCA, gaussian_log_likelihood, ppca_of
from .start import SHRINKAGES, Start, shrink


@dataclass(frozen=True)
class Baseline:
    """What the training rows say without a network: column statistics, principal axes and the Gaussian along them."""

    mean: Matrix
    scale: Matrix
    eigenvalues: Matrix
    eigenvectors: Matrix
    spectrum: Matrix

    def ppca(self, latents: int) -> PPCA:
        """Probabilistic PCA of this many latents."""
        return ppca_of(self.eigenvalues, self.eigenvectors, latents)


def baseline_of(prepared: Prepared, start: Start) -> Baseline:
    """The Gaussian that the validation rows like best, beside the statistics it comes from."""
    rotated = prepared.standardise(prepared.validation) @ start.ppca.eigenvectors
    spectra = [shrink(start.ppca, amount) for amount in SHRINKAGES]
    spectrum = max(spectra, key=lambda variances: float(gaussian_log_likelihood(rotated, variances).mean()))
    ppca = start.ppca
    return Baseline(prepared.statistics.mean, prepared.scale, ppca.eigenvalues, ppca.eigenvectors, spectrum)


def tolerated_error(config: TrainConfig, prepared: Prepared, start: Start) -> float:
    """Squared error per validation row that PCA leaves, where reconstructions are held to it."""
    if not (config.fidelity and config.sigma == "spectral") or config.likelihood == "bernoulli":
        return math.inf
    x = prepared.standardise(prepared.validation).astype(np.float64)
    return float(((x - start.ppca.project(x)) ** 2).sum(axis=1).mean())
