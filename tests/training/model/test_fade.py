"""Away from the training rows a bounded model is its linear path, and its likelihood is still a density."""

import math

import numpy as np
import torch

from aaptvae_training.model.as_numpy import observation_of
from aaptvae_training.model.network import AAPTVAE, share_within_reach, silenced

WIDTH, LATENTS = 6, 3


def bounded(width: int = WIDTH, latents: int = LATENTS, **options) -> AAPTVAE:
    """Random weights, large enough that the MLPs matter."""
    torch.manual_seed(1)
    model = AAPTVAE(width, latents, 16, linear_skip=True, bounded=True, **options)
    with torch.no_grad():
        for layer in (model.mu, model.logvar):
            layer.weight.mul_(5)
    return model.eval()


@torch.no_grad()
def test_rows_far_out_meet_the_linear_path_alone():
    model = bounded()
    linear, far = silenced(model), 1e3 * torch.randn(200, WIDTH)
    for got, expected in zip(model.encode(far), linear.encode(far), strict=True):
        torch.testing.assert_close(got, expected)
    z = 1e3 * torch.randn(200, LATENTS)
    torch.testing.assert_close(model.decode(z), linear.decode(z))
    near = torch.randn(200, WIDTH)
    assert (model.encode(near)[0] - linear.encode(near)[0]).abs().max() > 0.1


@torch.no_grad()
def test_no_posterior_is_wider_than_the_prior():
    x = torch.cat([size * torch.randn(200, WIDTH) for size in (1, 10, 1e3)])
    assert bounded().encode(x)[1].max() <= 0
    torch.manual_seed(1)
    wide = AAPTVAE(WIDTH, LATENTS, 16).encode(1e3 * torch.randn(200, WIDTH))[1]
    assert wide.max() > 1, "the plain class keeps its range"


def test_the_reach_follows_the_training_rows():
    model = bounded().train()
    for _ in range(200):
        model.posterior(3 * torch.randn(64, WIDTH))
    seen = model.encoder_reach.clone()
    assert 6 < seen < 12
    model.eval().posterior(100 * torch.randn(64, WIDTH))
    assert model.encoder_reach == seen


def mixed() -> AAPTVAE:
    """Two features and one latent, narrow noise and broad."""
    model = bounded(2, 1, sigma="spectral", likelihood="student")
    with torch.no_grad():
        model.set_sigma(torch.tensor([0.3, 0.5]))
        model.broad_log_sigma.copy_(torch.tensor([0.0, 0.6]))
    return model.double()


@torch.no_grad()
def test_exp_log_likelihood_sums_to_one():
    """Over z on a line and x on a grid that reaches 600 noise scales, by torch and by the runtime's observation model."""
    model = mixed()
    line = np.sinh(np.linspace(-math.asinh(300), math.asinh(300), 161))
    cell = np.gradient(line)
    x = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    z = np.linspace(-6, 6, 81)[:, None]
    prior = np.exp(-0.5 * z[:, 0] ** 2) / math.sqrt(2 * math.pi) * (z[1, 0] - z[0, 0])
    means = model.observation_mean(torch.from_numpy(z))
    observation, raw = observation_of(model), model.decode(torch.from_numpy(z)).numpy()
    density = np.zeros((2, len(x)))
    for weight, mean, x_hat in zip(prior, means, raw, strict=True):
        density[0] += weight * np.exp(-model.negative_log_likelihood(mean - torch.from_numpy(x)).numpy())
        density[1] += weight * np.exp(observation.log_density(x, np.broadcast_to(x_hat, x.shape)))
    total = density @ np.outer(cell, cell).ravel()
    np.testing.assert_allclose(total, 1, atol=0.02)
    np.testing.assert_allclose(density[0], density[1], rtol=1e-5)


@torch.no_grad()
def test_broad_noise_limits_the_loss_per_row():
    model = mixed()
    error = torch.tensor([[0.0, 50.0], [30.0, -40.0]], dtype=torch.float64)
    narrow = AAPTVAE.negative_log_likelihood(model, error)
    model.set_sigma(torch.tensor([1e-2, 1e-2]))
    narrower = model.negative_log_likelihood(error)
    assert (narrower - narrow).abs().max() < 0.5, "the broad part decides far out"


@torch.no_grad()
def test_constant_columns_are_decoded_to_their_mean():
    model = bounded(sigma="spectral", likelihood="student")
    model.scaler.standardise_by(torch.arange(WIDTH).double(), torch.ones(WIDTH).double())
    model.scaler.constant[2] = True
    z = torch.randn(50, LATENTS)
    decoded = model.decode(z).numpy()
    assert (decoded[:, 2] == 2).all() and decoded[:, 3].std() > 0
    noisy = observation_of(model).add_noise(decoded, 0, 0, 50)
    assert (noisy[:, 2] == 2).all() and noisy[:, 3].std() > 0.1


def test_the_reach_leaves_out_few_rows() -> None:
    """Eight rows, or 5 % of a small table."""
    assert [share_within_reach(rows) for rows in (0, 100, 160, 1_000, 10_000_000)] == [0.95, 0.95, 0.95, 0.992, 0.999]
