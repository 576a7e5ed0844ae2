"""The result of `VAE.score`."""

from typing import NamedTuple

from .rows import Nats


class Scores(NamedTuple):
    """One float64 figure per row: mean squared error of the standardised features, nats, and a share of held-out rows."""

    reconstruction_error: Nats
    kl_divergence: Nats
    elbo: Nats
    p_value: Nats
