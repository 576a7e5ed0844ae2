"""The similarity head: it starts as PCA or SVD; training, kept if validation rows agree, finds more neighbours."""

import dataclasses

import numpy as np
import pytest
import torch

from aaptvae_training.features.moments import Moments
from aaptvae_training.linear.baseline import Baseline
from aaptvae_training.linear.ppca import principal_axes
from aaptvae_training.similarity.distill import steps_of
from aaptvae_training.similarity.head import starting_head
from aaptvae_training.similarity.recall import recall_at
from aaptvae_training.similarity.views import HeadFit, Search, apply_head, choose_head, project, search_axes

WIDTH, DIM = 24, 4


def clustered(rows: int, seed: int = 0) -> np.ndarray:
    """Unit rows whose largest directions say nothing about neighbours: a few common shifts, and many small clusters."""
    centres = np.random.default_rng(5).standard_normal((40, WIDTH))
    rng = np.random.default_rng(seed)
    x = 0.6 * centres[rng.integers(40, size=rows)] + 0.2 * rng.standard_normal((rows, WIDTH))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(np.float32)


def baseline_of(x: np.ndarray) -> Baseline:
    moments = Moments(x.shape[1])
    moments.add(x)
    statistics = moments.statistics()
    scale = statistics.deviation
    values, vectors = principal_axes(statistics.standardised_covariance(scale))
    return Baseline(statistics.mean, scale, values, vectors, values, np.zeros(x.shape[1], bool))


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
@pytest.mark.parametrize("hidden", [0, 7])
def test_a_head_starts_as_the_linear_projection(geometry, hidden):
    x = clustered(200)
    baseline = baseline_of(x)
    torch.manual_seed(0)
    head = starting_head(baseline.mean, baseline.scale, search_axes(baseline, geometry, DIM), geometry, hidden)
    expected = project(x, baseline, geometry, DIM)
    np.testing.assert_allclose(apply_head(head, x), expected, atol=0.02 * np.abs(expected).max() if hidden else 1e-6)


def test_axes_for_cosines_are_an_uncentred_svd():
    x = clustered(200)
    axes = search_axes(baseline_of(x), "cosine", DIM)
    expected = np.linalg.svd(x.astype(np.float64), full_matrices=False)[2][:DIM].T
    np.testing.assert_allclose(axes @ axes.T, expected @ expected.T, atol=1e-6)


@pytest.mark.parametrize("geometry", ["cosine", pytest.param("euclidean", marks=pytest.mark.slow)])
def test_training_finds_more_neighbours_of_unseen_rows(geometry):
    train, validation, unseen = clustered(300), clustered(100, 1), clustered(200, 2)
    search = Search.of(validation, train, geometry, baseline_of(train))
    steps: list[int] = []
    head, choice = choose_head(train, search, HeadFit(search.baseline, geometry, DIM, 0), steps.append)
    assert choice.method in ("linear", "mlp") and choice.recall > choice.start_recall
    trained = 1 if choice.method == "mlp" else 2
    assert steps.count(1) == trained * steps_of(300) and sum(steps) == 2 * steps_of(300), "no training whose head is not used"
    rows = np.concatenate([unseen, train])
    views = {"head": apply_head(head, rows), "start": project(rows, search.baseline, geometry, DIM)}
    found = recall_at(10, Search(rows, 200, geometry, search.baseline).full, views, geometry, 200)
    assert found["head"] > found["start"] + 0.01


@pytest.mark.slow
def test_a_seed_always_gives_the_same_head():
    train = clustered(120)
    search = Search.of(clustered(40, 1), train, "cosine", baseline_of(train))
    fit = HeadFit(search.baseline, "cosine", DIM, 3)
    heads = [choose_head(train, search, fit, lambda _: None)[0].state_dict() for _ in range(2)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])


def test_the_start_is_kept_where_training_brings_nothing():
    """With as many numbers as features the start finds every neighbour."""
    train = clustered(120)
    search = Search.of(clustered(40, 1), train, "cosine", baseline_of(train))
    head, choice = choose_head(train, search, HeadFit(search.baseline, "cosine", WIDTH, 0), lambda _: None)
    assert choice.method == "start" and choice.recall == choice.start_recall == 1.0
    assert head.hidden is None


def test_without_training_it_is_pca_of_standardised_features():
    """In standard deviations, also where the model's own scale of a rare column is larger."""
    x = clustered(300)
    x[:, 3] = 0
    x[7, 3] = 5
    baseline = baseline_of(x)
    capped = dataclasses.replace(baseline, scale=np.where(np.arange(WIDTH) == 3, 0.8, baseline.scale))
    covariance = np.cov(x.T.astype(np.float64), bias=True) / np.outer(capped.scale, capped.scale)
    values, vectors = principal_axes(covariance)
    capped = dataclasses.replace(capped, eigenvalues=values, eigenvectors=vectors)
    np.testing.assert_allclose(capped.deviation, x.std(axis=0, dtype=np.float64), rtol=1e-5)
    head = HeadFit(capped, "euclidean", DIM, 0).head("start", x, lambda _: None)
    centred = (x - x.mean(axis=0)) / x.std(axis=0)
    scores = centred @ np.linalg.svd(centred, full_matrices=False)[2][:DIM].T
    found = apply_head(head, x)
    np.testing.assert_allclose(found @ found.T, scores @ scores.T, atol=1e-3)


def test_distances_start_at_the_svd_where_it_finds_more():
    """The first axis of these rows is that of a few outlying ones, their mean that of the column which tells neighbours."""
    rng = np.random.default_rng(0)
    rare = (rng.random((400, 1)) < 0.02) + 0.05 * rng.standard_normal((400, 2))
    x = np.column_stack([rare, 30 + rng.random(400)]).astype(np.float32)
    baseline = baseline_of(x[:300])
    search = Search.of(x[300:], x[:300], "euclidean", baseline)
    head, choice = choose_head(x[:300], search, HeadFit(baseline, "euclidean", 1, 0), lambda _: None, methods=())
    assert choice.method == "svd" and choice.recall > 0.15
    found = apply_head(head, x)
    expected = x / baseline.deviation @ search_axes(baseline, "euclidean", 1, about_zero=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
