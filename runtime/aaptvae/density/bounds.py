"""Lower bounds of log p(x) in nats, from posteriors and a decoder of any backend (onnxruntime or torch)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..rows import Matrix, Nats, Rows, sum_rows
from .noise import Stream, normal_rows
from .observation import LOG_2PI, ObservationModel
from .prior import LatentPrior

PAIRS = 2
PATTERNS = 256
SAMPLES = 64


@dataclass(frozen=True)
class LikelihoodBounds:
    """Bounds under p(x|z): `decode` maps latents [N, L] to features [N, D], `observation` is the noise model."""

    decode: Callable[[Rows], Rows]
    observation: ObservationModel

    def expected_log_density(self, x: Rows, mu: Rows, logvar: Rows, pairs: int = PAIRS) -> Nats:
        """E[log p(x|z)] over z ~ N(mu, exp(logvar)) for each row of `x` [N, D]: the ELBO's first part, [N].

        The estimate is a mean over `pairs` of points mu + s * sigma and mu - s * sigma, where s [L] are signs that depend on
        the row. Such a pair has the mean and the variances of the posterior, so the estimate is exact for a linear decoder
        with orthogonal columns. Errors from products of two latents cancel in the mean over rows; errors from terms of the
        decoder above the third degree remain.
        """
        bank, chosen = _signs(mu.shape[1]), _fingerprint(x)
        deviation = np.exp(logvar / 2)
        patterns = (deviation * bank[(chosen + k) % len(bank)] for k in range(pairs))
        points = (mu + offset for pattern in patterns for offset in (pattern, -pattern))
        return np.asarray(sum(self.observation.log_density(x, self.decode(z)) for z in points) / (2 * pairs))

    def importance_weighted(self, priors: Sequence[LatentPrior], x: Rows, mu: Rows, logvar: Rows, noise: Rows) -> Matrix:
        """The bound of Burda et al. 2016 for each row of `x` [N, D] under each of the priors: [P, N].

        `noise` [N * K, L] is standard normal, K draws for each row.
        """
        samples, width = len(noise) // max(1, len(x)), mu.shape[1]
        deviation: Rows = np.exp(logvar / 2)
        weights = np.empty((len(priors), samples, len(x)))
        for k in range(samples):
            eps = noise[k::samples]
            z = mu + deviation * eps
            surprise = 0.5 * (sum_rows(np.square(eps, dtype=np.float64) + logvar) + width * LOG_2PI)
            evidence = self.observation.log_density(x, self.decode(z)) + surprise
            weights[:, k] = [prior.log_density(z) + evidence for prior in priors]
        bound: Matrix = np.logaddexp.reduce(weights, axis=1) - math.log(samples)
        return bound


@lru_cache(maxsize=8)
def _signs(width: int) -> Rows:
    """Fixed patterns of signs [256, L]."""
    return np.sign(normal_rows(0, 0, PATTERNS, width, Stream.IMPORTANCE))


def _fingerprint(x: Rows) -> NDArray[np.intp]:
    """A hash below `PATTERNS` of each row of `x` [N, D]: [N]."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = 2 * np.arange(bits.shape[1], dtype=np.uint32) + 1
    mixed = (bits ^ (bits >> 15)) * (odd * np.uint32(0x9E3779B1))  # multiplicative hashing (Knuth 6.4)
    chosen: NDArray[np.intp] = (mixed.sum(axis=1, dtype=np.uint32) >> 24).astype(np.intp)
    return chosen


def importance_draws(seed: int, start: int, stop: int, samples: int, width: int) -> Rows:
    """Noise for rows start..stop of a table, `samples` draws per row: a row's draws do not depend on the other rows."""
    return normal_rows(seed, start * samples, stop * samples, width, Stream.IMPORTANCE)
