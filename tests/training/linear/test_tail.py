"""The noise of discarded directions: chosen by enough held-out rows."""

import numpy as np
import pytest

from aaptvae_training.features import open_features, prepare_features
from aaptvae_training.linear.ppca import ppca_of, principal_axes
from aaptvae_training.linear.tail import FOLDS, held_out_rows, spectral_tail
from aaptvae_training.progress import TrainingProgress

from ..conftest import options


def parts_of(rows: np.ndarray, latents: int = 1):
    config = options(latent_dim=latents)
    with open_features(rows) as features:
        prepared = prepare_features(features, config, TrainingProgress())
        return held_out_rows(
            prepared, ppca_of(*principal_axes(prepared.statistics.standardised_covariance(prepared.scale)), latents)
        )


@pytest.mark.parametrize("seed", [6, 7])
def test_two_validation_rows_do_not_choose_the_noise(seed):
    """Alone they chose squared scales of 0.24 and 3.5 times those of the training rows."""
    rows = np.random.default_rng(seed).standard_normal((20, 3), dtype=np.float32)
    parts = parts_of(rows)
    assert len(parts[0].rows) == 2
    assert 1 < spectral_tail(parts, tails=True).factor < 2.5  # new rows are farther out than training rows


def test_every_training_row_is_held_out_once():
    rows = np.random.default_rng(0).standard_normal((60, 4), dtype=np.float32)
    first, *others = parts_of(rows)
    assert len(others) == FOLDS and sum(len(part.rows) for part in others) == 60 - 2 * len(first.rows)


def test_enough_validation_rows_choose_alone():
    rows = np.random.default_rng(0).standard_normal((1_000, 4), dtype=np.float32)
    assert len(parts_of(rows)) == 1
