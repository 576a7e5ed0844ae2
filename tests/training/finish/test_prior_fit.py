"""The fitted prior: known densities are recovered, and held-out latents select the family."""

import numpy as np
import pytest

from aaptvae_training.finish.prior_fit import fit_mixture, fit_prior
from aaptvae_training.model.as_numpy import Posterior

NONE = 1e-12


def posterior(mu: np.ndarray, variance: float | np.ndarray = NONE) -> Posterior:
    return Posterior(mu, np.broadcast_to(variance, mu.shape).copy())


def covariances(prior) -> np.ndarray:
    return prior.factors @ prior.factors.transpose(0, 2, 1)


def two_clusters(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    near, far = np.array([[1.0, 0.6], [0.6, 0.5]]), np.array([[0.3, 0.0], [0.0, 2.0]])
    first = rng.multivariate_normal([-4, 0], near, int(0.3 * rows))
    return np.concatenate([first, rng.multivariate_normal([3, 1], far, rows - len(first))])


def test_a_known_mixture_is_recovered():
    prior = fit_mixture(posterior(two_clusters(4000, 0)), 2, seed=0)
    order = np.argsort(prior.weights)
    np.testing.assert_allclose(prior.weights[order], [0.3, 0.7], atol=0.01)
    np.testing.assert_allclose(prior.means[order], [[-4, 0], [3, 1]], atol=0.1)
    np.testing.assert_allclose(covariances(prior)[order][0], [[1.0, 0.6], [0.6, 0.5]], atol=0.12)
    np.testing.assert_allclose(covariances(prior)[order][1], [[0.3, 0.0], [0.0, 2.0]], atol=0.12)


def test_the_covariance_includes_posterior_variances():
    """autoencodix keeps the first term only, and a Gaussian fitted to means keeps the second only."""
    mu = np.random.default_rng(0).multivariate_normal([1, -1], [[2.0, 0.5], [0.5, 1.0]], 5000)
    variance = np.tile([0.3, 4.0], (5000, 1))
    prior = fit_mixture(posterior(mu, variance), 1, seed=0)
    np.testing.assert_allclose(covariances(prior)[0], np.cov(mu.T, bias=True) + np.diag([0.3, 4.0]), rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(prior.means[0], mu.mean(axis=0), atol=1e-9)


def test_standard_posteriors_choose_the_standard_normal():
    """Means of variance 0.36 with posteriors of variance 0.64 add up to N(0, I): there is nothing to fit."""
    rng = np.random.default_rng(1)
    train, held_out = (posterior(0.6 * rng.standard_normal((rows, 6)), 0.64) for rows in (300, 200))
    assert len(fit_prior(train, held_out, seed=0).weights) == 0


def test_correlated_latents_choose_one_gaussian():
    rng = np.random.default_rng(2)
    mix = rng.standard_normal((4, 4))
    train, held_out = (posterior(rng.standard_normal((rows, 4)) @ mix, 0.1) for rows in (2000, 500))
    assert len(fit_prior(train, held_out, seed=0).weights) == 1


def test_clusters_choose_a_mixture_that_unseen_latents_prefer():
    train, held_out = two_clusters(3000, 3), two_clusters(1000, 4)
    prior = fit_prior(posterior(train), posterior(held_out), seed=0)
    assert len(prior.weights) >= 2
    single = fit_mixture(posterior(train), 1, seed=0)
    unseen = two_clusters(1000, 5).astype(np.float32)
    assert prior.log_density(unseen).mean() > single.log_density(unseen).mean() + 0.3


def test_a_fit_is_the_same_every_time():
    rows = posterior(two_clusters(500, 6))
    first, second = (fit_mixture(rows, 4, seed=9) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first.to_arrays().values(), second.to_arrays().values(), strict=True))


@pytest.mark.parametrize("rows", [1, 2, 9, 11])
def test_few_rows_and_inactive_latents_give_a_density(rows):
    rng = np.random.default_rng(rows)
    mu = np.column_stack([rng.standard_normal(rows), np.zeros(rows)])
    prior = fit_prior(posterior(mu, np.array([0.5, 1.0])), posterior(mu[:1], np.array([0.5, 1.0])), seed=0)
    assert np.isfinite(prior.log_density(mu.astype(np.float32))).all()
    assert np.isfinite(prior.draw(0, 0, 50)).all()
