"""The prior that latents are drawn from: Gaussians fitted to the aggregate posterior, chosen on held-out rows.

The aggregate posterior is the mixture of the posteriors of all rows, so the fit uses their means and their variances; a fit
to the means alone would be too narrow (ex-post density estimation: Ghosh et al. 2020).
"""

import numpy as np
from numpy.typing import NDArray

from aaptvae.density.noise import Stream, normal_rows
from aaptvae.density.prior import LatentPrior
from aaptvae.rows import Matrix

from ..model import Posterior
from ..progress import TrainingProgress

COMPONENTS = (1, 2, 4, 8, 16)
STEPS = 12
SETTLED = 0.02  # nats per row; EM stops when a step gains less
PSEUDO_ROWS = 2.0  # per latent: weight of the pooled covariance in that of every component
LLOYD_STEPS = 10


def fit_prior(train: Posterior, held_out: Posterior, seed: int, progress: TrainingProgress | None = None) -> LatentPrior:
    """The standard normal, one Gaussian or a mixture: the one with the highest density of draws from held-out posteriors."""
    progress = progress or TrainingProgress()
    progress.stage("fitting the prior", len(COMPONENTS))
    noise = normal_rows(seed, 0, len(held_out.mu), held_out.mu.shape[1], Stream.IMPORTANCE)
    draws = (held_out.mu + np.sqrt(held_out.variance) * noise).astype(np.float32)
    best = LatentPrior.standard(train.mu.shape[1])
    highest = float(best.log_density(draws).mean())
    for components in COMPONENTS:
        if len(train.mu) < 10 * components:
            break
        prior = fit_mixture(train, components, seed)
        density = float(prior.log_density(draws).mean())
        progress.advance(1)
        if density <= highest and components > 1:
            break  # more components fit held-out rows no better
        if density > highest:
            best, highest = prior, density
    return best


def fit_mixture(rows: Posterior, components: int, seed: int) -> LatentPrior:
    """A mixture of full Gaussians fitted by EM to posteriors [N, L], covariances shrunk towards the pooled one."""
    shares = np.eye(components)[_k_means(rows.mu, components, seed)]
    last = -np.inf
    for _ in range(STEPS if components > 1 else 1):
        prior = _maximise(rows, shares)
        log_shares = _expected_log_density(rows, prior)
        total = np.logaddexp.reduce(log_shares, axis=1)
        if total.mean() - last < SETTLED:
            break
        last = float(total.mean())
        shares = np.exp(log_shares - total[:, None])
    return prior


def _maximise(rows: Posterior, shares: Matrix) -> LatentPrior:
    """The M step: the mixture that is likeliest when row n belongs to component k with probability `shares` [N, K]."""
    count, latents = shares.sum(axis=0) + 1e-9, rows.mu.shape[1]
    means = shares.T @ rows.mu / count[:, None]
    scatters = np.stack([_scatter(rows, share, mean) for share, mean in zip(shares.T, means, strict=True)])
    pooled = scatters.sum(axis=0) / len(rows.mu)
    pseudo = PSEUDO_ROWS * latents if len(count) > 1 else 1.0
    covariances = (scatters + pseudo * pooled) / (count + pseudo)[:, None, None]
    covariances += 1e-9 * np.trace(pooled) / latents * np.eye(latents)
    weights = (count + 1) / (count + 1).sum()
    return LatentPrior(weights, means, np.linalg.cholesky(covariances))


def _scatter(rows: Posterior, share: Matrix, mean: Matrix) -> Matrix:
    centred = (rows.mu - mean) * np.sqrt(share)[:, None]
    scatter: Matrix = centred.T @ centred + np.diag(share @ rows.variance)
    return scatter


def _expected_log_density(rows: Posterior, prior: LatentPrior) -> Matrix:
    """E[log w_k N(z; m_k, S_k)] for z from each posterior: [N, K], up to the constant of the dimension."""
    out = np.empty((len(rows.mu), len(prior.weights)))
    for k, (weight, mean, factor) in enumerate(zip(prior.weights, prior.means, prior.factors, strict=True)):
        whiten = np.linalg.inv(factor).T
        spread = ((rows.mu - mean) @ whiten) ** 2
        trace = rows.variance @ (whiten**2).sum(axis=1)
        out[:, k] = np.log(weight) - np.log(np.diag(factor)).sum() - 0.5 * (spread.sum(axis=1) + trace)
    return out


def _k_means(points: Matrix, clusters: int, seed: int) -> NDArray[np.int64]:
    """Cluster of each row [N], after a few steps of Lloyd's algorithm on standardised columns."""
    points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-12)
    centres = points[np.random.default_rng([seed, 0xC1]).choice(len(points), clusters, replace=False)]
    nearest = np.zeros(len(points), np.int64)
    for _ in range(LLOYD_STEPS if clusters > 1 else 0):
        nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
        members = [points[nearest == k] for k in range(clusters)]
        centres = np.stack([m.mean(axis=0) if len(m) else centre for m, centre in zip(members, centres, strict=True)])
    return nearest
