"""Figures of a pair of graphs on held-out rows: ELBO, R2, and cosine of mu with another pair's."""

from dataclasses import dataclass

import numpy as np

from aaptvae.density.bounds import LikelihoodBounds
from aaptvae.density.divergence import kl_divergence
from aaptvae.density.observation import ObservationModel
from aaptvae.rows import Rows

from .reference import Graph, with_conditions


@dataclass(frozen=True)
class Evidence:
    """Figures of one pair on held-out rows: mean ELBO (nats), R2 of standardised features, and mu [N, L]."""

    elbo: float
    r2: float
    mu: Rows

    def cosine(self, other: "Evidence") -> float:
        """Mean cosine between the rows of both mu."""
        a, b = self.mu.astype(np.float64), other.mu.astype(np.float64)
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return float(np.mean((a * b).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)))


def gather(encode: Graph, decode: Graph, observation: ObservationModel, heldout: Rows) -> Evidence:
    """Evidence of the graphs `encode` and `decode` on `heldout` [N, D], or [N, D + C] with conditions."""
    posterior, width = encode(heldout), len(observation.mean)
    x = heldout[:, :width]
    mu, logvar = (posterior[name].astype(np.float32, copy=False) for name in ("mu", "logvar"))

    def mean(z: Rows) -> Rows:
        return decode(with_conditions(z, heldout, heldout.shape[1] - width))["reconstruction"].astype(np.float32, copy=False)

    bounds = LikelihoodBounds(mean, observation)
    elbo = bounds.expected_log_density(x, mu, logvar) - kl_divergence(mu, logvar)
    error = observation.squared_error(x, mean(mu)).sum()
    centre = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = observation.squared_error(x, centre).sum()
    return Evidence(float(elbo.mean()), float(1 - error / max(total, np.finfo(np.float64).tiny)), mu)
