"""The views of a trained model: which metric map and which similarity head validation rows choose."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from aaptvae.rows import Array, Matrix, Rows

from ..linear.baseline import Baseline
from ..linear.ppca import NULL, principal_axes, with_signs
from ..model.as_numpy import encode
from ..model.network import AAPTVAE
from .distill import distill, steps_of
from .head import HIDDEN, SimilarityHead, starting_head
from .metric import MetricMap, metric_maps
from .recall import NEIGHBOURS, Geometry, recall_at

MOST_QUERIES = 1_000
LEAST_ANSWERS = 1_000  # training rows beside the held-out ones: otherwise as many as those, so that half is unseen
SPREAD = 0.15  # deviation of the difference of two recalls of one row: a larger head must be better by its standard error
HEADS = {"linear": 0, "mlp": HIDDEN}  # trained heads by method, and the width of their MLP


@dataclass(frozen=True)
class Chosen:
    """How a view was made, its recall@10 on validation rows, and that of PCA (cosine: SVD) with as many numbers."""

    method: str
    recall: float
    start_recall: float


@dataclass(frozen=True)
class Search:
    """Validation rows that look for their neighbours among themselves and training rows: raw [N, D], the first ones ask."""

    rows: Rows
    queries: int
    geometry: Geometry
    baseline: Baseline

    @classmethod
    def of(cls, validation: Rows, train: Rows, geometry: Geometry, baseline: Baseline) -> "Search":
        """At most `MOST_QUERIES` held-out rows, and about as many training rows spread over the table."""
        asking = validation[:MOST_QUERIES]
        chosen = np.linspace(0, len(train) - 1, min(max(LEAST_ANSWERS, len(asking)), len(train))).astype(np.int64)
        return cls(np.concatenate([asking, train[chosen]]), len(asking), geometry, baseline)

    @property
    def full(self) -> Matrix:
        """The vectors whose neighbours are the true ones: raw features for cosines, else standardised."""
        rows = self.rows.astype(np.float64)
        return rows if self.geometry == "cosine" else (rows - self.baseline.mean) / self.baseline.scale

    def recall(self, views: Mapping[str, Array]) -> dict[str, float]:
        """recall@10 of each view [N, S] of the rows."""
        return recall_at(NEIGHBOURS, self.full, views, self.geometry, self.queries)


def search_axes(baseline: Baseline, geometry: Geometry, dim: int) -> Matrix:
    """The best linear map to `dim` numbers without training, [D, dim]: PCA, for cosines SVD of the rows about zero."""
    if geometry == "euclidean":
        return baseline.eigenvectors[:, :dim]
    axes = baseline.eigenvectors.shape[1]
    spread = baseline.scale[:, None] * baseline.eigenvectors * np.sqrt(baseline.eigenvalues[:axes])
    if axes < len(spread):  # F F' has the eigenvectors F V of F' F, which is small
        factor = np.column_stack([spread, baseline.mean])
        values, vectors = principal_axes(factor.T @ factor)
        live = values[:dim] > NULL * values[0]
        return with_signs(factor @ vectors[:, :dim][:, live] / np.sqrt(values[:dim][live]))
    return principal_axes(spread @ spread.T + np.outer(baseline.mean, baseline.mean))[1][:, :dim]


def choose_metric(model: AAPTVAE, train: Rows, search: Search) -> tuple[MetricMap, Chosen]:
    """The metric map with the better recall, from raw training rows [N, D]."""
    maps, mu = metric_maps(model, train, search.geometry), encode(model, search.rows)[0]
    start = project(search.rows, search.baseline, search.geometry, model.latent_dim)
    figures = search.recall({name: candidate(mu) for name, candidate in maps.items()} | {"start": start})
    best = max(maps, key=lambda name: figures[name])
    return maps[best], Chosen(best, figures[best], figures["start"])


def choose_head(
    train: Rows, search: Search, dim: int, seed: int, tick: Callable[[int], object]
) -> tuple[SimilarityHead, Chosen]:
    """The head that validation rows prefer: the linear start, a trained linear map, or one with an MLP beside it.

    So no head is worse on these rows than PCA, or SVD, with as many numbers.
    """
    baseline, geometry = search.baseline, search.geometry
    axes = search_axes(baseline, geometry, dim)
    torch.manual_seed(seed)
    heads = {"start": starting_head(baseline.mean, baseline.scale, axes, geometry)}
    for method, hidden in HEADS.items():
        heads[method] = starting_head(baseline.mean, baseline.scale, axes, geometry, hidden)
        distill(heads[method], train, geometry, seed, tick)
    figures = search.recall({method: apply_head(head, search.rows) for method, head in heads.items()})
    best = "start"
    for method in HEADS:
        if figures[method] > figures[best] + SPREAD / math.sqrt(search.queries):
            best = method
    return heads[best].eval(), Chosen(best, figures[best], figures["start"])


def head_steps(rows: int) -> int:
    """Training steps of `choose_head` on this many rows, for progress."""
    return steps_of(rows) * len(HEADS)


@torch.no_grad()
def apply_head(head: SimilarityHead, x: Rows) -> Rows:
    """Similarity vectors [N, S] of raw rows [N, D]."""
    vectors: Rows = copy.deepcopy(head).double()(torch.from_numpy(x).double()).float().numpy()
    return vectors


def project(x: Rows, baseline: Baseline, geometry: Geometry, dim: int) -> Matrix:
    """PCA scores (cosine: SVD coordinates) [N, dim] of raw rows [N, D]."""
    axes = search_axes(baseline, geometry, dim)
    rows = x.astype(np.float64)
    projected: Matrix = (rows if geometry == "cosine" else (rows - baseline.mean) / baseline.scale) @ axes
    return projected
