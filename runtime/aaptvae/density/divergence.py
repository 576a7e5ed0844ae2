"""The KL divergence of diagonal Gaussian posteriors from the standard normal prior."""

import numpy as np

from ..rows import Matrix, Nats, Rows, sum_rows


def kl_divergence(mu: Rows, logvar: Rows) -> Nats:
    """KL(N(mu, exp(logvar)) || N(0, I)) of each row, in nats: [N] (Kingma and Welling 2014, appendix B)."""
    return sum_rows(kl_terms(mu, logvar))


def kl_terms(mu: Rows, logvar: Rows) -> Matrix:
    """The terms of the divergence, one for each latent of each row, in nats: [N, L]."""
    mean, log_variance = np.asarray(mu, np.float64), np.asarray(logvar, np.float64)
    return 0.5 * (mean * mean + np.exp(log_variance) - log_variance - 1)
