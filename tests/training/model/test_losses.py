"""The objective against other people's formulas: sums over features and latents, one figure per row, in nats."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from aaptvae.density import kl_divergence as runtime_kl
from aaptvae.density.observation import ObservationModel
from aaptvae_training import AAPTVAE
from aaptvae_training.linear.tail import log_density
from aaptvae_training.model import losses
from aaptvae_training.model.as_numpy import observation_of

torch.manual_seed(5)
ERROR, X = 2 * torch.randn(11, 7), torch.rand(11, 7)
LOG_SIGMA = torch.linspace(-1, 0.5, 7)
MU, LOGVAR = 2 * torch.randn(11, 5), torch.randn(11, 5)


def test_the_gaussian_is_summed_over_features():
    expected = -Independent(Normal(torch.zeros(7), LOG_SIGMA.exp()), 1).log_prob(ERROR)
    torch.testing.assert_close(losses.gaussian_nll(ERROR, LOG_SIGMA), expected)


def test_one_deviation_serves_every_feature():
    expected = -MultivariateNormal(torch.zeros(7), 0.49 * torch.eye(7)).log_prob(ERROR)
    torch.testing.assert_close(losses.gaussian_nll(ERROR, torch.tensor([0.7]).log()), expected)


def test_the_t_integrates_gaussians_over_their_scale():
    """t(e; nu) is the mean of N(e; 0, S / w) over w ~ Gamma(nu/2, nu/2): done here by brute quadrature."""
    freedom = torch.tensor(6.5, dtype=torch.float64)
    error, log_scale = ERROR.double(), LOG_SIGMA.double()
    w = torch.linspace(1e-5, 12, 120_001, dtype=torch.float64)
    density = torch.distributions.Gamma(freedom / 2, freedom / 2).log_prob(w)
    for row, nll in zip(error, losses.student_nll(error, log_scale, freedom), strict=True):
        distance = (row / log_scale.exp()).square().sum()
        gaussian = -0.5 * w * distance + 3.5 * torch.log(w / (2 * math.pi)) - log_scale.sum()
        assert float(torch.trapezoid((density + gaussian).exp(), w).log()) == pytest.approx(-float(nll), abs=1e-6)


def test_the_t_of_one_feature_is_torchs():
    freedom, error = torch.tensor(5.0), ERROR[:, :1]
    expected = -torch.distributions.StudentT(freedom, scale=0.3).log_prob(error[:, 0])
    torch.testing.assert_close(losses.student_nll(error, torch.tensor([0.3]).log(), freedom), expected)


def test_a_t_with_infinite_freedom_is_gaussian():
    error, log_scale = ERROR.double(), LOG_SIGMA.double()
    student = losses.student_nll(error, log_scale, torch.tensor(1e9, dtype=torch.float64))
    torch.testing.assert_close(student, losses.gaussian_nll(error, log_scale), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "student"])
def test_training_and_runtime_measure_the_same_density(kind):
    sigma, freedom = LOG_SIGMA.exp().double().numpy(), 7.0 if kind == "student" else math.inf
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 7)))[0]
    mean, scale = np.linspace(-2, 2, 7), np.linspace(0.5, 3, 7)
    model = ObservationModel(kind, mean, scale, sigma, basis, freedom)
    x, x_hat = (X + ERROR).numpy().astype(np.float64), X.numpy().astype(np.float64)
    rotated = torch.from_numpy((x - x_hat) / scale @ basis)
    own = losses.gaussian_nll(rotated, torch.from_numpy(np.log(sigma)))
    if kind == "student":
        own = losses.student_nll(rotated, torch.from_numpy(np.log(sigma)), torch.tensor(freedom, dtype=torch.float64))
    np.testing.assert_allclose(model.log_density(x, x_hat), -own.numpy(), rtol=1e-9)
    start = log_density(np.square(rotated.numpy()), np.square(sigma), freedom).mean()
    assert start == pytest.approx(-float(own.mean()), rel=1e-9)


@pytest.mark.parametrize("sigma", [0.3, "learned", "optimal", "per_feature", "spectral"])
@pytest.mark.parametrize("likelihood", ["gaussian", "student"])
def test_torch_and_numpy_give_the_same_density(sigma, likelihood):
    torch.manual_seed(1)
    model = AAPTVAE(7, 3, 5, sigma=sigma, likelihood=likelihood).eval()
    model.scaler.standardise_by(torch.linspace(-2, 2, 7), torch.linspace(0.5, 3, 7))
    if sigma == "spectral":
        axes = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
        model.scaler.rotate_by(axes, torch.linspace(0.2, 1, 7), torch.linspace(0.5, 2, 7))
    if sigma in ("per_feature", "spectral"):
        model.set_sigma(LOG_SIGMA.exp())
    reconstruction = model.decode(torch.randn(11, 3))
    scaled = model.scaler.to_scaled(reconstruction) - model.scaler.to_scaled(X)
    own = model.negative_log_likelihood(scaled).detach().numpy()
    plain = observation_of(model).log_density(X.numpy(), reconstruction.detach().numpy())
    np.testing.assert_allclose(plain, -own, rtol=2e-5, atol=2e-5)


def test_bernoulli_is_summed_over_features():
    p = torch.rand(11, 7)
    hard = (X > 0.5).float()
    torch.testing.assert_close(losses.bernoulli_nll(p, hard), -Independent(Bernoulli(p), 1).log_prob(hard))
    soft = -(X * p.log() + (1 - X) * torch.log1p(-p)).sum(dim=1)
    torch.testing.assert_close(losses.bernoulli_nll(p, X), soft)


def test_the_divergence_is_that_of_two_gaussians():
    standard = Normal(torch.zeros(5), torch.ones(5))
    expected = kl_divergence(Normal(MU, (0.5 * LOGVAR).exp()), standard)
    torch.testing.assert_close(losses.kl_divergence(MU, LOGVAR), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(runtime_kl(MU.numpy(), LOGVAR.numpy()), expected.sum(dim=1).numpy(), rtol=1e-4)


def test_the_divergence_is_zero_for_the_prior_alone():
    assert losses.kl_divergence(torch.zeros(2, 5), torch.zeros(2, 5)).sum() == 0
    assert (losses.kl_divergence(MU, LOGVAR).sum(dim=1) > 0.1).all()


def test_free_bits_remove_gradients_below_the_floor():
    mu = torch.tensor([[0.1, 2.0], [-0.1, 3.0]], requires_grad=True)
    kl = losses.kl_divergence(mu, torch.zeros(2, 2))
    held = losses.free_bits(kl, 0.5)
    assert held.mean().item() == pytest.approx(0.5 + kl[:, 1].mean().item())
    held.mean().backward()
    assert mu.grad[:, 0].abs().sum() == 0 and mu.grad[:, 1].abs().sum() > 0


def test_no_free_bits_leave_the_divergence_alone():
    kl = losses.kl_divergence(MU, LOGVAR)
    torch.testing.assert_close(losses.free_bits(kl, 0.0), kl.sum(dim=1))


def test_the_optimal_sigma_is_the_root_mean_square():
    model = AAPTVAE(7, 3, 5, sigma="optimal").train()
    nll = model.negative_log_likelihood(ERROR)
    rms = float(ERROR.square().mean().sqrt())
    assert model.noise_log_sigma.exp().item() == pytest.approx(rms, rel=1e-4)
    others = [losses.gaussian_nll(ERROR, torch.tensor([math.log(rms * factor)])).mean() for factor in (0.97, 1.03)]
    assert all(other.item() > nll.mean().item() for other in others)
    model.eval().negative_log_likelihood(3 * ERROR)
    assert model.noise_log_sigma.exp().item() == pytest.approx(rms, rel=1e-4), "judging must not move the noise"


def test_a_learned_sigma_stays_above_its_floor():
    model = AAPTVAE(7, 3, 5, sigma="learned")
    with torch.no_grad():
        model.log_sigma.fill_(-100.0)
    assert model.noise_log_sigma.item() == pytest.approx(-6.0, abs=1e-3)
    model.set_sigma(torch.tensor([0.37]))
    assert model.noise_log_sigma.exp().item() == pytest.approx(0.37, rel=1e-5)


def test_the_bernoulli_loss_is_the_cross_entropy():
    model = AAPTVAE(7, 3, 5, likelihood="bernoulli")
    reconstruction, mu, logvar = model(X)
    assert ((reconstruction > 0) & (reconstruction < 1)).all()
    nll = model.loss_function(reconstruction, X, mu, logvar)["reconstruction_loss"]
    torch.testing.assert_close(nll, losses.bernoulli_nll(reconstruction, X).mean())


@pytest.mark.parametrize("sigma", [1e-4, 0.5, 30.0])
def test_a_fixed_sigma_is_exact_at_any_size(sigma):
    assert AAPTVAE(5, 2, 8, sigma=sigma).noise_log_sigma.exp().item() == pytest.approx(sigma, rel=1e-6)
