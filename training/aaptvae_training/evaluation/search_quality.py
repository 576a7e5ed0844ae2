"""Recall@10 of each view of held-out rows, beside PCA or SVD and a random projection with as many numbers."""

import numpy as np

from aaptvae.rows import Array, Matrix, Rows

from ..linear.baseline import Baseline
from ..model import AAPTVAE, encode
from ..run import RunViews
from ..similarity import Search, apply_head, geometry_of, project


def recall_figures(
    model: AAPTVAE, views: RunViews | None, baseline: Baseline, test: Rows, train: Rows, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of the model and of the linear maps: `test` rows [N, D] look for neighbours among themselves and `train` rows."""
    geometry = geometry_of(train) if views is None else views.geometry
    search = Search.of(test, train, geometry, baseline)
    mu = encode(model, search.rows)[0]
    own: dict[str, Array] = {"recall_mu": mu}
    latents = model.latent_dim
    linear = "recall_svd" if geometry == "cosine" else "recall_pca"
    beside: dict[str, Array] = {
        linear: project(search.rows, baseline, geometry, latents),
        "recall_random": search.full @ random_axes(search.rows.shape[1], latents, seed),
    }
    if views is not None:
        own["recall_metric"] = views.metric(mu)
    if views is not None and views.head is not None:
        own["recall_similarity"] = vectors = apply_head(views.head, search.rows)
        if vectors.shape[1] != latents:
            beside["recall_similarity"] = project(search.rows, baseline, geometry, vectors.shape[1])
    return search.recall(own), search.recall(beside)


def random_axes(width: int, dim: int, seed: int) -> Matrix:
    """A Gaussian random projection [D, dim] (Johnson and Lindenstrauss 1984)."""
    return np.random.default_rng([seed, 0xA7]).standard_normal((width, dim))
