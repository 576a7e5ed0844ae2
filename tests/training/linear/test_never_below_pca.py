"""Rows that drift, outliers, and as many latents as features: never worse than PCA of the same size."""

import numpy as np
import pytest

from aaptvae_training.evaluation.judge import Judge
from aaptvae_training.evaluation.r_squared import r_squared
from aaptvae_training.features.split import split_rows
from aaptvae_training.model import decode, encode, observation_of
from aaptvae_training.run import read_config
from aaptvae_training.run.folder import load_run, read_baseline, read_prior

from ..conftest import features_of, options, saved, train


def judged(folder, rows, unseen, **changes):
    """Log-likelihoods and R2 of unseen rows, ours and pPCA's."""
    train(saved(folder, rows), folder / "run", options(**changes))
    config = read_config(folder / "run")
    model, baseline = load_run(folder / "run"), read_baseline(folder / "run", config)
    ppca = baseline.ppca(model.latent_dim)
    judge = Judge(model, read_prior(folder / "run", config), observation_of(model), ppca, baseline.spectrum, 0)
    x = judge.standardise(unseen)
    nats = judge.likelihoods(unseen)["log_likelihood"], ppca.log_likelihood(x).mean()
    explained = judge.r2(unseen, decode(model, encode(model, unseen)[0])), r_squared(x, ppca.project(x))
    return nats, explained


@pytest.mark.slow
def test_later_rows_do_not_lose_to_ppca(tmp_path):
    """Columns that nearly follow from others drift apart later: noise of those small axes lost a hundred nats per row."""
    rng = np.random.default_rng(1)
    free = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 6)) + 0.5 * rng.standard_normal((200, 6))
    bound = free @ rng.standard_normal((6, 5)) / 2 + 0.02 * rng.standard_normal((200, 5))
    bound[160:] += 0.3 * rng.standard_normal((40, 5))
    rows = np.concatenate([free, bound], axis=1).astype(np.float32)
    nats, explained = judged(tmp_path, rows[:160], rows[160:], epochs=60, batch_size=16, hidden_dim=[32])
    assert nats[0] > nats[1] - 1
    assert explained[0] > explained[1] - 0.002


@pytest.mark.slow
def test_an_outlier_costs_no_more_than_under_ppca(tmp_path):
    """Counts with heavy tails: exp(logvar) of a row thirty deviations out alone was worth the nats of all others."""
    rng = np.random.default_rng(4)
    rate = np.exp(1.5 * rng.standard_normal((1500, 3)) @ rng.standard_normal((3, 20)) / 2 + rng.standard_normal(20))
    rows = rng.poisson(rate).astype(np.float32)
    unseen = rows[1200:].copy()
    unseen[7] = 30 * rows.max(axis=0)
    nats, explained = judged(tmp_path, rows[:1200], unseen, epochs=20, batch_size=64, hidden_dim=[64])
    assert nats[0] > nats[1] - 1
    assert explained[0] > explained[1] - 0.002


def explained_by_pca(rows, unseen, latents):
    """R2 of unseen rows by PCA of standardised columns, in standard deviations and in own units."""
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    axes = np.linalg.svd((rows - mean) / scale, full_matrices=False)[2][:latents]
    restored = (unseen - mean) / scale @ axes.T @ axes * scale + mean
    return r_squared(unseen / scale, restored / scale), r_squared(unseen, restored)


def test_a_heavy_column_is_reconstructed_as_by_pca(tmp_path):
    """Rare large values enlarged the scale of the column with most of the variance: R2 in own units was 0.1 below PCA's."""
    rng = np.random.default_rng(7)
    warm, rain = rng.standard_normal(1000), rng.gamma(0.15, 40, 1000)
    columns = rain, 8 * warm + 3 * rng.standard_normal(1000), 6 * warm + 3 * rng.standard_normal(1000), rng.gamma(4, 0.7, 1000)
    rows = np.stack(columns, axis=1).astype(np.float32)
    train(saved(tmp_path, rows), tmp_path / "run", options(latent_dim=2, epochs=12, hidden_dim=[16]))
    split, model = split_rows(1000, 0.1, 0.1, 0), load_run(tmp_path / "run")
    unseen, scale = rows[split.test].astype(np.float64), rows[split.train].std(axis=0)
    restored = decode(model, encode(model, rows[split.test])[0]).astype(np.float64)
    pca = explained_by_pca(rows[split.train].astype(np.float64), unseen, 2)
    assert r_squared(unseen / scale, restored / scale) > pca[0] - 0.002
    assert r_squared(unseen, restored) > pca[1] - 0.002


@pytest.mark.parametrize(("width", "latents", "copies"), [(2, 2, 1), (6, 8, 1), (3, 4, 2)])
def test_as_many_latents_as_features_reconstruct_exactly(tmp_path, width, latents, copies):
    """Also where `copies` of the columns leave the table a smaller rank than it has columns."""
    rows = np.tile(features_of(300, width=width), (1, copies))
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options(latent_dim=latents))
    assert evaluation.metrics["r2"] > 0.998
    assert evaluation.baseline["r2"] == pytest.approx(1)


def test_constant_columns_stay_constant_in_samples(tmp_path):
    rows = features_of(300)
    rows[:, 4] = 3.25
    train(saved(tmp_path, rows), tmp_path / "run", options())
    config = read_config(tmp_path / "run")
    model, baseline = load_run(tmp_path / "run"), read_baseline(tmp_path / "run", config)
    judge = Judge(model, read_prior(tmp_path / "run", config), observation_of(model), baseline.ppca(3), baseline.spectrum, 0)
    assert (judge.sample(500, rows)[:, 4] == 3.25).all()
