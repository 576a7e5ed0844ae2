"""The shipped digits with the defaults and few epochs: better than pPCA, no worse than PCA, nothing collapsed."""

import numpy as np
import pytest
import torch

from aaptvae_training import load_run, read_run
from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.evaluation.judge import active_units
from aaptvae_training.evaluation.r_squared import r_squared
from aaptvae_training.features.split import split_rows
from aaptvae_training.finish.polish import polish
from aaptvae_training.model import Fidelity, encode
from aaptvae_training.train_run import train

DIGITS = np.load(DIGITS_FILE).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "run"
    train(DIGITS_FILE, folder, TrainConfig(latent_dim=16, epochs=8, batch_size=128, refit=False), report=False)
    return read_run(folder), folder


def test_the_digits_are_all_there():
    assert DIGITS.shape == (1797, 64) and DIGITS.min() == 0 and DIGITS.max() == 16


def test_unseen_digits_are_likelier_than_under_ppca(run):
    metrics, baseline = run[0].summary.metrics, run[0].summary.baseline
    assert metrics["log_likelihood"] > baseline["ppca_log_likelihood"] + 5
    assert metrics["log_likelihood"] > baseline["gaussian_log_likelihood"]
    assert metrics["elbo"] <= metrics["log_likelihood_standard"] + 0.5


def test_reconstructions_are_as_good_as_pca(run):
    assert run[0].summary.metrics["r2"] >= run[0].summary.baseline["r2"] - 5e-4


def test_more_than_ten_latents_are_in_use(run):
    assert run[0].summary.metrics["active_units"] > 10
    mu, _ = encode(run[0].model, run[0].heldout)
    assert active_units(mu) == run[0].summary.metrics["active_units"]


def test_an_evaluation_made_again_is_the_same(run):
    before = (run[1] / "evaluation.json").read_bytes()
    evaluate(run[1], report=False)
    assert (run[1] / "evaluation.json").read_bytes() == before


def test_held_out_rows_are_the_test_rows(run):
    split = split_rows(1797, 0.1, 0.1, 0)
    np.testing.assert_array_equal(run[0].heldout, DIGITS[split.test])


def test_polishing_never_lowers_r2_of_validation_rows(run):
    split, digits = split_rows(1797, 0.1, 0.1, 0), DIGITS
    scaler = run[0].model.scaler
    rows = [scaler.to_scaled(_tensor(digits[index])).float().numpy() for index in (split.train, split.validation)]
    for damage in (0.0, 0.3):
        model = load_run(run[1])
        model.decoder_skip.weight.data *= 1 - damage
        before = _r2(model, digits[split.validation])
        amount = polish(model, rows, Fidelity(tolerated=[0.0]))
        after = _r2(model, digits[split.validation])
        assert after >= before - 1e-6
        if damage:
            assert amount > 0 and after > before + 0.01
        assert polish(model, rows, Fidelity()) == 0.0, "nothing to do"


def _tensor(rows):
    return torch.from_numpy(rows).double()


def _r2(model, rows):
    mean, scale = model.scaler.mean.numpy(), model.scaler.scale.numpy()
    mu, _ = model.encode(_tensor(rows).float())
    decoded = model.decode(mu).detach().numpy()
    return r_squared((rows - mean) / scale, (decoded - mean) / scale)


@pytest.mark.parametrize("rows", [10, 11, 57, 1797, 200_000])
def test_a_split_is_disjoint_complete_and_seeded(rows):
    first, again, other = split_rows(rows, 0.1, 0.1, 3), split_rows(rows, 0.1, 0.1, 3), split_rows(rows, 0.1, 0.1, 4)
    np.testing.assert_array_equal(np.sort(np.concatenate(first)), np.arange(rows))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first.test[:2] != other.test[:2]).any() or (first.train[:5] != other.train[:5]).any()
    assert min(map(len, first)) >= 2 and max(len(first.validation), len(first.test)) <= 5000
    assert all((np.diff(part) > 0).all() for part in first)


@pytest.mark.slow
def test_a_bernoulli_model_learns_more_than_the_means(tmp_path):
    np.save(tmp_path / "x.npy", DIGITS / 16)
    config = TrainConfig(latent_dim=8, hidden_dim=(64,), likelihood="bernoulli", epochs=30, refit=False)
    evaluation = train(tmp_path / "x.npy", tmp_path / "run", config, report=False)
    assert -29 < evaluation.baseline["independent_log_likelihood"] < -25
    assert evaluation.metrics["elbo"] > evaluation.baseline["independent_log_likelihood"] + 0.5
    assert evaluation.metrics["train_elbo"] > -26
    assert not any("Loses to independent columns" in text for text in evaluation.warnings)
