"""Rows of many kinds with the defaults: never worse than PCA, also where there is nothing to learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aaptvae_training.config import TrainConfig

from ..conftest import saved, train

Rows = np.ndarray
Draw = Callable[[np.random.Generator], Rows]
LATENTS = 8


def isotropic(rng: np.random.Generator) -> Rows:
    """No direction is better than another."""
    return rng.standard_normal((2000, 32), dtype=np.float32)


def uniform(rng: np.random.Generator) -> Rows:
    """Independent columns with hard edges."""
    return rng.random((2000, 24), dtype=np.float32)


def low_rank(rng: np.random.Generator) -> Rows:
    """A plane of fewer dimensions than there are latents, and noise."""
    return (rng.standard_normal((2000, 4)) @ rng.standard_normal((4, 32)) + 0.3 * rng.standard_normal((2000, 32))).astype("f4")


def heavy_tails(rng: np.random.Generator) -> Rows:
    """The same, each row at a size of its own."""
    return low_rank(rng) / np.sqrt(rng.chisquare(5, (2000, 1)) / 5).astype("f4")


def bits(rng: np.random.Generator) -> Rows:
    """Columns of zeros and ones."""
    return (rng.random((2000, 32)) < 1 / (1 + np.exp(-low_rank(rng)))).astype("f4")


def clusters(rng: np.random.Generator) -> Rows:
    """Ten clouds."""
    return (2 * rng.standard_normal((10, 32))[rng.integers(10, size=2000)] + rng.standard_normal((2000, 32))).astype("f4")


def in_ci(*draws: Draw) -> list[Any]:
    return [pytest.param(draw, marks=pytest.mark.slow) for draw in draws]


@pytest.mark.parametrize("draw", [heavy_tails, *in_ci(isotropic, bits, uniform, low_rank, clusters)])
def test_no_kind_of_rows_loses_to_pca(draw: Draw, tmp_path) -> None:
    table = saved(tmp_path, draw(np.random.default_rng(0)))
    found = train(table, tmp_path / "run", TrainConfig(latent_dim=LATENTS, epochs=10, refit=False))
    # The best density of structureless rows is pPCA's own: nothing to win, and a tenth of a nat to lose to chance.
    assert found.metrics["log_likelihood"] > found.baseline["ppca_log_likelihood"] - 0.1
    assert found.metrics["r2"] > found.baseline["r2"] - 5e-4
    assert found.metrics["active_units"] > 0
