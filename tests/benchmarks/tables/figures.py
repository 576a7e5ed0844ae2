"""Every figure of one table: what the bundle says of rows that its training never saw, beside the rivals."""

import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.utils.extmath import randomized_svd

import aaptvae

from . import latent_use
from .rivals import densities
from .subject import trained, views
from .table import Array, Table

LIKELIHOOD_ROWS = 1_000
FIGURES_VERSION = 1  # results of another version are measured again

Figures = dict[str, float]


def measure(table: Table, flow_seconds: float, quick: bool) -> dict[str, object]:
    """One line of results: facts of the table and groups of figures by name."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        vae = trained(table.x[table.train], table.latents, Path(folder))
        result: dict[str, object] = {
            "version": FIGURES_VERSION,
            "name": table.name,
            "kind": table.kind,
            "split": table.split,
            "rows": len(table.x),
            "columns": table.x.shape[1],
            "latents": table.latents,
            "seconds": time.perf_counter() - began,
        }
        test = table.x[table.test]
        result["log_likelihood"] = likelihoods(vae, table, flow_seconds)
        result["r2"], result["r2_raw"] = explained(vae, table)
        table_of = representations(vae, table)
        full = table.x if table.kind == "embedding" else standardised(table.x, table.x[table.train])
        result["recall"] = latent_use.recalls(table_of, full, table.test, cosine=table.kind == "embedding")
        if table.labels is not None:
            whole = table_of | {"all_columns": full}
            result["knn_accuracy"] = latent_use.accuracies(whole, table.labels, table.train, table.test)
            result["kmeans_ari"] = latent_use.clusterings(whole, table.labels, table.test)
            if not quick:
                result["anomaly_auroc"] = anomalies(table)
        result["c2st"] = latent_use.two_sample(test, vae.sample(len(test), seed=0, observation_noise=True))
        if vae.manifest.marginals:
            result["c2st_as_observed"] = latent_use.two_sample(test, vae.sample(len(test), seed=0, as_observed=True))
        return result


def likelihoods(vae: aaptvae.VAE, table: Table, flow_seconds: float) -> dict[str, Figures]:
    """Mean and median log p of test rows in nats, ours under both priors; all in the bundle's standardised features."""
    judged = table.x[table.test][:LIKELIHOOD_ROWS]
    found = {
        "standard": vae.log_likelihood(judged, seed=0),
        "fitted": vae.log_likelihood(judged, seed=0, prior="fitted"),
    }
    mean, scale = vae.observation.mean, vae.observation.scale
    fitting, seen = ((rows.astype(np.float64) - mean) / scale for rows in (table.x[table.train], judged))
    found |= densities(fitting, seen, table.latents, flow_seconds)
    return {name: {"mean": float(values.mean()), "median": float(np.median(values))} for name, values in found.items()}


def explained(vae: aaptvae.VAE, table: Table) -> tuple[Figures, Figures]:
    """R2 of test rows, ours and PCA's of L components: of standardised features, and of features in their own units."""
    train, test = (table.x[index].astype(np.float64) for index in (table.train, table.test))
    ours = vae.reconstruct(test).astype(np.float64)
    scales = {"scaled": vae.observation.scale, "raw": deviations(train)}
    predicted = {name: projected(train, test, scale, table.latents) for name, scale in scales.items()}
    scale = scales["scaled"]
    scaled = {"ours": r_squared(test / scale, ours / scale), "pca": r_squared(test / scale, predicted["scaled"] / scale)}
    return scaled, {"ours": r_squared(test, ours), "pca": r_squared(test, predicted["raw"])}


def projected(train: Array, test: Array, scale: Array, latents: int) -> Array:
    """Reconstructions [N, D] by PCA of training rows in units of `scale` [D]."""
    mean, axes = train.mean(axis=0), principal_axes(train, scale, latents)
    scores = (test - mean) / scale @ axes
    return scores @ axes.T * scale + mean


def principal_axes(train: Array, scale: Array, latents: int) -> Array:
    """The first L principal axes [D, L] of standardised training rows."""
    centred = (train - train.mean(axis=0)) / scale
    axes: Array = np.linalg.svd(centred, full_matrices=False)[2][:latents].T
    return axes


def representations(vae: aaptvae.VAE, table: Table) -> dict[str, Array]:
    """L numbers of every row by each way: views of the bundle, PCA scores, the SVD of raw rows, a random projection."""
    x, train = table.x.astype(np.float64), table.x[table.train].astype(np.float64)
    scale = np.ones(x.shape[1]) if table.kind == "embedding" else deviations(train)
    directions = np.random.default_rng(0).standard_normal((x.shape[1], table.latents))
    rows = min(table.latents, *train.shape)
    return views(vae, table.x) | {
        "pca": (x - train.mean(axis=0)) / scale @ principal_axes(train, scale, table.latents),
        "svd": x / scale @ randomized_svd(train / scale, rows, random_state=0)[2].T,
        "random": x / scale @ directions,
    }


def anomalies(table: Table) -> Figures:
    """AUROC of the rarest class among test rows, by models that saw training rows of the other classes alone."""
    assert table.labels is not None
    counts = np.bincount(table.labels[table.test], minlength=int(table.labels.max()) + 1)
    rarest = int(np.where(counts > 0, np.bincount(table.labels), len(table.x) + 1).argmin())
    usual = table.train[table.labels[table.train] != rarest]
    odd = table.labels[table.test] == rarest
    if odd.all() or not odd.any():
        return {}
    judged = table.x[table.test]
    with tempfile.TemporaryDirectory() as folder:
        vae = trained(table.x[usual], table.latents, Path(folder))
        scores = {"ours": -vae.score(judged).elbo}
        far = getattr(vae.score(judged), "distance", None)
        if far is not None:
            scores["ours_distance"] = far
    fitting, seen = standardised(table.x[usual], table.x[usual]), standardised(judged, table.x[usual])
    axes = principal_axes(fitting, np.ones(fitting.shape[1]), table.latents)
    scores |= latent_use.rival_anomaly_scores(fitting, seen, (fitting @ axes, seen @ axes))
    return latent_use.auroc(odd, scores)


def standardised(rows: Array, train: Array) -> Array:
    """Rows [N, D] by the mean and deviation of training rows; a constant column is 0 there."""
    return (rows.astype(np.float64) - train.mean(axis=0, dtype=np.float64)) / deviations(train)


def deviations(train: Array) -> Array:
    """Standard deviation of every column [D], 1 for a constant one."""
    found = train.std(axis=0, dtype=np.float64)
    return np.where(found > 1e-9 * np.maximum(1, np.abs(train).max(axis=0)), found, 1.0)


def r_squared(x: Array, prediction: Array) -> float:
    """1 - residual / total sum of squares around the column means of x [N, D]."""
    return float(1 - ((x - prediction) ** 2).sum() / max(((x - x.mean(axis=0)) ** 2).sum(), 1e-9))
