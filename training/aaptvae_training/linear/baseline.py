"""The figures that a model must beat: PCA, probabilistic PCA and one Gaussian of the training rows."""

import math
from dataclasses import dataclass

import numpy as np

from aaptvae.rows import Matrix

from ..config import TrainConfig
from ..features import Mask, Prepared
from .ppca import PPCA, gaussian_log_likelihood, ppca_of
from .start import SHRINKAGES, Start, shrink


@dataclass(frozen=True)
class Baseline:
    """Statistics of the training rows: of their columns, their principal axes, and the variances of a Gaussian along them."""

    mean: Matrix
    scale: Matrix
    eigenvalues: Matrix
    eigenvectors: Matrix
    spectrum: Matrix
    constant: Mask

    def ppca(self, latents: int) -> PPCA:
        """Probabilistic PCA of this many latents."""
        return ppca_of(self.eigenvalues, self.eigenvectors, latents)


def fit_baseline(prepared: Prepared, start: Start) -> Baseline:
    """Statistics of the training rows, with the shrinkage of the Gaussian under which validation rows are likeliest."""
    rotated = prepared.standardise(prepared.validation) @ start.ppca.eigenvectors
    spectra = [shrink(start.ppca, amount) for amount in SHRINKAGES]
    spectrum = max(spectra, key=lambda variances: float(gaussian_log_likelihood(rotated, variances).mean()))
    ppca = start.ppca
    return Baseline(prepared.statistics.mean, prepared.scale, ppca.eigenvalues, ppca.eigenvectors, spectrum, prepared.constant)


def tolerated_error(config: TrainConfig, prepared: Prepared, start: Start) -> float:
    """Squared error of PCA per validation row, which the trainer holds the model to; infinite where `fidelity` is off."""
    if not (config.fidelity and config.sigma == "spectral") or config.likelihood == "bernoulli":
        return math.inf
    x = prepared.standardise(prepared.validation).astype(np.float64)
    return float(((x - start.ppca.project(x)) ** 2).sum(axis=1).mean())
