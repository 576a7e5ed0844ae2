"""Uses of latents: search, classify, cluster, alert; each beside PCA of the same size."""

from collections.abc import Mapping

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from .table import Array

NEIGHBOURS = 10
QUERIES = 1_000
POOL = 20_000
CLASSIFIER_ROWS = 1_500
CLASSIFIER_COLUMNS = 400


def neighbours(rows: Array, queries: Array, count: int, cosine: bool) -> Array:
    """Positions of the `count` nearest rows of each query position, itself left out."""
    if cosine:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    found = (
        NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(rows).kneighbors(rows[queries], return_distance=False)
    )
    return np.array([[p for p in row if p != query][:count] for row, query in zip(found, queries, strict=True)])


def recall(true: Array, rows: Array, queries: Array) -> float:
    """Share of the true neighbours [Q, k] found among rows [N, L]; the better of Euclidean and cosine distance."""
    count = true.shape[1]
    shares = []
    for cosine in (False, True):
        found = neighbours(rows, queries, count, cosine)
        shares.append(np.mean([len(np.intersect1d(a, b)) / count for a, b in zip(true, found, strict=True)]))
    return float(max(shares))


def recalls(table: Mapping[str, Array], full: Array, test: Array, cosine: bool) -> dict[str, float]:
    """Recall@10 of each representation [N, L]: test rows search all rows; the truth is by distance in `full`."""
    rng = np.random.default_rng(0)
    pool = np.sort(np.concatenate([test, rng.permutation(np.setdiff1d(np.arange(len(full)), test))[: POOL - len(test)]]))
    queries = np.searchsorted(pool, np.sort(rng.permutation(test)[:QUERIES]))
    true = neighbours(full[pool], queries, min(NEIGHBOURS, len(pool) // 4), cosine)
    return {name: recall(true, rows[pool], queries) for name, rows in table.items()}


def accuracies(table: Mapping[str, Array], labels: Array, train: Array, test: Array) -> dict[str, float]:
    """Share of test rows that their five nearest training rows classify rightly."""
    fitted = {name: KNeighborsClassifier(5).fit(rows[train], labels[train]) for name, rows in table.items()}
    return {name: float(fit.score(table[name][test], labels[test])) for name, fit in fitted.items()}


def clusterings(table: Mapping[str, Array], labels: Array, test: Array) -> dict[str, float]:
    """Adjusted Rand index of k-means on test rows, as many clusters as classes."""
    classes = min(len(np.unique(labels)), len(test))
    found = {name: KMeans(classes, n_init=5, random_state=0).fit_predict(rows[test]) for name, rows in table.items()}
    return {name: float(adjusted_rand_score(labels[test], parts)) for name, parts in found.items()}


def rival_anomaly_scores(fitting: Array, judged: Array, reduced: tuple[Array, Array]) -> dict[str, Array]:
    """How odd each judged row is: distance to its fifth neighbour, in all columns and among PCA scores, and IsolationForest."""
    nearest = NearestNeighbors(n_neighbors=min(5, len(fitting)))
    return {
        "knn": nearest.fit(fitting).kneighbors(judged)[0][:, -1],
        "isolation_forest": -IsolationForest(random_state=0).fit(fitting).score_samples(judged),
        "pca_knn": nearest.fit(reduced[0]).kneighbors(reduced[1])[0][:, -1],
    }


def auroc(odd: Array, scores: Mapping[str, Array]) -> dict[str, float]:
    """Area under the ROC curve of each score [N] for the rows that are odd."""
    return {name: float(roc_auc_score(odd, score)) for name, score in scores.items()}


def two_sample(real: Array, drawn: Array) -> float:
    """AUROC of gradient boosting that tells drawn rows from real ones, cross-validated: 0.5 where it cannot."""
    rng = np.random.default_rng(0)
    count = min(len(real), len(drawn), CLASSIFIER_ROWS)
    columns = rng.permutation(real.shape[1])[:CLASSIFIER_COLUMNS]
    x = np.concatenate([rng.permutation(real)[:count], drawn[:count]])[:, columns]
    y = np.repeat([0, 1], count)
    forest = HistGradientBoostingClassifier(max_iter=60, min_samples_leaf=min(20, max(1, count // 4)), random_state=0)
    chances = cross_val_predict(forest, x, y, cv=min(5, count), method="predict_proba")[:, 1]
    return float(roc_auc_score(y, chances))
