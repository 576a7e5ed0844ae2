"""Figures beside their baselines: both priors, means and medians, both units, and the columns that lose most."""

import msgspec
import numpy as np
import pytest

from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.evaluation.r_squared import r_squared, raw_r_squared
from aaptvae_training.evaluation.words import warnings_of_columns
from aaptvae_training.linear.baseline import ColumnR2
from aaptvae_training.run import read_config, read_evaluation, read_held_out

from ..conftest import features_of, options, saved, train


def test_both_priors_are_named_standard_first(finished) -> None:
    """`VAE.log_likelihood` takes N(0, I) where no prior is named, and so does the figure without a prior's name."""
    metrics = read_evaluation(finished).metrics
    assert metrics["log_likelihood"] == metrics["log_likelihood_standard"]
    assert np.isfinite([metrics["log_likelihood_median"], metrics["log_likelihood_fitted"]]).all()
    baseline = read_evaluation(finished).baseline
    assert np.isfinite([baseline["ppca_log_likelihood_median"], baseline["gaussian_log_likelihood_median"]]).all()


def test_one_wild_row_moves_the_mean_alone(finished, tmp_path) -> None:
    rows = features_of(200, seed=3)
    usual = evaluate(finished, saved(tmp_path, rows)).baseline
    rows[0] *= 1000
    wild = evaluate(finished, saved(tmp_path, rows)).baseline
    assert wild["ppca_log_likelihood"] < usual["ppca_log_likelihood"] - 1000
    assert wild["ppca_log_likelihood_median"] == pytest.approx(usual["ppca_log_likelihood_median"], abs=0.2)


def test_pca_has_as_many_components_as_latents(tmp_path) -> None:
    """Two latents of two columns: PCA loses nothing, and the figure beside the model says so."""
    rows = features_of(200, width=2, rank=1)
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options(latent_dim=2))
    assert evaluation.baseline["r2"] == pytest.approx(1.0, abs=1e-9)
    assert evaluation.baseline["r2_raw"] == pytest.approx(1.0, abs=1e-9)


def test_raw_r2_weighs_columns_by_their_own_units(tmp_path) -> None:
    rows = features_of(300)
    rows[:, 5] *= 1000
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options())
    wide = next((c for c in evaluation.worst_columns if c.column == 5), None)
    column = [evaluation.metrics["r2_raw"], evaluation.baseline["r2_raw"]]
    assert evaluation.metrics["r2"] != pytest.approx(column[0], abs=1e-4)
    if wide is not None:
        assert [wide.r2, wide.pca_r2] == pytest.approx(column, abs=0.01)


def test_worst_columns_lose_most_against_pca_first(finished) -> None:
    worst = read_evaluation(finished).worst_columns
    losses = [found.pca_r2 - found.r2 for found in worst]
    assert losses == sorted(losses, reverse=True) and all(loss > 0 for loss in losses)


def test_a_loss_in_raw_units_names_the_columns() -> None:
    (text,) = warnings_of_columns({"r2_raw": 0.3}, {"r2_raw": 0.996}, [ColumnR2(4, 0.2, 0.99)])
    assert "0.3000 against 0.9960" in text and "4 (0.2000, PCA 0.9900)" in text
    assert warnings_of_columns({"r2_raw": 0.995}, {"r2_raw": 0.996}, []) == []


def test_evaluations_of_before_are_read(finished) -> None:
    """`worst_columns` was not there yet."""
    before = msgspec.json.decode((finished / "evaluation.json").read_bytes())
    del before["worst_columns"]
    (finished / "evaluation.json").write_bytes(msgspec.json.encode(before))
    assert read_evaluation(finished).worst_columns == []
    evaluate(finished)


def test_rows_unlike_the_training_rows_are_warned_of(finished, table, tmp_path) -> None:
    rows = np.load(table)[:400]
    like = evaluate(finished, saved(tmp_path / "like", rows)).warnings
    unlike = evaluate(finished, saved(tmp_path / "unlike", rows + 3 * rows.std(axis=0))).warnings
    assert not [text for text in like if "unlike" in text]
    assert [text for text in unlike if "unlike the training rows" in text]


def test_held_out_rows_calibrate_the_p_values(finished) -> None:
    reference = read_evaluation(finished).heldout_elbo
    assert len(reference) == len(read_held_out(finished, read_config(finished)).test)
    assert reference == sorted(reference)


def test_r2_does_not_depend_on_the_units() -> None:
    """A floor of 1e-9 under the total made columns of 1e-6 look perfect; equal rows had an R2 of minus a billion."""
    x = np.random.default_rng(0).standard_normal((50, 3))
    worse = x + 0.5 * np.random.default_rng(1).standard_normal((50, 3))
    assert raw_r_squared(1e-6 * x, 1e-6 * worse) == pytest.approx(raw_r_squared(x, worse))
    assert r_squared(0 * x, 0 * x) == 1 and r_squared(0 * x, x) == 0


def test_a_large_constant_column_leaves_r2_to_the_others() -> None:
    x = np.random.default_rng(0).standard_normal((50, 3))
    x[:, 0] = 1e12
    restored = x * [1, 0.5, 0.5]
    assert raw_r_squared(x, restored) == pytest.approx(raw_r_squared(x[:, 1:], restored[:, 1:]))
