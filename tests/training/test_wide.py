"""Tables of more columns than rows: every rule of noise starts at pPCA, and figures are those of all axes."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae_training import AAPTVAE, read_run
from aaptvae_training.features import prepare
from aaptvae_training.linear import axes
from aaptvae_training.model import decode, encode
from aaptvae_training.train_run import train

from .conftest import features_of, options, saved

ROWS, WIDTH = 60, 1100


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return features_of(ROWS, WIDTH)


@pytest.mark.parametrize(
    "rule",
    [{"sigma": "learned"}, {"sigma": "per_feature", "likelihood": "gaussian"}, {"likelihood": "bernoulli"}, {}],
    ids=["learned", "per_feature", "bernoulli", "spectral"],
)
def test_every_rule_of_noise_starts_linear(rows: np.ndarray, rule: dict[str, str]) -> None:
    x = (rows > rows.mean(axis=0)).astype(np.float32) if "bernoulli" in rule.values() else rows
    model = AAPTVAE.for_data(x, latent_dim=3, hidden_dim=8, **rule).eval()
    assert model.axes == (0 if rule else 51), "52 of 60 rows train and span 51 axes"
    assert not rule or not hasattr(model.scaler, "axes"), "no matrix of columns by columns"
    restored = decode(model, encode(model, x)[0])
    assert ((restored - x) ** 2).sum() < 0.9 * ((x - x.mean(axis=0)) ** 2).sum()


@pytest.mark.slow
def test_a_wide_run_is_read_again(rows: np.ndarray, tmp_path: Path) -> None:
    """The refit has more rows and so more axes than the judged model."""
    train(saved(tmp_path, rows), tmp_path / "run", options(epochs=1, refit=True))
    run = read_run(tmp_path / "run")
    assert (run.config.axes, run.model.axes) == (47, 59)
    assert run.observation.basis is not None
    assert run.observation.basis.shape == (WIDTH, 59)
    assert torch.isfinite(run.model.encode(torch.from_numpy(rows))[0]).all()


@pytest.mark.skipif("WIDE" not in os.environ, reason="finds all 1,500 axes for a minute: make wide runs it")
def test_figures_are_those_of_all_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 0.1 nats. Without axes that no training row reaches, the network differs: the linear model is compared."""
    table = saved(tmp_path, features_of(300, 1500))
    config = options(latent_dim=8, epochs=1, learning_rate=1e-6)
    few = train(table, tmp_path / "few", config)
    monkeypatch.setattr(axes, "FEW_COLUMNS", 1500)
    monkeypatch.setattr(prepare, "wants_covariance", lambda rows, width: True)
    every = train(table, tmp_path / "every", config)
    for name in ("elbo", "log_likelihood", "log_likelihood_fitted"):
        assert few.metrics[name] == pytest.approx(every.metrics[name], abs=0.1)
    for name in ("ppca_log_likelihood", "gaussian_log_likelihood"):
        assert few.baseline[name] == pytest.approx(every.baseline[name], abs=0.1)
    assert few.metrics["r2"] == pytest.approx(every.metrics["r2"], abs=1e-3)
