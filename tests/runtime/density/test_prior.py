"""The density of latents against direct formulas, and draws that do not depend on how many are asked for."""

import math

import numpy as np
import pytest

from aaptvae import BundleError, InputError
from aaptvae.density.prior import LatentPrior

RNG = np.random.default_rng(0)
L = 3


def mixture(components: int = 2) -> LatentPrior:
    factors = np.tril(RNG.standard_normal((components, L, L)))
    factors[:, range(L), range(L)] = np.abs(factors[:, range(L), range(L)]) + 0.3
    weights = np.arange(1.0, components + 1)
    return LatentPrior(weights / weights.sum(), 3 * RNG.standard_normal((components, L)), factors)


def direct(prior: LatentPrior, z: np.ndarray) -> np.ndarray:
    total = np.zeros(len(z))
    for weight, mean, factor in zip(prior.weights, prior.means, prior.factors, strict=True):
        covariance = factor @ factor.T
        distance = np.einsum("ni,ij,nj->n", z - mean, np.linalg.inv(covariance), z - mean)
        total += weight * np.exp(-0.5 * distance) / math.sqrt((2 * math.pi) ** L * np.linalg.det(covariance))
    return np.log(total)


def test_log_density_is_that_of_the_mixture() -> None:
    prior, z = mixture(), RNG.standard_normal((50, L)).astype(np.float32)
    np.testing.assert_allclose(prior.log_density(z), direct(prior, z), rtol=1e-9)


def test_the_standard_prior_equals_one_unit_component() -> None:
    z = RNG.standard_normal((50, L)).astype(np.float32)
    one = LatentPrior(np.ones(1), np.zeros((1, L)), np.eye(L)[None])
    np.testing.assert_allclose(LatentPrior.standard(L).log_density(z), one.log_density(z), rtol=1e-12)


def test_draws_have_the_moments_of_the_mixture() -> None:
    prior = mixture()
    z = prior.draw(0, 0, 100_000).astype(np.float64)
    mean = prior.weights @ prior.means
    second = np.einsum("k,kij->ij", prior.weights, prior.factors @ prior.factors.transpose(0, 2, 1))
    second += np.einsum("k,ki,kj->ij", prior.weights, prior.means, prior.means)
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), second - np.outer(mean, mean), atol=0.15)


@pytest.mark.parametrize("prior", [LatentPrior.standard(L), mixture(1), mixture(4)], ids=["standard", "gaussian", "mixture"])
def test_draws_do_not_depend_on_their_number(prior: LatentPrior) -> None:
    whole = prior.draw(5, 0, 400)
    assert whole.dtype == np.float32 and whole.shape == (400, L)
    for start, stop in [(0, 1), (0, 10), (37, 38), (60, 70), (128, 400), (9, 9)]:
        assert np.array_equal(prior.draw(5, start, stop), whole[start:stop])


def test_log_density_does_not_depend_on_the_batch() -> None:
    prior, z = mixture(4), RNG.standard_normal((200, L)).astype(np.float32)
    for rows in (1, 2, 65):
        assert np.array_equal(prior.log_density(z[:rows]), prior.log_density(z)[:rows])


def test_temperature_scales_the_spread() -> None:
    prior = mixture()
    assert np.isin(prior.draw(0, 0, 50, 0.0), prior.means.astype(np.float32)).all()
    standard = LatentPrior.standard(L)
    assert np.array_equal(standard.draw(0, 0, 50, 2.0), 2 * standard.draw(0, 0, 50))


@pytest.mark.parametrize("temperature", [-1.0, math.nan, math.inf])
def test_a_temperature_without_sense_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="temperature is"):
        mixture().draw(0, 0, 1, temperature)


def test_arrays_go_out_and_come_back() -> None:
    prior = mixture()
    back = LatentPrior.from_arrays(prior.to_arrays())
    assert all(np.array_equal(back.to_arrays()[name], array) for name, array in prior.to_arrays().items())
    assert len(LatentPrior.from_arrays(LatentPrior.standard(L).to_arrays()).weights) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.array([0.5, 0.6])},
        {"weights": np.array([1.5, -0.5])},
        {"weights": np.ones(3) / 3},
        {"means": np.zeros((2, L + 1))},
        {"factors": np.ones((2, L, L))},
        {"factors": -np.stack([np.eye(L)] * 2)},
    ],
)
def test_arrays_that_are_no_mixture_are_refused(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError, match="prior"):
        LatentPrior.from_arrays(mixture().to_arrays() | change)
