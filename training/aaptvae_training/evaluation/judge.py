"""What a trained model is worth on rows it never saw, beside PCA, probabilistic PCA and one full Gaussian."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aaptvae.density.bounds import SAMPLES, Bounds, importance_draws
from aaptvae.density.observation import Broad, ObservationModel, kl_divergence
from aaptvae.density.prior import LatentPrior

from ..features.table import Rows
from ..finish.prior_fit import Posterior
from ..linear.ppca import ACTIVE, PPCA, gaussian_log_likelihood
from ..linear.start import LEAST_CHANCE
from ..model.network import AAPTVAE, BROAD_FREEDOM, BROAD_SHARE
from .sample_quality import frechet_distance, mean_discrepancy

Matrix = NDArray[np.float64]

IMPORTANCE_ROWS = 1_000
SAMPLE_ROWS = 5_000
CHUNK = 1_024


@dataclass(frozen=True)
class Judge:
    """A model with everything that its evaluation needs."""

    model: AAPTVAE
    prior: LatentPrior
    observation: ObservationModel
    ppca: PPCA
    spectrum: Matrix  # of the full Gaussian along the axes of `ppca`
    seed: int

    @property
    def bounds(self) -> Bounds:
        """What the runtime takes likelihoods by, with torch's decoder."""
        return Bounds(partial(decode, self.model), self.observation)

    def standardise(self, x: Rows) -> Matrix:
        """Raw rows [N, D] to standardised ones."""
        standardised: Matrix = (x.astype(np.float64) - self.observation.mean) / self.observation.scale
        return standardised

    def metrics(self, test: Rows, train: Rows) -> dict[str, float]:
        """Every figure of the model by name; `test` [N, D] are unseen rows, `train` [M, D] seen ones."""
        mu, logvar = encode(self.model, test)
        figures = self.evidence(test, mu, logvar) | self.likelihoods(test[:IMPORTANCE_ROWS])
        figures |= {"r2": self.r2(test, decode(self.model, mu)), "active_units": float(active_units(mu))}
        seen = self.evidence(train, *encode(self.model, train))
        figures |= {f"train_{name}": seen[name] for name in ("elbo", "elbo_median")}
        return figures | self.sample_figures(test, train)

    def baseline(self, test: Rows) -> dict[str, float]:
        """The same figures of PCA, of probabilistic PCA and of one Gaussian with a full covariance; of features in [0, 1]

        that know nothing of each other where the likelihood is bernoulli.
        """
        x = self.standardise(test)
        figures = {"r2": r_squared(x, self.ppca.project(x))}
        if self.model.likelihood == "bernoulli":
            means = np.broadcast_to(self.observation.mean.clip(LEAST_CHANCE, 1 - LEAST_CHANCE), x.shape).astype(np.float32)
            alone = self.observation.log_density(test[:IMPORTANCE_ROWS], means[:IMPORTANCE_ROWS])
            figures["independent_log_likelihood"] = float(alone.mean())
        else:
            x = x[:IMPORTANCE_ROWS]  # the rows that the model's own likelihood is taken over
            figures["ppca_log_likelihood"] = float(self.ppca.log_likelihood(x).mean())
            full = gaussian_log_likelihood(x @ self.ppca.eigenvectors, self.spectrum)
            figures["gaussian_log_likelihood"] = float(full.mean())
        return figures

    def r2(self, x: Rows, reconstruction: Rows) -> float:
        """Share of the standardised variance that reconstructions [N, D] explain."""
        return r_squared(self.standardise(x), self.standardise(reconstruction))

    def evidence(self, x: Rows, mu: Rows, logvar: Rows) -> dict[str, float]:
        """ELBO under N(0, I) and its two parts, in nats per row, by the runtime's own rule; the median forgives outliers."""
        expected, divergence = self.bounds.expected_log_density(x, mu, logvar), kl_divergence(mu, logvar)
        reconstruction, kl = float(expected.mean()), float(divergence.mean())
        return {
            "elbo": reconstruction - kl,
            "elbo_median": float(np.median(expected - divergence)),
            "reconstruction": reconstruction,
            "kl_divergence": kl,
        }

    def likelihoods(self, x: Rows) -> dict[str, float]:
        """Importance-weighted log p(x) under N(0, I) and under the fitted prior: the means of `VAE.log_likelihood`."""
        priors = {"standard": LatentPrior.standard(self.prior.latent_dim), "fitted": self.prior}
        noise = importance_draws(self.seed, 0, len(x), SAMPLES, self.prior.latent_dim)
        bounds = self.bounds.importance_weighted(list(priors.values()), x, *encode(self.model, x), noise)
        figures = {f"log_likelihood_{name}": float(bound.mean()) for name, bound in zip(priors, bounds, strict=True)}
        return figures | {"log_likelihood": max(figures.values())}

    def sample(self, rows: int) -> Rows:
        """New raw rows [rows, D] from the fitted prior, with observation noise."""
        mean = decode(self.model, self.prior.draw(self.seed, 0, rows))
        return self.observation.add_noise(mean, self.seed, 0, rows)

    def sample_figures(self, test: Rows, train: Rows) -> dict[str, float]:
        """Distances of samples from unseen rows, beside those of as many seen rows."""
        real, seen = self.standardise(test), self.standardise(train)
        drawn = self.standardise(self.sample(len(train)))
        return {
            "frechet_samples": frechet_distance(drawn, real),
            "frechet_real": frechet_distance(seen, real),
            "mmd_samples": mean_discrepancy(drawn, real),
            "mmd_real": mean_discrepancy(seen, real),
        }


def observation_of(model: AAPTVAE) -> ObservationModel:
    """The observation model of a trained network, as the runtime's plain arrays."""
    scaler = model.scaler
    mean, scale = scaler.mean.cpu().numpy(), scaler.scale.cpu().numpy()
    if model.likelihood == "bernoulli":
        return ObservationModel("bernoulli", mean, scale, np.zeros(1))
    constant = scaler.constant.cpu().numpy() if scaler.constant is not None else None
    sigma = model.noise_log_sigma.detach().exp().double().cpu().numpy()
    basis = scaler.axes.cpu().numpy() if scaler.rotated else None
    if scaler.rotated:
        sigma = sigma * scaler.spread.cpu().numpy()
    freedom = float(model.degrees_of_freedom.detach()) if model.likelihood == "student" else math.inf
    broad = None
    if model.has_broad_noise:
        scales = model.broad_log_sigma.exp().double().cpu().numpy() * scaler.spread.cpu().numpy()
        broad = Broad(scales, BROAD_SHARE, BROAD_FREEDOM)
    return ObservationModel(model.likelihood, mean, scale, sigma, basis, freedom, broad, constant)


def scale_rows(model: AAPTVAE, rows: Rows) -> Rows:
    """Raw rows [N, D] in the scaler's space, through float64 so that large means cost no digits."""
    scaler = model.scaler
    device = scaler.mean.device
    scaled: Rows = scaler.to_scaled(torch.from_numpy(rows).to(device, torch.float64)).float().cpu().numpy()
    return scaled


@torch.no_grad()
def encode(model: AAPTVAE, x: Rows) -> tuple[Rows, Rows]:
    """Posterior parameters of raw rows as numpy: [N, D] -> mu [N, L], logvar [N, L]."""
    parts = [model.encode(chunk) for chunk in _chunks(model, x)]
    mu, logvar = (torch.cat(part).float().cpu().numpy() for part in zip(*parts, strict=True))
    return mu, logvar


@torch.no_grad()
def decode(model: AAPTVAE, z: NDArray[Any]) -> Rows:
    """Reconstructions of latents as numpy: [N, L] -> [N, D]."""
    return torch.cat([model.decode(chunk) for chunk in _chunks(model, z)]).float().cpu().numpy()


def _chunks(model: AAPTVAE, rows: NDArray[Any]) -> Iterator[Tensor]:
    device = model.mu.weight.device
    for start in range(0, max(1, len(rows)), CHUNK):
        yield torch.from_numpy(np.ascontiguousarray(rows[start : start + CHUNK], np.float32)).to(device)


def posterior(model: AAPTVAE, x: Rows) -> Posterior:
    """Posterior means and variances of raw rows in float64."""
    mu, logvar = encode(model, x)
    return Posterior(mu.astype(np.float64), np.exp(logvar.astype(np.float64)))


def active_units(mu: Rows) -> int:
    """How many latents the posterior means [N, L] use."""
    return int((mu.var(axis=0) > ACTIVE).sum())


def kl_per_latent(mu: Rows, logvar: Rows) -> list[float]:
    """Mean KL divergence of every latent in nats, largest first."""
    kl = 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).mean(axis=0)
    return sorted((float(value) for value in kl), reverse=True)


def r_squared(x: Matrix, prediction: Matrix) -> float:
    """1 - residual / total sum of squares around the column means of x [N, D]."""
    total = float(((x - x.mean(axis=0)) ** 2).sum())
    return 1 - float(((x - prediction) ** 2).sum()) / max(total, 1e-9)
