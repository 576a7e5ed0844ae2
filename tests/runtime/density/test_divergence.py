"""The KL divergence against its formula, written out."""

import math

import numpy as np

from aaptvae.density.divergence import kl_divergence


def test_kl_divergence_is_right() -> None:
    zeros = np.zeros((1, 3), np.float32)
    assert kl_divergence(zeros, zeros) == 0
    mu, logvar = np.array([[1.0, -2.0]], np.float32), np.array([[0.5, -1.0]], np.float32)
    expected = sum(0.5 * (m * m + math.exp(v) - v - 1) for m, v in [(1, 0.5), (-2, -1)])
    np.testing.assert_allclose(kl_divergence(mu, logvar), expected, rtol=1e-7)
