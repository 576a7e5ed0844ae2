"""After judging, the model is fitted again to all rows: other weights to use, the figures of the judged model."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aaptvae_training import load_run, read_run, train_run
from aaptvae_training.evaluate_run import evaluate
from aaptvae_training.loop import Refit, World
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.model import AAPTVAE, Objective, scale_rows
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.run import load_model, read_config, read_evaluation
from aaptvae_training.run.layout import BEST, EVALUATION, PRIOR, REFIT
from aaptvae_training.run.state import read_state
from aaptvae_training.train_run import begun_with

from .conftest import features_of, metrics_of, options, saved, train

# Without a linear start the best epoch is not the first, in every version of the selection.
OPTIONS = options(refit=True, epochs=8, linear_skip=False)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """200 rows of 12 features."""
    return saved(tmp_path_factory.mktemp("table"), features_of(200))


@pytest.fixture(scope="module")
def refitted(tmp_path_factory, table) -> Path:
    run = tmp_path_factory.mktemp("refit") / "run"
    train(table, run, OPTIONS)
    return run


def judged(table: Path, folder: Path) -> Path:
    train(table, folder, options(refit=False, epochs=8, linear_skip=False))
    return folder


def test_a_refit_leaves_figures_and_judged_weights(refitted, table, tmp_path) -> None:
    plain = judged(table, tmp_path / "plain")
    assert (refitted / BEST).read_bytes() == (plain / BEST).read_bytes()
    with_refit, without = read_evaluation(refitted), read_evaluation(plain)
    assert (with_refit.metrics, with_refit.baseline) == (without.metrics, without.baseline)
    assert with_refit.refit and not without.refit and not (plain / REFIT).exists()


def test_the_model_to_use_knows_every_row(refitted) -> None:
    """Its scaler has the mean of the whole table; the judged one that of the training rows."""
    whole = features_of(200).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(load_run(refitted).scaler.mean.numpy(), whole, rtol=1e-6)
    assert np.abs(load_model(refitted, read_config(refitted)).scaler.mean.numpy() - whole).max() > 1e-4
    assert read_run(refitted).summary.refit
    for a, b in zip(read_run(refitted).model.parameters(), load_run(refitted).parameters(), strict=True):
        assert (a == b).all()


def test_it_trains_as_many_epochs_as_were_best(refitted) -> None:
    epochs = read_state(refitted / BEST)[1]["epoch"]
    assert metrics_of(refitted / REFIT)[-1]["epoch"] == epochs == read_state(refitted / REFIT / BEST)[1]["epoch"]


@pytest.mark.slow
def test_more_rows_make_a_better_model(tmp_path) -> None:
    """Sixty rows, a fifth of them held out: new rows are likelier under the model of all."""
    table, new = saved(tmp_path, features_of(60)), saved(tmp_path, features_of(2000, seed=5)[:500], "new.npy")
    with_refit, without = (
        (train(table, tmp_path / str(refit), options(refit=refit, epochs=2)), evaluate(tmp_path / str(refit), new))[1]
        for refit in (True, False)
    )
    nats = [np.log(read_judged_scale(tmp_path / str(refit))).sum() for refit in (True, False)]
    gain = with_refit.metrics["log_likelihood"] - nats[0] - (without.metrics["log_likelihood"] - nats[1])
    assert gain > 0


def read_judged_scale(run: Path) -> np.ndarray:
    return load_run(run).scaler.scale.double().numpy()


def test_an_evaluation_made_again_judges_the_judged_model(refitted) -> None:
    before = (refitted / EVALUATION).read_bytes()
    evaluate(refitted, report=False)
    assert (refitted / EVALUATION).read_bytes() == before


def test_a_refit_that_diverges_keeps_its_start(tmp_path) -> None:
    """No rows are left to choose its weights, but it must not be worse on its own rows than the linear start."""
    rows = features_of(200)
    model, config = AAPTVAE.for_data(rows, latent_dim=3, hidden_dim=[8]), options(epochs=3, learning_rate=1.0)
    scaled, world = torch.from_numpy(scale_rows(model, rows)), World(0, 1, torch.device("cpu"))
    (tmp_path / "last").mkdir()
    refit = Refit(Objective(model), ResidentBatches(scaled, 32, 0, world), scaled[:40], config, tmp_path, world, until=3)
    history = refit.run().history
    assert history[-1]["validation_elbo"] < history[0]["validation_elbo"] - 1
    model.load_state_dict(refit.best)
    assert refit.validation.bounds(model.eval()).sum(dim=0).mean() <= -history[0]["validation_elbo"] + 0.1


class StoppedError(Exception):
    """The training was cut short."""


class Stopping(TrainingProgress):
    """Stops the training after some units of a stage, as an exception of a caller's own progress does."""

    def __init__(self, stage: str, times: int, units: int) -> None:
        self.wanted, self.times, self.units, self.counting = stage, times, units, False

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.times -= name == self.wanted
        self.counting = name == self.wanted and self.times == 0

    def advance(self, units: int) -> None:
        self.units -= units if self.counting else 0
        if self.units <= 0:
            raise StoppedError


# The second "polishing" is that of the refit.
@pytest.mark.parametrize(
    ("stage", "times", "units"),
    [
        ("refitting", 1, 30),
        pytest.param("refitting", 1, 1, marks=pytest.mark.slow),
        pytest.param("polishing", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_refit_resumes_to_the_same_bits(stage, times, units, refitted, table, tmp_path) -> None:
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(table, run, OPTIONS, Stopping(stage, times, units))
    assert not (run / EVALUATION).exists() and not (run / REFIT / PRIOR).exists()
    config = begun_with(run)
    assert config is not None
    train(table, run, config, resume=True)
    for name in (BEST, PRIOR):
        assert (run / REFIT / name).read_bytes() == (refitted / REFIT / name).read_bytes()
    assert (run / EVALUATION).read_bytes() == (refitted / EVALUATION).read_bytes()


@pytest.mark.parametrize(("rows", "refit", "expected"), [(60, None, True), (60, False, False), (90, None, False)])
def test_small_tables_are_refitted_by_default(rows, refit, expected, tmp_path, monkeypatch) -> None:
    assert train_run.MOST_REFITTED == 20_000
    monkeypatch.setattr(train_run, "MOST_REFITTED", 90)
    table = saved(tmp_path, np.random.default_rng(0).standard_normal((rows, 2), dtype=np.float32))
    train(table, tmp_path / "run", options(refit=refit, epochs=1, latent_dim=1))
    assert read_config(tmp_path / "run").refit == expected == read_evaluation(tmp_path / "run").refit


def test_a_run_of_before_is_not_refitted(tmp_path) -> None:
    old = Path(__file__).parents[1] / "fixtures" / "schema1"
    run = Path(shutil.copytree(old / "interrupted", tmp_path / "run"))
    config = begun_with(run)
    assert config is not None
    train(old / "features.npy", run, config, resume=True)
    assert not read_config(run).refit and not (run / REFIT).exists()
