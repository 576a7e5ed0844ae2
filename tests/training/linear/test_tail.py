"""The noise of discarded directions: chosen by enough held-out rows."""

import numpy as np
import pytest

from aaptvae_training.features import open_features, prepare_features
from aaptvae_training.linear.ppca import ppca_of, principal_axes
from aaptvae_training.linear.start import reconstruct_as_pca
from aaptvae_training.linear.tail import FOLDS, Tail, held_out_rows, log_density, spectral_tail, tail_variance
from aaptvae_training.model import decode, encode
from aaptvae_training.model.network import silenced
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.train_run import prepare_run, start_model

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


def restored(rows: np.ndarray, unseen: np.ndarray, latents: int) -> np.ndarray:
    """Reconstructions of unseen rows by the linear start of a model of `rows`."""
    with open_features(rows) as features:
        config, prepared = prepare_run(features, options(latent_dim=latents), TrainingProgress())
        linear = silenced(start_model(config, prepared)[0]).eval()
    reconstruct_as_pca(linear)
    return decode(linear, encode(linear, unseen)[0])


def test_fewer_rows_than_columns_reconstruct_unseen_rows():
    """Training rows span fewer directions than there are latents: a quarter of an unseen row was lost."""
    rows = np.random.default_rng(1).standard_normal((17, 17), dtype=np.float32)
    unseen = np.random.default_rng(2).standard_normal((30, 17), dtype=np.float32)
    assert np.square(restored(rows, unseen, 17) - unseen).mean() < 1e-3


def test_a_wild_row_leaves_directions_to_the_others():
    """Beside its variance, that of all other rows seemed to be a rounding error: their R2 was 0.05 below that of PCA."""
    rows = np.random.default_rng(3).standard_normal((60, 5), dtype=np.float32)
    rows[:20] += 1e4 * (np.arange(20) == 7)[:, None]
    usual = np.delete(rows, 7, axis=0)
    assert np.square(restored(rows, usual, 5) - usual).mean() < 1e-3


def test_the_noise_does_not_cost_the_median_row():
    """Rare events: a few rows far out chose heavy tails, with which the median row was a nat less likely than under pPCA."""
    rng = np.random.default_rng(7)
    rows = (rng.random((120, 20)) < 0.1 * rng.random(20)).astype(np.float32)
    parts = parts_of(rows)
    chosen, ppca = (
        np.median(np.concatenate([log_density(part.squares, tail_variance(part.ppca, t), t.freedom) for part in parts]))
        for t in (spectral_tail(parts, tails=True), Tail(1.0, np.inf, 1.0))
    )
    assert chosen > ppca - 1
