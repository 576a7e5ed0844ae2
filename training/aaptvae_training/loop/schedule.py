"""The learning rate and the KL weight of each step."""

import math

from ..config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate of a step of `steps`: linear warm-up, then a cosine to zero (Loshchilov and Hutter 2017)."""
    share = (step + 1) / steps
    warm = config.warmup
    shape = share / warm if share < warm else 0.5 * (1 + math.cos(math.pi * (share - warm) / max(1 - warm, 1e-9)))
    return config.learning_rate * shape


def kl_weight(config: TrainConfig, step: int, steps: int) -> float:
    """The KL weight of a step of `steps`: it rises linearly to beta over the first `kl_warmup` (Bowman et al. 2016)."""
    warm = config.kl_warmup * steps
    return config.beta * (min(1.0, step / warm) if warm else 1.0)
