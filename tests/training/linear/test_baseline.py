"""The Gaussian beside the model: Ledoit and Wolf's, good also where rows are fewer than columns, whatever L."""

import numpy as np
import pytest

from aaptvae_training.linear.baseline import ledoit_wolf
from aaptvae_training.run import read_baseline, read_config

from ..conftest import features_of, options, saved, train


def shrinkage_by_definition(x: np.ndarray) -> float:
    """The formula of the paper with every product written out; x [N, D] is centred."""
    rows, width = x.shape
    covariance = x.T @ x / rows
    mean = np.trace(covariance) / width
    distance = ((covariance - mean * np.eye(width)) ** 2).sum() / width
    error = sum(((np.outer(row, row) - covariance) ** 2).sum() for row in x) / width / rows**2
    return min(error, distance) / distance


@pytest.mark.parametrize("rows", [20, 400])
def test_shrinkage_is_that_of_the_paper(rows: int) -> None:
    x = features_of(rows, width=30).astype(np.float64)
    x -= x.mean(axis=0)
    eigenvalues = np.clip(np.linalg.eigvalsh(x.T @ x / rows)[::-1], 0, None)
    share = shrinkage_by_definition(x)
    expected = (1 - share) * eigenvalues + share * eigenvalues.mean()
    found = ledoit_wolf(eigenvalues, float(((x**2).sum(axis=1) ** 2).mean()), rows)
    np.testing.assert_allclose(found, np.maximum(expected, 1e-6), rtol=1e-9)


def test_the_gaussian_does_not_depend_on_latents(tmp_path) -> None:
    table = saved(tmp_path, features_of(100))
    for latents in (2, 6):
        train(table, tmp_path / f"run{latents}", options(latent_dim=latents, epochs=1))
    few, many = (read_baseline(run, read_config(run)).spectrum for run in (tmp_path / "run2", tmp_path / "run6"))
    np.testing.assert_array_equal(few, many)


def test_fewer_rows_than_columns_leave_a_good_gaussian(tmp_path) -> None:
    """Rows of independent columns: the best covariance is nearly the identity, log p about -1.42 nats per column."""
    rows = np.random.default_rng(0).standard_normal((50, 120), dtype=np.float32)
    found = train(saved(tmp_path, rows), tmp_path / "run", options(epochs=1))
    assert found.baseline["gaussian_log_likelihood"] > -1.6 * 120
