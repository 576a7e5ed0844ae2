"""Models trained in a loop of one's own: a start that does not collapse, and runs with correct figures."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae_training import AAPTVAE, Run, RunError, read_run
from aaptvae_training.report import open_report, plot_training_curves

from .conftest import features_of


def embeddings(rows: int, width: int = 32) -> np.ndarray:
    """Rows of unit length near a bent sheet of 6 dimensions: float32 [rows, width]."""
    table = features_of(rows, width, 6) - 3
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def fit(model: AAPTVAE, rows: np.ndarray, epochs: int) -> AAPTVAE:
    """The loop of the documentation."""
    table, optimizer = torch.from_numpy(rows), torch.optim.Adam(model.parameters(), lr=1e-3)
    torch.manual_seed(0)
    for _ in range(epochs):
        for x in table[torch.randperm(len(table))].split(64):
            reconstruction, mu, logvar = model(x)
            optimizer.zero_grad()
            model.loss_function(reconstruction, x, mu, logvar)["loss"].backward()
            optimizer.step()
    return model


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    table = embeddings(1_000)
    return table[:800], table[800:]


@pytest.fixture(scope="module")
def model(data) -> AAPTVAE:
    return fit(AAPTVAE.for_data(data[0], latent_dim=6, hidden_dim=32), data[0], 3)


@pytest.fixture(scope="module")
def run(model, data) -> Run:
    return Run.of(model, *data, epochs=3)


def test_the_first_try_does_not_collapse(run):
    assert run.figures["active_units"]["model"] == 6
    assert run.figures["r2"]["model"] > run.figures["r2"]["PCA"] - 0.05
    assert run.figures["log_likelihood"]["model"] > run.figures["log_likelihood"]["pPCA"]


def test_the_model_starts_at_the_linear_optimum(data):
    start = Run.of(AAPTVAE.for_data(data[0], latent_dim=6), *data, report=False)
    assert start.figures["r2"]["model"] == pytest.approx(start.figures["r2"]["PCA"], abs=0.02)


def test_a_run_holds_the_very_weights(run, model, data):
    x = torch.from_numpy(data[1])
    assert run.model is not model
    assert model.training
    assert torch.equal(run.model.encode(x)[0], copy.deepcopy(model).eval().encode(x)[0])


def test_a_run_of_ones_own_is_a_run(run, tmp_path):
    kept = read_run(run.save(tmp_path / "own"))
    assert kept.figures == run.figures
    assert (kept.summary.rows, kept.summary.epochs) == (1_000, 3)
    assert Path(kept.report()).stat().st_size > 10_000
    assert plot_training_curves(open_report(kept)) is not None


def test_baselines_are_those_of_the_models_own_coordinates(data):
    """The model of the seed does not standardise: its baselines are measured in raw features too."""
    seed = fit(AAPTVAE(32, 6, 32), data[0], 1)
    figures = Run.of(seed, *data, report=False).figures
    _, axes = np.linalg.eigh(data[0].T.astype(np.float64) @ data[0])
    rest = data[1] - data[1] @ axes[:, -6:] @ axes[:, -6:].T
    half = 1 - (rest**2).sum() / ((data[1] - data[1].mean(axis=0)) ** 2).sum()
    assert figures["r2"]["PCA"] == pytest.approx(half, abs=0.05)
    assert figures["r2"]["model"] < figures["r2"]["PCA"]


@pytest.mark.parametrize("options", [{"sigma": "learned"}, {"likelihood": "gaussian"}, {"linear_skip": False}])
def test_every_kind_of_model_becomes_a_run(options, data):
    model = fit(AAPTVAE.for_data(data[0], latent_dim=3, hidden_dim=(16, 8), dropout=0.1, **options), data[0], 1)
    found = Run.of(model, *data, report=False)
    assert found.config.options.hidden_dim == (16, 8)
    assert found.config.options.dropout == 0.1
    assert np.isfinite([value for figure in found.figures.values() for value in figure.values()]).all()


def test_probabilities_need_the_means_of_the_rows(data):
    table = (data[0] > 0).astype(np.float32)
    model = AAPTVAE.for_data(table, latent_dim=2, hidden_dim=8, likelihood="bernoulli")
    assert Run.of(model, table[:600], table[600:], report=False).figures["log_likelihood"].keys() >= {"independent columns"}
    with pytest.raises(InputError, match=r"AAPTVAE\.for_data"):
        Run.of(AAPTVAE(32, 2, 8, likelihood="bernoulli"), table[:600], table[600:])


def test_held_out_rows_must_be_given(model, data):
    with pytest.raises(InputError, match="3 held-out ones: expected 2 and 4 at least"):
        Run.of(model, data[0], data[1][:3])


def test_rows_of_another_width_are_refused(model, data):
    with pytest.raises(InputError, match="heldout have 31 columns: this model was built for 32"):
        Run.of(model, data[0], data[1][:, :31])


def test_weights_that_are_not_finite_are_refused(data):
    model = AAPTVAE(32, 2, 8)
    with torch.no_grad():
        model.mu.bias[0] = float("nan")
    with pytest.raises(RunError, match=r"mu\.bias is not finite: the training has diverged"):
        Run.of(model, *data)


def test_an_existing_folder_is_refused(model, data, tmp_path):
    with pytest.raises(InputError, match="exists"):
        Run.of(model, *data, folder=tmp_path)
