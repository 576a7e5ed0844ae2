"""The prior that latents are drawn from: Gaussians fitted to the aggregate posterior, chosen on held-out rows.

The aggregate posterior is the mixture of the posteriors of all rows, so the fit uses their means and their variances; a fit
to the means alone would be too narrow (ex-post density estimation: Ghosh et al. 2020).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aaptvae.bundle.manifest import Condition
from aaptvae.density.noise import Stream, normal_rows
from aaptvae.density.prior import LatentPrior
from aaptvae.rows import Matrix, Rows

from ..model import Posterior
from ..progress import TrainingProgress

COMPONENTS = (1, 2, 4, 8, 16)
STEPS = 12
SETTLED = 0.02  # nats per row; EM stops when a step gains less
PSEUDO_ROWS = 2.0  # per latent: weight of the pooled covariance in that of every component
LLOYD_STEPS = 10
MOST_CATEGORIES = 64  # combinations of categories with a Gaussian of their own
PRIOR_ROWS = 4.0  # weight of the mean of all rows in that of a category
OTHER_CATEGORY = 1e-6  # weight of another category's Gaussian, which a combination that was never seen falls back on


class Given(NamedTuple):
    """Conditions c of training rows [N, C] and of held-out rows [M, C]; which of the C columns belong to categories."""

    train: Rows
    held_out: Rows
    categorical: NDArray[np.bool_]

    @classmethod
    def of(cls, train: Rows, held_out: Rows, conditions: Sequence[Condition]) -> "Given | None":
        """From rows [N, D + C] with these conditions in their last columns; None without conditions."""
        categorical = np.array([bool(spec.categories) for spec in conditions for _ in range(spec.width)], bool)
        start = train.shape[1] - len(categorical)
        return cls(train[:, start:], held_out[:, start:], categorical) if conditions else None


def fit_prior(
    train: Posterior,
    held_out: Posterior,
    seed: int,
    progress: TrainingProgress | None = None,
    given: Given | None = None,
) -> LatentPrior:
    """The prior under which draws from held-out posteriors have the highest mean density.

    Candidates: the standard normal, one Gaussian, mixtures and, with conditions `given`, one Gaussian for each category.
    """
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
    by_category = None if given is None else fit_categories(train, given)
    if given is not None and by_category is not None:
        density = float(by_category.under(given.held_out).log_density(draws).mean())
        best = by_category if density > highest else best
    return best


def fit_categories(rows: Posterior, given: Given) -> LatentPrior | None:
    """One Gaussian for each combination of categories among the rows; None without categories, or for too many.

    The encoder removes the mean effect of a category from the latents, not its effect on their spread. Small categories are
    drawn towards the mean and the covariance of all rows.
    """
    keys, member = np.unique(given.train[:, given.categorical], axis=0, return_inverse=True)
    if not 1 < len(keys) <= MOST_CATEGORIES:
        return None
    shares = np.eye(len(keys))[member.reshape(-1)]
    prior, count = _maximise(rows, shares), shares.sum(axis=0)[:, None]
    means = (count * prior.means + PRIOR_ROWS * rows.mu.mean(axis=0)) / (count + PRIOR_ROWS)
    gate = np.zeros((len(keys), len(given.categorical)))
    gate[:, given.categorical] = np.where(keys > 0, 0.0, np.log(OTHER_CATEGORY))
    return replace(prior, means=means, gate=gate)


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
