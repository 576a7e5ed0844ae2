"""Standardisation: columns that are constant, nearly constant or rarely different; large means; rotation; refusals."""

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae_training import AAPTVAE, FeatureScaler
from aaptvae_training.config import TrainConfig
from aaptvae_training.features import open_features
from aaptvae_training.features.moments import Moments, first_bad_value
from aaptvae_training.features.prepare import (
    MOST_DEVIATIONS,
    Prepared,
    column_scale,
    constant_columns,
    prepare_features,
    with_capped_scale,
)
from aaptvae_training.model.as_numpy import scale_rows
from aaptvae_training.progress import TrainingProgress

from ..conftest import features_of, options, saved, train


def prepared_from(folder, rows: np.ndarray) -> Prepared:
    with open_features(saved(folder, rows)) as features:
        return prepare_features(features, TrainConfig(), TrainingProgress())


def fitted(prepared: Prepared) -> FeatureScaler:
    scaler = FeatureScaler(len(prepared.scale))
    scaler.standardise_by(*map(torch.from_numpy, (prepared.statistics.mean, prepared.scale, prepared.constant)))
    return scaler


def test_moments_in_blocks_equal_those_of_all_rows():
    rows = 1e4 + features_of(1000)
    moments = Moments(rows.shape[1])
    for block in np.split(rows, [1, 300, 300, 777]):
        moments.add(block)
    statistics = moments.statistics()
    np.testing.assert_allclose(statistics.mean, rows.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(rows.astype(np.float64).T, bias=True), rtol=1e-8, atol=1e-8)
    assert statistics.rows == 1000


def test_constant_columns_scale_to_zero_and_are_marked(tmp_path):
    rows = features_of(200)
    rows[:, 3], rows[:, 5] = 7.25, 0.0
    prepared = prepared_from(tmp_path, rows)
    assert prepared.scale[3] == prepared.scale[5] == 1
    scaler = fitted(prepared)
    assert scaler.constant.nonzero().flatten().tolist() == [3, 5]
    scaled = scaler.to_scaled(torch.from_numpy(rows))
    assert torch.isfinite(scaled).all() and (scaled[:, 3] == 0).all() and (scaled[:, 5] == 0).all()


def test_a_column_of_deviation_1_is_not_constant(tmp_path):
    rows = features_of(200)
    rows[:, 4] = np.where(np.arange(200) % 2, 1, -1)
    scaler = FeatureScaler(12)
    with open_features(saved(tmp_path, rows)) as features:
        moments = Moments(12)
        moments.add(features.read(0, 200))
    statistics = moments.statistics()
    constant = constant_columns(statistics)
    scaler.standardise_by(*map(torch.from_numpy, (statistics.mean, column_scale(statistics, constant), constant)))
    assert scaler.scale[4] == 1 and not scaler.constant.any()


def test_columns_of_rounding_errors_count_as_constant(tmp_path):
    rows = features_of(200)
    rows[:, 2] = np.where(np.arange(200) % 2, np.float32(1000), np.nextafter(np.float32(1000), np.float32(2000)))
    prepared = prepared_from(tmp_path, rows)
    assert prepared.scale[2] == 1
    assert abs(prepared.standardised_residuals(rows)[:, 2]).max() < 0.1


def test_a_column_of_small_values_is_standardised(tmp_path):
    rows = features_of(400)
    rows[:, 2] = 1e-12 * np.random.default_rng(0).standard_normal(400)
    assert prepared_from(tmp_path, rows).standardised_residuals(rows)[:, 2].std() == pytest.approx(1, rel=0.1)


def test_rarely_nonzero_columns_are_scaled_as_others(tmp_path):
    """Their scale was larger, so that R2 and likelihoods were in other units than those of PCA of standardised columns."""
    rows = features_of(2000)
    rows[:, 0] = 0
    rows[:5, 0] = 16
    prepared = prepared_from(tmp_path, rows)
    np.testing.assert_allclose(prepared.scale, prepared.statistics.deviation)
    capped = with_capped_scale(prepared)
    assert abs(capped.standardised_residuals(rows)[:, 0]).max() <= MOST_DEVIATIONS * 1.01


def test_scaling_is_undone_exactly():
    scaler = FeatureScaler(12)
    x = torch.from_numpy(features_of(50)).double()
    scaler.standardise_by(x.mean(dim=0), x.std(dim=0))
    torch.testing.assert_close(scaler.to_raw(scaler.to_scaled(x)), x, rtol=1e-12, atol=1e-12)


def rotated_scaler() -> FeatureScaler:
    torch.manual_seed(0)
    scaler = FeatureScaler(6, rotated=True)
    scaler.standardise_by(torch.linspace(-5, 5, 6), torch.linspace(0.1, 3, 6))
    axes = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    scaler.rotate_by(axes, torch.linspace(0.2, 1, 6), torch.linspace(1, 2, 6))
    return scaler


def test_a_rotation_is_undone_exactly():
    scaler, x = rotated_scaler(), torch.randn(20, 6, dtype=torch.float64)
    torch.testing.assert_close(scaler.to_raw(scaler.to_scaled(x)), x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(scaler.to_standardised(scaler.to_scaled(x)), (x - scaler.mean) / scaler.scale)


def test_the_matrices_are_the_map():
    scaler, x = rotated_scaler(), torch.randn(20, 6, dtype=torch.float64)
    forward, backward = scaler.matrices()
    torch.testing.assert_close((x - scaler.mean) @ forward.T, scaler.whiten(scaler.to_scaled(x)))
    torch.testing.assert_close(x @ backward.T + scaler.mean, scaler.to_raw(x))
    volume = torch.linalg.slogdet(backward / scaler.scale[:, None])[1]
    torch.testing.assert_close(scaler.log_volume(), volume)


def test_an_unfitted_scaler_changes_nothing():
    x = torch.randn(5, 4)
    for scaler in (FeatureScaler(4), FeatureScaler(4, rotated=True)):
        assert torch.equal(scaler.to_scaled(x), x) and torch.equal(scaler.to_raw(x), x)
        assert float(scaler.log_volume()) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_statistics_that_cannot_scale_are_refused(bad):
    good, scale = torch.zeros(3), torch.tensor([1.0, bad, 1.0])
    with pytest.raises(ValueError, match="scaler scale must be finite and positive: use the scale 1 for constant columns"):
        FeatureScaler(3).standardise_by(good, scale)
    with pytest.raises(ValueError, match="scaler spread must be finite and positive"):
        FeatureScaler(3, rotated=True).rotate_by(torch.eye(3), scale, torch.ones(3))


def test_a_mean_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="scaler mean is not finite: fit it to finite features"):
        FeatureScaler(3).standardise_by(torch.tensor([0.0, float("nan"), 0.0]), torch.ones(3))


def test_large_means_lose_no_digits(tmp_path):
    """One million plus a little: the variation has 6 bits in float32, and all of them must arrive."""
    rows = (1e6 + 3 * np.random.default_rng(0).standard_normal((4000, 4))).astype(np.float32)
    prepared = prepared_from(tmp_path, rows)
    exact = (rows.astype(np.float64) - prepared.statistics.mean) / prepared.scale
    np.testing.assert_allclose(prepared.standardised_residuals(rows), exact, atol=1e-6)
    np.testing.assert_allclose(prepared.statistics.deviation, rows.astype(np.float64).std(axis=0), rtol=0.05)
    model = AAPTVAE(4, 2, 3)
    model.scaler.standardise_by(torch.from_numpy(prepared.statistics.mean), torch.from_numpy(prepared.scale))
    # What trains, what is judged and what `encode` sees are the same numbers.
    seen = model.scaler.to_scaled(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(scale_rows(model, rows), seen, atol=1e-6)
    np.testing.assert_allclose(seen, exact, atol=0.03)


@pytest.mark.parametrize("values", [(np.nan,), (np.inf,), (-np.inf,), (np.inf, -np.inf)])
def test_bad_values_are_named_by_row_and_column(values):
    rows = features_of(50)
    for offset, value in enumerate(values):
        rows[7 + offset, 2] = value
    in_float32 = " in float32" * bool(np.isinf(values[0]))  # the table may hold a larger finite number
    assert first_bad_value(rows, 100) == f"row 107, column 2 is {values[0]}{in_float32}"


def test_the_largest_float32_values_are_not_bad():
    assert first_bad_value(np.full((300, 300), 3e38, np.float32), 0) is None


@pytest.mark.parametrize("place", [0, 4999])
def test_training_refuses_a_bad_value_and_leaves_nothing(tmp_path, place):
    rows = features_of(5000)
    rows[place, 11] = np.nan
    with pytest.raises(
        InputError,
        match=rf"features must be finite, but row {place}, column 11 is nan; missing are 1 in column 11: drop",
    ):
        train(saved(tmp_path, rows), tmp_path / "run", options())
    assert [path.name for path in tmp_path.iterdir()] == ["features.npy"]


def test_constant_and_copied_columns_give_finite_figures(tmp_path):
    rows = features_of(400)
    rows[:, 3], rows[:, 4], rows[:, 5] = 7.25, rows[:, 2], 0
    rows[0, 5] = 1
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options())
    assert np.isfinite(list(evaluation.metrics.values())).all()


def test_column_scale_is_positive_for_extreme_values():
    moments = Moments(4)
    moments.add(np.array([[0, 1e-30, 3e38, -3e38], [0, 2e-30, -3e38, -3e38]], np.float32))
    statistics = moments.statistics()
    scale = column_scale(statistics, constant_columns(statistics))
    assert (scale > 0).all() and np.isfinite(scale).all()
