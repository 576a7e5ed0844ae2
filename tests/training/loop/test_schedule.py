"""The KL weight of each step; the learning rate is tested with the optimizer that takes it."""

import math

import pytest

from aaptvae_training.loop.schedule import kl_weight

from ..conftest import options


@pytest.mark.parametrize("epochs", [5, 40])
def test_warm_up_is_a_share_of_the_run(epochs):
    config, steps = options(kl_warmup=0.4, beta=0.7), 5 * epochs
    weights = [kl_weight(config, step, steps) for step in range(steps)]
    assert weights[0] == 0 and weights[-1] == 0.7
    assert weights.index(0.7) == math.ceil(0.4 * steps)
