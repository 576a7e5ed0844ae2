"""A linear VAE is probabilistic PCA: reached from a random start by the same loop, and exactly by the warm start."""

import math

import numpy as np
import pytest
import torch

from aaptvae_training.features.moments import Moments
from aaptvae_training.linear.ppca import gaussian_log_likelihood, ppca_of, principal_axes
from aaptvae_training.linear.start import begin_at, begin_bernoulli, scalar_start, start_with
from aaptvae_training.linear.tail import HeldOut, spectral_tail
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.loop.processes import World
from aaptvae_training.loop.trainer import Trainer
from aaptvae_training.model import losses
from aaptvae_training.model.network import AAPTVAE, last_layer
from aaptvae_training.model.objective import Objective

from ..conftest import options

WIDTH, LATENTS = 8, 2
SPECTRUM = np.array([9.0, 4.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """2,000 centred rows whose covariance has SPECTRUM exactly, along axes of its own."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((2000, WIDTH))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(noise.T @ noise / 2000)).T
    axes = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    return (white * np.sqrt(SPECTRUM)) @ axes.T


def linear(sigma="learned", likelihood="gaussian") -> AAPTVAE:
    """A model whose MLPs say nothing: their last matrices are zero and stay so."""
    model = AAPTVAE(WIDTH, LATENTS, 4, linear_skip=True, sigma=sigma, likelihood=likelihood)
    for layer in (model.mu, model.logvar, last_layer(model.decoder)):
        layer.weight.data.zero_()
        layer.weight.requires_grad_(False)
    return model


@pytest.mark.slow
def test_the_loop_finds_ppca_from_a_random_start(rows, tmp_path):
    """Subspace within 2 degrees, noise variance within 3 percent, log-likelihood within 0.02 nats of the optimum."""
    (tmp_path / "last").mkdir()
    torch.manual_seed(1)
    table, world = torch.from_numpy(rows).float(), World(0, 1, torch.device("cpu"))
    config = options(latent_dim=LATENTS, epochs=100, batch_size=200, learning_rate=0.1, weight_decay=0.0, patience=1.0)
    model = linear()
    trainer = Trainer(Objective(model), ResidentBatches(table, 200, 0, world), table, config, tmp_path, world)
    trainer.run()

    ppca = ppca_of(*principal_axes(rows.T @ rows / len(rows)), LATENTS)
    found = np.linalg.qr(trainer.best["decoder_skip.weight"].numpy())[0]
    cosine = np.linalg.svd(ppca.eigenvectors[:, :LATENTS].T @ found)[1].min()
    assert math.degrees(math.acos(min(1.0, cosine))) < 2
    model.load_state_dict(trainer.best)
    assert model.noise_log_sigma.exp().item() ** 2 == pytest.approx(ppca.variance, rel=0.03)
    with torch.no_grad():
        assert evidence(model.double(), rows).mean().item() == pytest.approx(ppca.log_likelihood(rows).mean(), abs=0.02)


def evidence(model: AAPTVAE, rows: np.ndarray) -> torch.Tensor:
    """log p(x|z) + log p(z) - log q(z|x) of one draw per row: log p(x) itself where the posterior is exact."""
    x = model.scaler.to_scaled(torch.from_numpy(rows))
    mu, logvar = model.posterior(x)
    noise = torch.randn(mu.shape, dtype=x.dtype)
    z = mu + torch.exp(0.5 * logvar) * noise
    log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1)
    log_posterior = -0.5 * (noise.square() + logvar + math.log(2 * math.pi)).sum(dim=1)
    return -model.negative_log_likelihood(model.observation_mean(z) - x) + log_prior - log_posterior


@torch.no_grad()
def test_the_warm_start_is_ppca_exactly(rows):
    ppca = ppca_of(*principal_axes(rows.T @ rows / len(rows)), LATENTS)
    model = linear("learned").double()
    begin_at(model, scalar_start(ppca))
    # sigma is kept in float32, so that is how exact it is.
    np.testing.assert_allclose(evidence(model, rows).numpy(), ppca.log_likelihood(rows), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.abs(model.decoder_skip.weight.numpy()), np.abs(ppca.loadings), rtol=1e-9, atol=1e-9)
    x = torch.from_numpy(rows)
    mu, logvar = model.posterior(x)
    nll = model.negative_log_likelihood(model.observation_mean(model.reparameterize(mu, logvar)) - x).mean()
    elbo = -nll - 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(dim=1).mean()
    assert elbo.item() == pytest.approx(ppca.log_likelihood(rows).mean(), abs=0.1), "the bound is tight: noise of one draw"


@torch.no_grad()
def test_the_spectral_start_is_the_full_gaussian_exactly(rows):
    ppca = ppca_of(*principal_axes(rows.T @ rows / len(rows)), LATENTS)
    start = start_with(ppca, spectral_tail([HeldOut(ppca, rows)], tails=False))
    np.testing.assert_allclose(start.variance, SPECTRUM, rtol=1e-6)
    model = linear("spectral").double()
    begin_at(model, start)
    expected = gaussian_log_likelihood(rows @ ppca.eigenvectors, SPECTRUM)
    np.testing.assert_allclose(evidence(model, rows).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert expected.mean() > ppca.log_likelihood(rows).mean() + 0.05


@torch.no_grad()
def test_the_start_with_its_mlps_approximates_ppca(rows):
    torch.manual_seed(0)
    ppca = ppca_of(*principal_axes(rows.T @ rows / len(rows)), LATENTS)
    model = AAPTVAE(WIDTH, LATENTS, 64, linear_skip=True, sigma="learned").double()
    begin_at(model, scalar_start(ppca))
    assert evidence(model, rows).mean().item() == pytest.approx(ppca.log_likelihood(rows).mean(), abs=0.05)


def test_ppca_is_the_density_of_its_own_covariance(rows):
    ppca = ppca_of(*principal_axes(rows.T @ rows / len(rows)), LATENTS)
    assert ppca.variance == pytest.approx(SPECTRUM[LATENTS:].mean())
    covariance = torch.from_numpy(ppca.loadings @ ppca.loadings.T + ppca.variance * np.eye(WIDTH))
    density = torch.distributions.MultivariateNormal(torch.zeros(WIDTH, dtype=torch.float64), covariance)
    np.testing.assert_allclose(ppca.log_likelihood(rows), density.log_prob(torch.from_numpy(rows)).numpy(), rtol=1e-9)


def test_a_bernoulli_model_starts_at_the_logistic_loadings():
    """Weak loadings A of binary rows come back as A A', for latents may turn; the ELBO is above that of the means."""
    rng = np.random.default_rng(5)
    loadings = 0.5 * rng.standard_normal((LATENTS, 12))
    offset = rng.uniform(-1.5, 0.5, 12)
    chance = 1 / (1 + np.exp(-(rng.standard_normal((40_000, LATENTS)) @ loadings + offset)))
    x = (rng.random(chance.shape) < chance).astype(np.float32)
    moments = Moments(12)
    moments.add(x)
    statistics = moments.statistics()
    model = AAPTVAE(12, LATENTS, 4, linear_skip=True, likelihood="bernoulli")
    model.scaler.standardise_by(torch.from_numpy(statistics.mean), torch.from_numpy(1.7 * statistics.deviation))
    begin_bernoulli(model, statistics)

    found = model.decoder_skip.weight.detach().double().numpy()
    truth = loadings.T @ loadings
    off_diagonal = ~np.eye(12, dtype=bool)
    assert np.corrcoef((found @ found.T)[off_diagonal], truth[off_diagonal])[0, 1] > 0.97
    with torch.no_grad():
        _, nll, kl = Objective(model)(model.scaler.to_scaled(torch.from_numpy(x)), 1.0)
        means = losses.bernoulli_nll(torch.from_numpy(statistics.mean).float().expand(x.shape), torch.from_numpy(x))
    assert (nll + kl).mean() < means.mean() - 0.03
