"""The views of a trained model: which metric map and which similarity head validation rows choose."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
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
SPREAD = 0.15  # deviation of the difference of two recalls of one row: a trained head must be better by its standard error
HEADS = {"mlp": HIDDEN, "linear": 0}  # trained heads by method, in the order of trial, and the width of their MLP


@dataclass(frozen=True)
class Chosen:
    """How a view was made, its recall@10 on validation rows, and that of PCA (cosine: SVD) with as many numbers."""

    method: str
    recall: float
    start_recall: float


@dataclass(frozen=True)
class Search:
    """A neighbour search among raw `rows` [N, D]: the first `queries` are validation rows, the others training rows."""

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
        return in_units(self.rows, self.baseline, self.geometry)

    def recall(self, views: Mapping[str, Array], *, all_rows: bool = False) -> dict[str, float]:
        """recall@10 of each view [N, S] of the rows, of the queries or of `all_rows`."""
        return recall_at(NEIGHBOURS, self.full, views, self.geometry, None if all_rows else self.queries)


def in_units(x: Rows, baseline: Baseline, geometry: Geometry) -> Matrix:
    """Raw rows [N, D] as they are compared: as they are for cosines, else in standard deviations about the mean."""
    rows = x.astype(np.float64)
    return rows if geometry == "cosine" else (rows - baseline.mean) / baseline.deviation


def search_axes(baseline: Baseline, geometry: Geometry, dim: int, *, about_zero: bool | None = None) -> Matrix:
    """The best linear map to `dim` numbers without training, [D, dim]: PCA, or SVD of the rows `about_zero`.

    By default the latter for cosines.
    """
    axes = baseline.eigenvectors.shape[1]
    spread = baseline.scale[:, None] * baseline.eigenvectors * np.sqrt(baseline.eigenvalues[:axes])
    units = baseline.deviation if geometry == "euclidean" else np.ones(len(spread))
    spread, mean = spread / units[:, None], baseline.mean / units
    about_zero = geometry == "cosine" if about_zero is None else about_zero
    if axes < len(spread):  # F F' has the eigenvectors F V of F' F, which is small
        factor = np.column_stack([spread, mean]) if about_zero else spread
        values, vectors = principal_axes(factor.T @ factor)
        live = values[:dim] > NULL * values[0]
        return with_signs(factor @ vectors[:, :dim][:, live] / np.sqrt(values[:dim][live]))
    return principal_axes(spread @ spread.T + (np.outer(mean, mean) if about_zero else 0.0))[1][:, :dim]


def choose_metric(model: AAPTVAE, train: Rows, search: Search) -> tuple[MetricMap, Chosen]:
    """The metric map with the better recall, from raw training rows [N, D]."""
    maps, mu = metric_maps(model, train, search.geometry), encode(model, search.rows)[0]
    start = project(search.rows, search.baseline, search.geometry, model.latent_dim)
    figures = search.recall({name: candidate(mu) for name, candidate in maps.items()} | {"start": start})
    best = max(maps, key=lambda name: figures[name])
    return maps[best], Chosen(best, figures[best], figures["start"])


@dataclass(frozen=True)
class HeadFit:
    """The choices that a similarity head is fitted with: statistics and geometry of the rows, its width and the seed."""

    baseline: Baseline
    geometry: Geometry
    dim: int
    seed: int

    def head(self, method: str, train: Rows, tick: Callable[[int], object]) -> SimilarityHead:
        """The head of this method for raw training rows [N, D]; "start" and "svd" are not trained."""
        axes = search_axes(self.baseline, self.geometry, self.dim, about_zero=True if method == "svd" else None)
        scale = self.baseline.scale if self.geometry == "cosine" else self.baseline.deviation
        torch.manual_seed(self.seed)
        head = starting_head(self.baseline.mean, scale, axes, self.geometry, HEADS.get(method, 0))
        if method == "svd":
            with torch.no_grad():
                head.linear.bias.copy_(torch.from_numpy(self.baseline.mean / scale @ axes))
        if method in HEADS:
            distill(head, train, self.geometry, self.seed, tick)
        return head.eval()


def choose_head(
    train: Rows, search: Search, fit: HeadFit, tick: Callable[[int], object], methods: Iterable[str] = tuple(HEADS)
) -> tuple[SimilarityHead, Chosen]:
    """The first of the trained `methods` that has a better recall on validation rows than the linear start, or that start.

    So no head is worse on these rows than PCA, or SVD, with as many numbers. The MLP found more than the linear map on every
    set of texts, so that the latter is only trained where the MLP fails.
    """
    kind, start, found = _start(train, search, fit, tick)
    methods = tuple(methods)
    for tried, method in enumerate(methods, 1):
        head = fit.head(method, train, tick)
        recall = search.recall({method: apply_head(head, search.rows)})[method]
        if recall > found + SPREAD / math.sqrt(search.queries):
            tick(head_steps(len(train), methods[tried:]))  # that are not taken
            return head, Chosen(method, recall, found)
    return start, Chosen(kind, found, found)


def _start(train: Rows, search: Search, fit: HeadFit, tick: Callable[[int], object]) -> tuple[str, SimilarityHead, float]:
    """The linear start, its name and its recall on validation rows; for distances PCA, or SVD where that finds more.

    SVD finds more where the mean of the rows separates neighbours better than the last principal axis of PCA does. Linear maps
    hardly overfit, so training rows are queries too: validation rows alone would be too few to show a difference.
    """
    kinds = ("start",) if search.geometry == "cosine" else ("start", "svd")
    heads = {kind: fit.head(kind, train, tick) for kind in kinds}
    vectors = {kind: apply_head(head, search.rows) for kind, head in heads.items()}
    found = search.recall(vectors, all_rows=True)
    ahead = found[kinds[-1]] > found["start"] + SPREAD / math.sqrt(len(search.rows))
    kind = kinds[-1] if ahead else "start"
    return kind, heads[kind], search.recall({kind: vectors[kind]})[kind]


def head_steps(rows: int, methods: Iterable[str] = tuple(HEADS)) -> int:
    """Training steps of heads of these methods on this many rows, for progress."""
    return steps_of(rows) * sum(method in HEADS for method in methods)


@torch.no_grad()
def apply_head(head: SimilarityHead, x: Rows) -> Rows:
    """Similarity vectors [N, S] of raw rows [N, D]."""
    vectors: Rows = copy.deepcopy(head).double()(torch.from_numpy(x).double()).float().numpy()
    return vectors


def project(x: Rows, baseline: Baseline, geometry: Geometry, dim: int) -> Matrix:
    """PCA scores (cosine: SVD coordinates) [N, dim] of raw rows [N, D]."""
    projected: Matrix = in_units(x, baseline, geometry) @ search_axes(baseline, geometry, dim)
    return projected
