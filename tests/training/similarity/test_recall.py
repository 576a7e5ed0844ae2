"""Recall of true neighbours: exact on small sets, independent of ties, and the geometry that fits the rows."""

import numpy as np
import pytest

from aaptvae_training.similarity.recall import geometry_of, has_equal_norms, recall_at

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((300, 20))


@pytest.mark.parametrize("geometry", ["cosine", "euclidean"])
def test_recall_counts_neighbours_as_a_plain_loop_does(geometry):
    view = ROWS[:, :6]
    found = recall_at(10, ROWS, {"view": view, "same": 2 * ROWS}, geometry, queries=50)
    hits = 0
    for i in range(50):
        near = []
        for rows in (ROWS, view):
            distance = np.linalg.norm(rows - rows[i], axis=1)
            if geometry == "cosine":
                distance = 1 - rows @ rows[i] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[i])
            distance[i] = np.inf
            near.append(set(np.argsort(distance)[:10]))
        hits += len(near[0] & near[1])
    assert found == {"view": hits / 500, "same": 1.0}


def test_copies_of_rows_do_not_lower_a_recall():
    rows = np.repeat(ROWS[:20], 15, axis=0)
    shuffled = RNG.permutation(len(rows))
    rows = rows[shuffled]
    assert recall_at(10, rows, {"same": rows + 0.0}, "euclidean") == {"same": 1.0}


def test_few_rows_have_fewer_neighbours():
    assert recall_at(10, ROWS[:5], {"same": ROWS[:5]}, "euclidean") == {"same": 1.0}


@pytest.mark.parametrize(
    ("rows", "geometry"),
    [
        (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True), "cosine"),
        (ROWS, "euclidean"),
        (ROWS[:, :3] / np.linalg.norm(ROWS[:, :3], axis=1, keepdims=True), "euclidean"),
        (np.column_stack([np.full(300, 2024.0), ROWS]), "euclidean"),
        (np.zeros((300, 20)), "euclidean"),
    ],
    ids=["unit rows", "plain rows", "three columns", "one large column", "zeros"],
)
def test_rows_of_equal_norms_are_compared_by_cosine(rows, geometry):
    assert geometry_of(rows) == geometry


def normalised(rows):
    """Rows [N, D] with mean 0 and deviation 1, as archives of series hold them."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred / centred.std(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("rows", "trained"),
    [
        (normalised(RNG.standard_normal((100, 60)).cumsum(axis=1)), True),
        (normalised(RNG.standard_normal((100, 40, 3)).cumsum(axis=1).reshape(100, 120)), True),
        (350 + RNG.standard_normal((100, 30)), False),
    ],
    ids=["series", "series of three channels", "a large mean"],
)
def test_equal_norms_alone_are_no_embedding(rows, trained):
    """A head for search is trained for normalised rows of every kind."""
    norms = np.linalg.norm(rows, axis=1)
    assert norms.std() < 0.05 * norms.mean()
    assert (geometry_of(rows), has_equal_norms(rows)) == ("euclidean", trained)


def test_centred_embeddings_stay_embeddings():
    """A layer norm without weights gives rows of mean 0 and deviation 1, whose columns have no order."""
    assert geometry_of(normalised(ROWS @ RNG.standard_normal((20, 256)))) == "cosine"
