"""The leading axes of a table of many columns: those of its covariance, found without it, and the same figures with them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from aaptvae_training.features import Moments, Statistics
from aaptvae_training.linear import axes as module
from aaptvae_training.linear.axes import axes_count, find_axes, most_axes
from aaptvae_training.linear.ppca import gaussian_log_likelihood, ppca_of, principal_axes
from aaptvae_training.linear.start import begin_at, scalar_start, start_with
from aaptvae_training.linear.tail import HeldOut, spectral_tail
from aaptvae_training.model import observation_of
from aaptvae_training.model.network import AAPTVAE, silenced

ROWS, WIDTH, RANK = 60, 80, 7


@dataclass(frozen=True)
class Table:
    """Rows in memory with their moments."""

    statistics: Statistics
    constant: np.ndarray
    x: np.ndarray

    def training_rows(self):
        yield from np.array_split(self.x, 3)


def table_of(x: np.ndarray, *, products: bool) -> Table:
    moments = Moments(x.shape[1], products=products)
    moments.add(x)
    statistics = moments.statistics()
    return Table(statistics, statistics.minimum == statistics.maximum, x)


def rows(count: int = ROWS, noise: float = 0.3) -> np.ndarray:
    """Rows of rank 7 with noise, one column constant: float32."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, RANK)) @ rng.standard_normal((RANK, WIDTH)) + noise * rng.standard_normal((count, WIDTH))
    x[:, 3] = 2.0
    return (x + 5).astype(np.float32)


def scale_of(table: Table) -> np.ndarray:
    return np.where(table.constant, 1.0, table.statistics.deviation)


@pytest.mark.parametrize("way", ["gram", "subspace", "covariance"])
def test_every_way_finds_the_axes_of_the_covariance(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GRAM_ROWS", 0 if way == "subspace" else 1000)
    monkeypatch.setattr(module, "CHUNK", 1000)
    exact, table = table_of(rows(), products=True), table_of(rows(), products=way == "covariance")
    wanted, found = (find_axes(one, scale_of(exact), count) for one, count in ((exact, None), (table, RANK)))
    np.testing.assert_allclose(found.eigenvalues[:RANK], wanted.eigenvalues[:RANK], rtol=1e-5)
    np.testing.assert_allclose(found.eigenvectors, wanted.eigenvectors[:, :RANK], atol=1e-3)
    assert found.eigenvalues[-1] == pytest.approx(wanted.eigenvalues[RANK:].mean(), rel=1e-5)
    if way != "subspace":
        np.testing.assert_allclose(found.spectrum, wanted.spectrum, atol=1e-9 * wanted.spectrum[0])


def test_axes_without_variance_are_orthonormal() -> None:
    """Three copies of five rows span four axes; the others are any directions of the varying columns."""
    table = table_of(np.repeat(rows(5), 3, axis=0), products=False)
    found = find_axes(table, scale_of(table), 9)
    np.testing.assert_allclose(found.eigenvectors.T @ found.eigenvectors, np.eye(9), atol=1e-9)
    assert (found.eigenvectors[3] == 0).all()
    assert (found.eigenvalues[4:] < 1e-9 * found.eigenvalues[0]).all()


def test_few_columns_use_every_axis() -> None:
    assert most_axes(50, 1024, 8) is None
    assert most_axes(5000, 2048, 8) is None
    assert most_axes(500, 2048, 8) == 499
    assert most_axes(10**6, 20_000, 8) == 209
    assert most_axes(10**6, 20_000, 300) == 600
    assert most_axes(10**6, 5000, 4000) == 4998
    assert axes_count(table_of(rows(), products=True), 8) is None


@torch.no_grad()
def test_all_live_axes_give_the_density_of_all_axes() -> None:
    """Fewer rows than columns: axes without variance share one noise on both ways, so the linear start is the same."""
    x, held_out = rows()[:40], rows()[40:]
    table, exact = table_of(x, products=False), table_of(x, products=True)
    scale, dense = scale_of(table), ppca_of(*principal_axes(exact.statistics.standardised_covariance(scale_of(table))), 4)
    leading = find_axes(table, scale, 39).ppca(4)
    standardised = (held_out - table.statistics.mean) / scale
    np.testing.assert_allclose(leading.log_likelihood(standardised), dense.log_likelihood(standardised), rtol=1e-5)
    densities = []
    for ppca, axes in ((leading, 39), (dense, None)):
        model = AAPTVAE(WIDTH, 4, 8, linear_skip=True, sigma="spectral", likelihood="student", bounded=True, axes=axes)
        model.scaler.standardise_by(*map(torch.from_numpy, (table.statistics.mean, scale, table.constant)))
        begin_at(model, start_with(ppca, spectral_tail([HeldOut(ppca, standardised)], tails=True)))
        model = silenced(model).eval()
        mu, logvar = model.encode(torch.from_numpy(held_out))
        reconstruction = model.decode(mu).numpy()
        densities.append((mu.abs().numpy(), logvar.numpy(), observation_of(model).log_density(held_out, reconstruction)))
        error = model.scaler.extend(model.scaler.coordinates(model.decode(mu).double())) - model.scaler.to_scaled(
            torch.from_numpy(held_out).double()
        )
        np.testing.assert_allclose(-model.negative_log_likelihood(error), densities[-1][2], rtol=1e-5, atol=1e-4)
    for one, other in zip(*densities, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_the_last_variance_counts_for_all_other_axes() -> None:
    x = np.random.default_rng(1).standard_normal((9, 6))
    coordinates = np.column_stack([x[:, :2], np.linalg.norm(x[:, 2:], axis=1)])
    expected = gaussian_log_likelihood(x, np.array([2.0, 3.0, 0.5, 0.5, 0.5, 0.5]))
    np.testing.assert_allclose(gaussian_log_likelihood(coordinates, np.array([2.0, 3.0, 0.5]), 4), expected)


def test_a_loss_beside_few_axes_has_finite_gradients() -> None:
    """The root of the length orthogonal to the axes has no derivative at zero, where reconstructions are."""
    x = rows()[:40]
    table = table_of(x, products=False)
    model = AAPTVAE(WIDTH, 4, 8, linear_skip=True, sigma="spectral", axes=39)
    model.scaler.standardise_by(torch.from_numpy(table.statistics.mean), torch.from_numpy(scale_of(table)))
    begin_at(model, scalar_start(find_axes(table, scale_of(table), 39).ppca(4)))
    batch = torch.from_numpy(x)
    model.loss_function(model.forward(batch)[0], batch, *model.encode(batch))["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
