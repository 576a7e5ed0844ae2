"""The loop: schedules, clipping, selection, patience, averages, and what happens when a figure is not finite."""

import numpy as np
import pytest
import torch

from aaptvae.errors import InputError
from aaptvae_training import RunError, load_run
from aaptvae_training.loop.batches import ResidentBatches
from aaptvae_training.loop.processes import World
from aaptvae_training.loop.trainer import SMALLER_RATE, Trainer, wants_bf16
from aaptvae_training.model.network import AAPTVAE
from aaptvae_training.model.objective import Objective
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.run.layout import BEST, LAST
from aaptvae_training.run.state import read_state

from ..conftest import features_of, metrics_of, options, saved, train

WORLD = World(0, 1, torch.device("cpu"))


def trainer_in(folder, *, rows=None, model=None, **changes) -> Trainer:
    torch.manual_seed(0)
    config = options(**changes)
    table = torch.from_numpy(features_of(200)) if rows is None else rows
    model = model or AAPTVAE(table.shape[1], 3, 8, sigma="learned", beta=config.beta)
    (folder / "last").mkdir()
    batches = ResidentBatches(table, config.batch_size, 0, WORLD)
    return Trainer(Objective(model, config.free_bits), batches, table[:40], config, folder, WORLD)


def test_the_rate_rises_then_falls_to_zero(tmp_path):
    trainer = trainer_in(tmp_path, epochs=10, warmup=0.1, learning_rate=2e-3)
    rates = [trainer.set_rate(step) for step in range(trainer.steps)]
    peak = int(np.argmax(rates))
    assert 0 < rates[0] < rates[peak] <= 2e-3 and abs(peak - 0.1 * trainer.steps) <= 1
    assert (np.diff(rates[peak:]) < 0).all() and rates[-1] < 1e-9


def test_clipping_comes_after_backward_and_has_an_effect(tmp_path):
    trainer = trainer_in(tmp_path, clip_norm=1e-3)
    objective, _, _ = trainer.step_loss(torch.from_numpy(features_of(32)), 1.0)
    assert trainer.step(objective)
    norm = torch.stack([p.grad.norm() for p in trainer.model.parameters()]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_weights_are_judged_by_the_unweighted_validation_elbo(tmp_path):
    """Two trainers with the same weights and different KL weights give the same figure."""
    figures = []
    for name, changes in {"plain": {}, "weighted": {"beta": 7.0, "free_bits": 2.0, "kl_warmup": 0.5}}.items():
        (tmp_path / name).mkdir()
        trainer = trainer_in(tmp_path / name, **changes)
        trainer.validate({})
        figures.append(trainer.state.history[-1])
    assert figures[0] == figures[1]
    trainer.validate({})
    assert trainer.state.history[-1] == figures[1], "the same noise every time"


def test_no_epoch_is_selected_before_full_beta(tmp_path):
    run = tmp_path / "run"
    rows = saved(tmp_path, features_of(300))
    train(rows, run, options(epochs=8, kl_warmup=0.5, linear_skip=False, sigma="learned", likelihood="gaussian"))
    best = max(metrics_of(run)[4:], key=lambda line: line["validation_elbo"])
    assert read_state(run / BEST)[1]["epoch"] == best["epoch"] >= 4


def test_the_best_epoch_has_the_highest_validation_elbo(finished):
    lines = metrics_of(finished)
    assert [line["epoch"] for line in lines] == list(range(len(lines)))
    best = max(lines, key=lambda line: line["validation_elbo"])
    assert read_state(finished / BEST)[1]["epoch"] == best["epoch"]


class Notes(TrainingProgress):
    """Remembers stages and notes."""

    def __init__(self) -> None:
        self.stages, self.notes = [], []

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_early_stopping_is_announced(tmp_path):
    run, seen = tmp_path / "run", Notes()
    config = options(epochs=40, patience=0.1, learning_rate=0.3, weight_decay=0.0)
    train(saved(tmp_path, features_of(200)), run, config, seen, report=True)
    lines = metrics_of(run)
    best = int(np.argmax([line["validation_elbo"] for line in lines]))
    assert len(lines) - 1 == best + 5 < 40, "stopped at the first epoch that is more than 4 after the best"
    assert seen.notes == [f"stopped after epoch {best + 5} of 40: the validation ELBO has not improved for 5 epochs"]
    after = ["polishing", "metric view", "similarity view", "fitting the prior"]
    assert seen.stages == ["reading", "training", *after, "evaluating", "writing the report"]


class FailsAt:
    """A gradient that is not finite at one step, every time or the first time only."""

    def __init__(self, trainer: Trainer, step: int, times: int) -> None:
        self.trainer, self.at, self.left, self.calls, self.rates = trainer, step, times, 0, []
        self.inner, trainer.step = trainer.step, self.step

    def step(self, objective):
        self.calls += 1
        self.rates.append(self.trainer.optimizer.param_groups[0]["lr"])
        if self.calls >= self.at and self.left:
            self.left -= 1
            objective = objective * float("nan")
        return self.inner(objective)


def test_one_bad_step_repeats_the_epoch_more_slowly(tmp_path):
    trainer = trainer_in(tmp_path, epochs=4, warmup=0.0)
    fails = FailsAt(trainer, step=10, times=1)
    state = trainer.run()
    assert state.done and state.rate_scale == SMALLER_RATE
    assert [line["epoch"] for line in state.history] == [0, 1, 2, 3, 4]
    # Epoch 2 (steps 8 to 14) broke at its third step and was run again from its start.
    assert fails.rates[10] == pytest.approx(SMALLER_RATE * fails.rates[7])
    assert all(torch.isfinite(p).all() for p in trainer.average.parameters())
    assert read_state(tmp_path / LAST)[1]["rate_scale"] == SMALLER_RATE


def test_recovery_does_not_depend_on_checkpoint_times(tmp_path, monkeypatch):
    weights = []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr("aaptvae_training.loop.trainer.SAVE_EVERY", seconds)
        folder = tmp_path / str(seconds)
        folder.mkdir()
        trainer = trainer_in(folder, epochs=4)
        FailsAt(trainer, step=17, times=1)
        trainer.run()
        weights.append((folder / BEST).read_bytes())
    assert weights[0] == weights[1]


def test_a_second_bad_step_is_an_error(tmp_path):
    rows = torch.from_numpy(features_of(200))
    rows[:, 7] += 1e4
    trainer = trainer_in(tmp_path, rows=rows)
    FailsAt(trainer, step=10, times=2)
    with pytest.raises(RunError) as refused:
        trainer.run()
    words = str(refused.value)
    assert words.startswith("the objective is not finite at step 7 (epoch 2), also at a tenth of the learning rate; ")
    assert words.endswith("in column 7: try a lower --learning-rate, --precision fp32, or drop that column")


def test_errors_name_a_column_and_not_an_axis(tmp_path):
    torch.manual_seed(3)
    model = AAPTVAE(12, 3, 8, sigma="spectral")
    axes = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
    model.scaler.rotate_by(axes, torch.ones(12), torch.ones(12))
    raw = torch.zeros(1, 12)
    raw[0, 5] = -100.0
    words = trainer_in(tmp_path, model=model).farthest(model.scaler.to_scaled(raw))
    assert words == "100 standard deviations out, in column 5"


def test_a_huge_learning_rate_trains_or_is_explained(tmp_path):
    try:
        evaluation = train(saved(tmp_path, features_of(200)), tmp_path / "run", options(learning_rate=1e8, clip_norm=1e9))
    except RunError as error:
        assert "try a lower --learning-rate" in str(error) or "validation ELBO is" in str(error)
    else:
        assert np.isfinite(list(evaluation.metrics.values())).all()


def test_an_extreme_validation_row_names_its_column(tmp_path):
    trainer = trainer_in(tmp_path)
    trainer.validation.rows[3, 9] = 1e30
    with pytest.raises(RunError, match=r"validation ELBO is -?(inf|nan).*in column 9: drop such rows, or clip that column"):
        trainer.run()


@pytest.mark.parametrize("rows", [10, pytest.param(11, marks=pytest.mark.slow), pytest.param(19, marks=pytest.mark.slow)])
def test_ten_rows_are_enough_to_finish(tmp_path, rows):
    evaluation = train(saved(tmp_path, features_of(rows)), tmp_path / "run", options(latent_dim=2))
    assert np.isfinite(list(evaluation.metrics.values())).all()
    assert any("few" in warning for warning in evaluation.warnings)


def test_more_latents_than_features_train(tmp_path):
    evaluation = train(saved(tmp_path, features_of(300)), tmp_path / "run", options(latent_dim=20))
    assert np.isfinite(list(evaluation.metrics.values())).all()
    assert evaluation.metrics["r2"] > 0.9


@pytest.mark.parametrize("likelihood", ["gaussian", pytest.param("student", marks=pytest.mark.slow)])
@pytest.mark.parametrize("sigma", [0.5, "learned", "optimal", "per_feature", "spectral"])
def test_every_noise_rule_trains_and_reads_back(tmp_path, table, sigma, likelihood):
    evaluation = train(table, tmp_path / "run", options(sigma=sigma, likelihood=likelihood))
    assert evaluation.metrics["r2"] > 0.3
    if sigma != 0.5:
        assert evaluation.metrics["log_likelihood"] > evaluation.baseline["ppca_log_likelihood"] - 0.5
    assert load_run(tmp_path / "run").sigma == sigma


@pytest.mark.parametrize("sigma", ["learned", "optimal", "per_feature"])
def test_noise_starts_at_the_noise_of_ppca(tmp_path, table, sigma):
    train(table, tmp_path / "run", options(sigma=sigma, likelihood="gaussian", epochs=1, learning_rate=1e-9))
    assert load_run(tmp_path / "run").noise_log_sigma.exp().max().item() < 0.75


def test_probabilities_train_under_a_bernoulli_likelihood(tmp_path):
    rows = 1 / (1 + np.exp(-features_of(300) + 3))
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options(likelihood="bernoulli", epochs=10))
    model = load_run(tmp_path / "run")
    decoded = model.decode(3 * torch.randn(50, 3))
    assert ((decoded >= 0) & (decoded <= 1)).all()
    assert "ppca_log_likelihood" not in evaluation.baseline


def test_a_bernoulli_likelihood_refuses_other_features(tmp_path):
    rows = np.full((50, 3), 0.5, np.float32)
    rows[17, 1] = 1.25
    with pytest.raises(InputError, match=r"features go from 0.5 to 1.25: a bernoulli likelihood expects them in \[0, 1\]"):
        train(saved(tmp_path, rows), tmp_path / "run", options(likelihood="bernoulli"))
    assert not (tmp_path / "run").exists()


def test_bf16_trains_where_the_processor_has_it(tmp_path, table):
    if not wants_bf16("auto", WORLD.device):
        pytest.skip("this processor multiplies no bf16")
    figures = [train(table, tmp_path / p, options(precision=p, epochs=6)).metrics for p in ("fp32", "bf16")]
    assert figures[1]["log_likelihood"] == pytest.approx(figures[0]["log_likelihood"], abs=0.3)
    assert all(p.dtype == torch.float32 for p in load_run(tmp_path / "bf16").parameters())


def test_existing_folders_are_never_overwritten(tmp_path, table):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("irreplaceable")
    (tmp_path / "file").write_text("also mine")
    for name in ("mine", "file"):
        with pytest.raises(InputError, match="exists: add --force"):
            train(table, tmp_path / name, options())
        with pytest.raises(InputError, match="holds something that is not a run: name another folder"):
            train(table, tmp_path / name, options(), force=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "irreplaceable"
    with pytest.raises(InputError, match=r"cannot be written: .* is not a folder, make it first"):
        train(table, tmp_path / "missing" / "run", options())


def test_force_replaces_a_run(tmp_path, table):
    run = tmp_path / "run"
    run.mkdir()
    train(table, run, options(epochs=1))
    with pytest.raises(InputError, match="exists: add --force"):
        train(table, run, options(epochs=2))
    assert train(table, run, options(epochs=2), force=True).epochs == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
