"""Distances between samples and real rows: Frechet distance and maximum mean discrepancy of standardised features."""

import numpy as np

from aaptvae.rows import Matrix

MMD_ROWS = 1_000
MOST_COLUMNS = 1_024  # whose covariances are formed


def frechet_distance(a: Matrix, b: Matrix) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of the rows' moments [N, D] (Dowson and Landau 1982)."""
    if a.shape[1] > MOST_COLUMNS:
        return _frechet_of_many_columns(a, b)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False, bias=True)) for x in (a, b))
    root = _square_root(cov_a)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def _frechet_of_many_columns(a: Matrix, b: Matrix) -> float:
    """The same without a covariance: the eigenvalues of (C_a C_b)^(1/2) are the singular values of A B' / sqrt(N M)."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - mean_a, b - mean_b
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum() / np.sqrt(len(a) * len(b))
    return float(((mean_a - mean_b) ** 2).sum() + (a**2).sum() / len(a) + (b**2).sum() / len(b) - 2 * cross)


def _square_root(covariance: Matrix) -> Matrix:
    values, vectors = np.linalg.eigh(covariance)
    root: Matrix = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def mean_discrepancy(a: Matrix, b: Matrix) -> float:
    """Unbiased squared MMD under a Gaussian kernel of median width (Gretton et al. 2012); 0 for equal densities."""
    a, b = a[:MMD_ROWS], b[:MMD_ROWS]
    between = _squared_distances(a, b)
    width = max(float(np.median(between)), 1e-12)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return float("nan")
    within_a = (np.exp(-_squared_distances(a, a) / width).sum() - n) / (n * (n - 1))
    within_b = (np.exp(-_squared_distances(b, b) / width).sum() - m) / (m * (m - 1))
    return float(within_a + within_b - 2 * np.exp(-between / width).mean())


def _squared_distances(a: Matrix, b: Matrix) -> Matrix:
    square: Matrix = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.clip(square, 0, None)
