"""Distances between samples: zero for one density, the closed form for two Gaussians, larger the farther apart."""

import numpy as np
import pytest

from aaptvae_training.evaluation.sample_quality import frechet_distance, mean_discrepancy


def normal(seed: int, rows: int = 1000, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width))


def exact(mean: np.ndarray, covariance: np.ndarray, rows: int = 200, seed: int = 0) -> np.ndarray:
    """Rows with exactly these moments."""
    noise = normal(seed, rows, len(mean))
    centred = noise - noise.mean(axis=0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(centred.T @ centred / rows)).T
    return mean + white @ np.linalg.cholesky(covariance).T


def random_covariance(seed: int, width: int) -> np.ndarray:
    root = normal(seed, width, width)
    return root @ root.T + 0.1 * np.eye(width)


def test_the_distance_of_rows_from_themselves_is_zero() -> None:
    x = normal(0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-9)


def test_a_shift_adds_its_squared_length() -> None:
    covariance = random_covariance(1, 4)
    shift = np.array([1.0, -2.0, 0.0, 0.5])
    a, b = exact(np.zeros(4), covariance), exact(shift, covariance, seed=2)
    assert frechet_distance(a, b) == pytest.approx(shift @ shift)


def test_commuting_covariances_give_the_closed_form() -> None:
    one, two = np.array([1.0, 2.0, 3.0]), np.array([0.5, 2.5, 0.0001])
    axes, _ = np.linalg.qr(normal(5, 3, 3))
    a, b = (exact(np.zeros(3), axes @ np.diag(s**2) @ axes.T, seed=k) for k, s in enumerate((one, two)))
    assert frechet_distance(a, b) == pytest.approx(((one - two) ** 2).sum())


def test_general_covariances_give_the_closed_form() -> None:
    first, second = random_covariance(1, 5), random_covariance(2, 5)
    values, vectors = np.linalg.eig(first @ second)  # similar to a symmetric positive matrix: real, positive eigenvalues
    root = (vectors * np.sqrt(values)) @ np.linalg.inv(vectors)
    a, b = exact(np.ones(5), first), exact(np.zeros(5), second, seed=3)
    expected = 5 + np.trace(first + second - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected)
    assert frechet_distance(b, a) == pytest.approx(expected)


def test_constant_and_single_columns_have_a_distance() -> None:
    flat = normal(0) * np.array([1, 1, 1, 0, 0, 0])
    assert frechet_distance(flat, flat) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(exact(np.zeros(1), np.eye(1)), exact(np.ones(1), 4 * np.eye(1))) == pytest.approx(2)


def test_samples_of_one_density_converge_with_rows() -> None:
    few, many = (frechet_distance(normal(0, rows), normal(1, rows)) for rows in (200, 20_000))
    assert 0 <= many < few < 0.5
    assert many < 0.01


def test_the_discrepancy_of_one_density_is_unbiased() -> None:
    draws = np.array([mean_discrepancy(normal(2 * k, 200), normal(2 * k + 1, 200)) for k in range(40)])
    assert (draws < 0).any() and (draws > 0).any()  # it is unbiased
    assert abs(draws.mean()) < 3 * draws.std() / np.sqrt(len(draws))


def test_the_discrepancy_of_gaussians_is_the_closed_form() -> None:
    # E k(x, y) for x - y ~ N(m, 2 I) under exp(-|x - y|^2 / w) is (w / (w + 4))^(D/2) exp(-|m|^2 / (w + 4)).
    shift, width, ratios = 1.5, 3, []
    for seed in range(0, 20, 2):
        a, b = normal(seed, 600, width), normal(seed + 1, 600, width) + np.array([shift, 0, 0])
        w = float(np.median(((a[:, None] - b[None]) ** 2).sum(axis=2)))
        expected = 2 * (w / (w + 4)) ** (width / 2) * (1 - np.exp(-(shift**2) / (w + 4)))
        ratios.append(mean_discrepancy(a, b) / expected)
    assert np.mean(ratios) == pytest.approx(1, abs=3 * np.std(ratios) / np.sqrt(len(ratios)))
    assert np.std(ratios) < 0.2


def test_the_discrepancy_differs_where_moments_are_equal() -> None:
    rng = np.random.default_rng(3)
    two_points = rng.choice([-1.0, 1.0], (1000, 2))
    bell = normal(4, 1000, 2)
    assert frechet_distance(two_points, bell) < 0.05
    assert mean_discrepancy(two_points, bell) > 10 * abs(mean_discrepancy(normal(5, 1000, 2), bell))


def test_the_discrepancy_grows_with_the_shift() -> None:
    x = normal(0)
    steps = [mean_discrepancy(x, normal(1) + shift) for shift in (0.0, 0.2, 0.5, 1.0)]
    assert steps == sorted(steps)


def test_the_discrepancy_of_one_row_is_nan() -> None:
    assert np.isnan(mean_discrepancy(normal(0, 1), normal(1)))
