"""The metric view: distances of the reconstructions, and a map that can be undone."""

import numpy as np
import pytest
import torch
from torch.autograd.functional import jacobian

from aaptvae_training import AAPTVAE
from aaptvae_training.model.as_numpy import decode, encode
from aaptvae_training.similarity import metric
from aaptvae_training.similarity.metric import metric_maps
from aaptvae_training.similarity.recall import recall_at


def model_of(linear: bool) -> AAPTVAE:
    """A model with uneven latents; `linear`: its decoder's MLP gives nothing."""
    torch.manual_seed(0)
    model = AAPTVAE(8, 4, 6, linear_skip=True).eval()
    model.scaler.standardise_by(torch.arange(8.0).double(), torch.linspace(0.5, 2, 8).double())
    with torch.no_grad():
        model.decoder_skip.weight.mul_(torch.tensor([10.0, 3.0, 1.0, 0.1]))
        if linear:
            model.decoder[-1].weight.zero_()
    return model


@pytest.fixture
def x() -> np.ndarray:
    return (np.arange(8) + np.random.default_rng(0).standard_normal((200, 8))).astype(np.float32)


def test_distances_are_those_of_linear_reconstructions(x):
    model = model_of(linear=True)
    mu = encode(model, x)[0]
    reconstruction = decode(model, mu).astype(np.float64) / x.std(axis=0)
    view = metric_maps(model, x, "euclidean")["jacobian"](mu)
    view, reconstruction = (rows - rows.mean(axis=0) for rows in (view, reconstruction))
    np.testing.assert_allclose(view @ view.T, reconstruction @ reconstruction.T, rtol=1e-4, atol=1e-3)


def test_inner_products_are_those_of_raw_reconstructions(x):
    """For cosines the mean counts too; the part of it that no latent reaches is the same in all inner products."""
    model = model_of(linear=True)
    mu = encode(model, x)[0]
    reconstruction = decode(model, mu).astype(np.float64)
    view = metric_maps(model, x, "cosine")["jacobian"](mu)
    gap = reconstruction @ reconstruction.T - view @ view.T
    np.testing.assert_allclose(gap, gap[0, 0], rtol=1e-3)


@pytest.mark.parametrize("name", ["jacobian", "regression"])
def test_the_map_is_invertible_and_principal(x, name):
    model = model_of(linear=False)
    mu, found = encode(model, x)[0], metric_maps(model, x, "euclidean")[name]
    view = found(mu)
    np.testing.assert_allclose((view - found.offset) @ np.linalg.inv(found.matrix), mu, rtol=1e-5, atol=1e-5)
    spread = np.cov(view.T)
    np.testing.assert_allclose(spread, np.diag(spread.diagonal()), atol=1e-6 * spread.max())
    assert (np.diff(spread.diagonal()) <= 0).all()


def test_metric_finds_more_neighbours_than_mu(x):
    model = model_of(linear=False)
    mu = encode(model, x)[0]
    full = decode(model, mu) / x.std(axis=0)
    view = metric_maps(model, x, "euclidean")["jacobian"](mu)
    found = recall_at(10, full, {"mu": mu, "metric": view}, "euclidean")
    assert found["metric"] > found["mu"] + 0.2


def test_a_latent_without_effect_keeps_an_inverse(x):
    model = model_of(linear=True)
    with torch.no_grad():
        model.decoder_skip.weight[:, 0] = 0
    found = metric_maps(model, x, "euclidean")["jacobian"]
    assert np.linalg.cond(found.matrix) < 1e4


@pytest.mark.parametrize("bounded", [False, True])
def test_jacobians_are_those_of_each_row(bounded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = AAPTVAE(7, 3, 5, linear_skip=True, bounded=bounded).eval()
    mu, scale = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32), np.linspace(0.5, 2, 7)
    rows = [jacobian(model.decode, row[None])[0, :, 0].double().numpy() / scale[:, None] for row in torch.from_numpy(mu)]
    monkeypatch.setattr(metric, "CHUNK", 100)
    gram, mean = metric._jacobians(model, mu, scale)
    np.testing.assert_allclose(gram, np.mean([row.T @ row for row in rows], axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, np.mean(rows, axis=0), rtol=1e-4, atol=1e-5)
