"""Maps fitted to columns of every kind: samples then have the values, the range and the frequencies of the training rows."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aaptvae.density.marginals import STEPS, Marginals
from aaptvae_training.finish import marginal_fit
from aaptvae_training.finish.marginal_fit import fit_marginals, largest_share, thinned

ROWS = 2_000


def drawn(width: int, rows: int = ROWS) -> np.ndarray:
    """Correlated samples of a model with heavy tails."""
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((rows, 1)) + 0.5 * rng.standard_normal((rows, width))
    return (shared / np.sqrt(rng.chisquare(4, (rows, 1)) / 4)).astype(np.float32)


def observed() -> dict[str, np.ndarray]:
    """Columns [ROWS] by kind."""
    rng = np.random.default_rng(0)
    gamma = rng.gamma(1.5, 3, ROWS)
    return {
        "constant": np.full(ROWS, 7),
        "binary": rng.random(ROWS) < 0.1,
        "counts": rng.poisson(2, ROWS),
        "codes": rng.choice([1, 2, 5, 9], ROWS),
        "zero_inflated": np.where(rng.random(ROWS) < 0.4, 0, gamma),
        "prices": np.round(3000 * gamma),
        "cents": np.round(rng.lognormal(2, 1, ROWS), 2),
        "heavy": rng.standard_cauchy(ROWS),
        "late_mass": np.minimum(gamma, 6),
    }


@pytest.fixture(scope="module")
def columns() -> tuple[list[str], np.ndarray, np.ndarray, Marginals]:
    """Names, training rows, other samples after the maps, and the maps."""
    kinds = observed()
    table = np.stack([*kinds.values()], axis=1).astype(np.float32)
    samples = drawn(len(kinds), 3 * ROWS)
    fitted = fit_marginals(table, samples[:ROWS])
    mapped = samples[ROWS:].copy()
    Marginals.from_arrays(fitted.to_arrays()).apply(mapped)
    return list(kinds), table, mapped, fitted


def test_samples_stay_in_range_and_on_observed_values(columns):
    names, table, mapped, fitted = columns
    assert (mapped >= table.min(axis=0)).all() and (mapped <= table.max(axis=0)).all()
    for number, name in enumerate(names):
        if name in ("constant", "binary", "counts", "codes"):
            assert fitted.rules[number] == STEPS
            assert set(mapped[:, number]) <= set(table[:, number])
    for name, unit in (("prices", 1), ("cents", 100)):
        number = names.index(name)
        assert fitted.rules[number] == unit
        values = mapped[:, number].astype(np.float64) * unit
        np.testing.assert_allclose(values, np.rint(values), rtol=1e-6)


def test_samples_have_the_observed_distribution(columns):
    """Kolmogorov's distance of each column is that of two samples, also where one value has a large share."""
    names, table, mapped, _ = columns
    for number, name in enumerate(names):
        places = np.unique(table[:, number])
        shares = [np.searchsorted(np.sort(x[:, number]), places, "right") / len(x) for x in (table, mapped)]
        assert np.abs(shares[0] - shares[1]).max() < 0.05, name


def test_maps_keep_the_order_of_samples(columns):
    _, _, mapped, _ = columns
    samples = drawn(mapped.shape[1], 3 * ROWS)[ROWS:]
    for number in range(mapped.shape[1]):
        assert (np.diff(mapped[np.argsort(samples[:, number], kind="stable"), number]) >= 0).all()


@settings(max_examples=40, deadline=None)
@example(np.arange(48) / 7)  # each value one row of fewer than 64
@given(st.lists(st.sampled_from([-1e30, -2.5, 0, 0.1, 1, 3, 1e30]) | st.floats(-9, 9, width=32), min_size=1, max_size=90))
def test_any_column_is_mapped_into_its_range(values):
    column, samples = np.array(values, np.float32)[:, None], drawn(1, 300)
    Marginals.from_arrays(fit_marginals(column, samples).to_arrays()).apply(samples)
    assert column.min() <= samples.min() and samples.max() <= column.max()
    if len(np.unique(column)) <= len(column) / 2:
        assert set(samples[:, 0]) <= set(column[:, 0])


def test_wide_tables_have_few_knots(monkeypatch):
    """Columns with most knots get fewer, the others keep theirs; the range stays."""
    monkeypatch.setattr(marginal_fit, "MOST_KNOTS", 200)
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.standard_normal((500, 10)), rng.random((500, 10)) < 0.5], axis=1).astype(np.float32)
    samples = drawn(20, 500)
    fitted = fit_marginals(table, samples)
    assert fitted.counts.sum() <= 200 and fitted.counts[:10].min() >= 4
    assert (fitted.counts[10:] == 2).all() and (fitted.rules[10:] == STEPS).all()
    fitted.apply(samples)
    assert (samples >= table.min(axis=0)).all() and (samples <= table.max(axis=0)).all()
    assert largest_share(np.array([9_000, 1])) == 150


def test_the_widest_tables_have_ranges_alone(monkeypatch):
    """Samples are limited to the range and rounded, and stay as they are within it; quantiles are not stored."""
    monkeypatch.setattr(marginal_fit, "MOST_KNOTS", 70)
    table = np.random.default_rng(0).poisson(3, (500, 20)).astype(np.float32)
    table[:, 0] = 0.25
    samples = 3 + 3 * drawn(20, 500)
    arrays = fit_marginals(table, samples).to_arrays()
    assert not arrays["quantiles"].size
    mapped = samples.copy()
    Marginals.from_arrays(arrays).apply(mapped)
    np.testing.assert_array_equal(mapped[:, 1:], np.clip(np.floor(samples + 0.5), table.min(axis=0), table.max(axis=0))[:, 1:])
    assert (mapped[:, 0] == 0.25).all()


def test_thinning_keeps_the_ends_and_the_corners():
    ranks, values = np.linspace(0, 1, 11), np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5], np.float32)
    kept, own = thinned((ranks, values), 3)
    np.testing.assert_allclose(kept, [0, 0.5, 1])
    np.testing.assert_array_equal(own, [0, 0, 5])


@pytest.mark.parametrize("rows", range(11, 64, 4))
def test_every_row_may_be_a_flat_part(rows):
    """Where a row is more than `OFTEN` of all, flat parts touch, and rounding must not change the order of their ends."""
    table = drawn(40, rows)
    maps = Marginals.from_arrays(fit_marginals(table, drawn(40)).to_arrays())
    samples = drawn(40)
    maps.apply(samples)
    assert (samples >= table.min(axis=0)).all() and (samples <= table.max(axis=0)).all()
