"""Figures of a trained model on held-out rows, and the same figures of PCA, probabilistic PCA and one full Gaussian."""

from dataclasses import dataclass

import numpy as np
import torch

from aaptvae.density.bounds import SAMPLES, LikelihoodBounds, importance_draws
from aaptvae.density.divergence import kl_divergence, kl_terms
from aaptvae.density.marginals import Marginals
from aaptvae.density.observation import ObservationModel
from aaptvae.density.prior import LatentPrior
from aaptvae.rows import Matrix, Nats, Rows

from ..linear.baseline import ColumnR2
from ..linear.ppca import ACTIVE, PPCA, gaussian_log_likelihood
from ..linear.start import LEAST_CHANCE
from ..model import AAPTVAE, decode, encode, features_of, given
from .r_squared import column_r_squared, r_squared, raw_r_squared
from .sample_quality import frechet_distance, mean_discrepancy

IMPORTANCE_ROWS = 1_000
LEAST_IMPORTANCE_ROWS = 100  # of tables of many columns
IMPORTANCE_NUMBERS = 1 << 20  # of those rows
WORST_COLUMNS = 5


@dataclass(frozen=True)
class Judge:
    """A model with its densities and its baselines; the methods compute the figures of an evaluation.

    Rows are [N, D + C] where the model has conditions: every likelihood is then p(x | c), and the baselines are those of the
    features less their mean given c.
    """

    model: AAPTVAE
    prior: LatentPrior
    observation: ObservationModel
    ppca: PPCA
    spectrum: Matrix  # of the full Gaussian along the axes of `ppca`
    seed: int
    marginals: Marginals | None = None

    def bounds(self, rows: Rows) -> LikelihoodBounds:
        """The runtime's bounds of log p(x) for these rows, with the decoder in torch."""
        return LikelihoodBounds(lambda z: self.decode(z, rows), self.observation)

    def decode(self, z: Rows, rows: Rows) -> Rows:
        """Reconstructions [N, D] of latents [N, L], under the conditions of `rows`."""
        return decode(self.model, given(self.model, z, rows))

    def features(self, rows: Rows) -> Rows:
        """Rows without their conditions: [N, D]."""
        return features_of(self.model, rows)

    def conditions(self, rows: Rows) -> Rows | None:
        """Conditions of rows [N, C], None for a model without."""
        return rows[:, self.model.input_dim :] if self.model.condition_dim else None

    def standardise(self, x: Rows) -> Matrix:
        """Raw features [N, D], or rows, to standardised features [N, D]."""
        standardised: Matrix = (self.features(x).astype(np.float64) - self.observation.mean) / self.observation.scale
        return standardised

    def location(self, rows: Rows) -> Matrix | float:
        """Mean of the standardised features given the conditions of `rows`: [N, D]; 0 without conditions."""
        scaler = self.model.scaler
        return scaler.location(torch.from_numpy(rows).double()).numpy() if self.model.condition_dim else 0.0

    def standardised_residuals(self, rows: Rows) -> Matrix:
        """Standardised features less their mean given the conditions: [N, D]."""
        residuals: Matrix = self.standardise(rows) - self.location(rows)
        return residuals

    def metrics(self, test: Rows, train: Rows) -> dict[str, float]:
        """Every figure of the model by name, from held-out rows `test` [N, D] and training rows `train` [M, D]."""
        mu, logvar = encode(self.model, test)
        figures = self.evidence(test, mu, logvar) | self.likelihoods(test[: importance_rows(test.shape[1])])
        reconstruction = self.decode(mu, test)
        figures |= {
            "r2": self.r2(test, reconstruction),
            "r2_raw": raw_r_squared(self.features(test), reconstruction),
        }
        figures["active_units"] = float(active_units(mu))
        seen = self.evidence(train, *encode(self.model, train))
        figures |= {f"train_{name}": seen[name] for name in ("elbo", "elbo_median")}
        return figures | self.sample_figures(test, train)

    def baseline(self, test: Rows) -> dict[str, float]:
        """The same figures of PCA, of probabilistic PCA and of one Gaussian with a full covariance.

        With a bernoulli likelihood, the densities are those of independent columns with the means of the training rows.
        """
        rows = test[: importance_rows(test.shape[1])]  # those that the model's own likelihood is taken over
        linear = self._start_log_likelihood(rows)
        figures = {
            "r2": r_squared(self.standardise(test), self.pca(test)),
            "r2_raw": raw_r_squared(self.features(test), self.pca_raw(test)),
        }
        if self.model.likelihood == "bernoulli":
            figures["independent_log_likelihood"] = float(linear.mean())
        else:
            figures |= mean_and_median("ppca_log_likelihood", linear)
            along = self.ppca.coordinates(self.standardised_residuals(rows))
            full = gaussian_log_likelihood(along, self.spectrum, self.ppca.others)
            figures |= mean_and_median("gaussian_log_likelihood", full)
        return figures

    def pca(self, x: Rows) -> Matrix:
        """PCA's reconstruction of raw rows from exactly L components, in standardised features: [N, D]."""
        projection: Matrix = self.ppca.project(self.standardised_residuals(x)) + self.location(x)
        return projection

    def pca_raw(self, x: Rows) -> Matrix:
        """The same in the features' own units: [N, D]."""
        restored: Matrix = self.pca(x) * self.observation.scale + self.observation.mean
        return restored

    def worst_columns(self, x: Rows) -> list[ColumnR2]:
        """The columns of raw rows [N, D] whose R2 falls furthest below that of PCA from L components, the worst first."""
        reconstruction = self.decode(encode(self.model, x)[0], x).astype(np.float64)
        own, pca = (column_r_squared(self.features(x).astype(np.float64), rows) for rows in (reconstruction, self.pca_raw(x)))
        worst = np.argsort(own - pca, kind="stable")[:WORST_COLUMNS]
        return [ColumnR2(int(column), float(own[column]), float(pca[column])) for column in worst if own[column] < pca[column]]

    def errors(self, x: Rows) -> Matrix:
        """Mean squared error of each row's reconstruction in standardised columns: [N]."""
        return self.observation.squared_error(self.features(x), self.decode(encode(self.model, x)[0], x))

    def linear_gap(self, test: Rows, train: Rows) -> float:
        """Nats by which the median training row is more likely than the median held-out row under the linear start.

        The start is probabilistic PCA, or the column means where the likelihood is bernoulli.
        """
        seen, unseen = (float(np.median(self._start_log_likelihood(rows))) for rows in (train, test))
        return seen - unseen

    def _start_log_likelihood(self, x: Rows) -> Matrix:
        if self.model.likelihood == "bernoulli":
            means = self.observation.mean.clip(LEAST_CHANCE, 1 - LEAST_CHANCE).astype(np.float32)
            return self.observation.log_density(self.features(x), np.broadcast_to(means, (len(x), len(means))))
        return self.ppca.log_likelihood(self.standardised_residuals(x))

    def r2(self, x: Rows, reconstruction: Rows) -> float:
        """Share of the standardised variance that reconstructions [N, D] explain."""
        return r_squared(self.standardise(x), self.standardise(reconstruction))

    def elbo_of_rows(self, x: Rows) -> Nats:
        """ELBO under N(0, I) of each raw row [N, D], as the runtime's `score` computes it: [N]."""
        mu, logvar = encode(self.model, x)
        return self.bounds(x).expected_log_density(self.features(x), mu, logvar) - kl_divergence(mu, logvar)

    def evidence(self, x: Rows, mu: Rows, logvar: Rows) -> dict[str, float]:
        """ELBO under N(0, I) and its two parts, in nats per row; outliers do not change the median."""
        expected = self.bounds(x).expected_log_density(self.features(x), mu, logvar)
        divergence = kl_divergence(mu, logvar)
        reconstruction, kl = float(expected.mean()), float(divergence.mean())
        return {
            "elbo": reconstruction - kl,
            "elbo_median": float(np.median(expected - divergence)),
            "reconstruction": reconstruction,
            "kl_divergence": kl,
        }

    def likelihoods(self, x: Rows) -> dict[str, float]:
        """Importance-weighted log p(x) under N(0, I) and under the fitted prior: the means, and one median."""
        priors = {"standard": LatentPrior.standard(self.prior.latent_dim), "fitted": self.prior.under(self.conditions(x))}
        noise = importance_draws(self.seed, 0, len(x), SAMPLES, self.prior.latent_dim)
        posterior = encode(self.model, x)
        bounds = self.bounds(x).importance_weighted(list(priors.values()), self.features(x), *posterior, noise)
        figures = {f"log_likelihood_{name}": float(bound.mean()) for name, bound in zip(priors, bounds, strict=True)}
        # The one that `VAE.log_likelihood` gives where no prior is named.
        return figures | mean_and_median("log_likelihood", bounds[0])

    def sample(self, count: int, rows: Rows) -> Rows:
        """New raw features [count, D] from the fitted prior, with observation noise, under the conditions of `rows`."""
        mean = self.sample_means(count, rows)
        return self.observation.add_noise(mean, self.seed, 0, count)

    def sample_means(self, count: int, rows: Rows) -> Rows:
        """The same without observation noise."""
        rows = rows[np.arange(count) % len(rows)]
        return self.decode(self.prior.under(self.conditions(rows)).draw(self.seed, 0, count), rows)

    def as_observed(self, drawn: Rows) -> Rows:
        """Samples [N, D] by the run's maps to observed values; as they are where it has none."""
        mapped = drawn.copy()
        if self.marginals is not None:
            self.marginals.apply(mapped)
        return mapped

    def sample_figures(self, test: Rows, train: Rows) -> dict[str, float]:
        """Distances of samples from held-out rows, and of training rows from held-out rows."""
        real, drawn = self.standardise(test), self.sample(len(train), train)
        figures: dict[str, float] = {}
        for name in ("real", "samples") if self.marginals is None else ("real", "samples", "as_observed"):
            rows = train if name == "real" else drawn if name == "samples" else self.as_observed(drawn)
            standardised = self.standardise(rows)
            figures |= {f"frechet_{name}": frechet_distance(standardised, real)}
            figures |= {f"mmd_{name}": mean_discrepancy(standardised, real)}
        return figures


def importance_rows(width: int) -> int:
    """Held-out rows of so many columns whose log-likelihood is estimated, at most."""
    return min(IMPORTANCE_ROWS, max(LEAST_IMPORTANCE_ROWS, IMPORTANCE_NUMBERS // width))


def mean_and_median(name: str, values: Matrix) -> dict[str, float]:
    """Both figures of values [N]: a few outlying rows change the mean, not the median."""
    return {name: float(values.mean()), f"{name}_median": float(np.median(values))}


def active_units(mu: Rows) -> int:
    """How many latents the posterior means [N, L] use."""
    return int((mu.var(axis=0) > ACTIVE).sum())


def kl_of_latents(mu: Rows, logvar: Rows) -> Matrix:
    """KL divergence of each latent in nats, mean over rows [N, L]: [L]."""
    of_latents: Matrix = kl_terms(mu, logvar).mean(axis=0)
    return of_latents


def kl_per_latent(mu: Rows, logvar: Rows) -> list[float]:
    """KL divergence of each latent in nats, largest first."""
    return sorted(kl_of_latents(mu, logvar).tolist(), reverse=True)
