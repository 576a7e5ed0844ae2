"""Selection of weights: figures that no single row decides, differences beyond chance, few passes."""

import numpy as np
import pytest
import torch

from aaptvae_training.loop.processes import World
from aaptvae_training.loop.trainer import LEAST_FIDELITY, MOST_FIDELITY
from aaptvae_training.loop.validation import Gain, LinearStart, Validation
from aaptvae_training.model import AAPTVAE, Fidelity
from aaptvae_training.run.folder import load_run
from aaptvae_training.run.layout import BEST
from aaptvae_training.run.state import read_state

from ..conftest import options, saved, train
from .test_trainer import trainer_in

WORLD = World(0, 1, torch.device("cpu"))


def gain_of(*differences: torch.Tensor) -> Gain:
    return Gain.of(torch.cat(differences), WORLD)


def test_one_row_cannot_hide_a_general_loss():
    gain = gain_of(torch.full((99,), -0.2), torch.tensor([1e5]))
    assert gain.mean > 0 and gain.score < 0 and not gain.beyond_chance


def test_a_general_gain_cannot_hide_one_loss():
    gain = gain_of(torch.full((99,), 0.2), torch.tensor([-1e5]))
    assert gain.score < 0 and not gain.beyond_chance


def test_a_gain_within_its_error_is_chance():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(16, generator=generator)
    assert not gain_of(noise - noise.mean() + 0.1).beyond_chance
    assert gain_of(noise - noise.mean() + 1.0).beyond_chance


def test_three_rows_that_agree_are_not_enough():
    """Five standard errors of three rows: the largest of a hundred epochs reaches that by chance."""
    assert not gain_of(torch.tensor([0.10, 0.15, 0.20])).beyond_chance
    assert gain_of(torch.tensor([0.10, 0.15, 0.20]).repeat(10)).beyond_chance


def test_a_mean_of_uncertain_errors_is_not_close():
    """Reconstructions of one row are much better than by PCA, those of all others slightly worse."""
    model = AAPTVAE(6, 3, 8, bounded=True, linear_skip=True)
    validation = Validation(torch.randn(20, 6), 0, WORLD)
    pca = torch.ones(1, 20)
    worse = pca + 0.05
    worse[0, 3] = 0.0
    goal = Fidelity((1.0,), (1.0,))
    assert float(worse.mean()) < 1 and validation.as_close_as_pca(worse, pca, model.scaler, goal) == [False]
    assert validation.as_close_as_pca(pca, pca, model.scaler, goal) == [True]
    assert validation.as_close_as_pca(pca - 0.05, pca, model.scaler, goal) == [True]


def test_errors_low_by_chance_keep_their_weight(tmp_path):
    """Their weight fell to zero, and later epochs of heavy-tailed rows were refused because R2 was not shown to be PCA's."""
    trainer = trainer_in(tmp_path, model=AAPTVAE(12, 3, 8, bounded=True, linear_skip=True))
    squares = trainer.validation.squared_errors(trainer.average, Fidelity())
    for spread, weight in ((1.0, LEAST_FIDELITY), (0.0, LEAST_FIDELITY / 2)):
        pca = squares + spread * torch.linspace(-1, 1, squares.shape[1]) * squares.mean()
        trainer.linear = LinearStart(trainer.linear.losses, pca)
        trainer.plain.goal = Fidelity((1.0,), (1.01 * float(squares.mean()),))
        trainer.validate({})
        assert trainer.state.fidelity == weight


@pytest.mark.parametrize("rows", [2, 67, 300])
def test_validation_takes_few_passes(rows):
    model, passes = AAPTVAE(6, 3, 8, sigma="learned").eval(), []
    model.decoder.register_forward_hook(lambda *_: passes.append(1))
    next(iter(model.decoder)).register_forward_hook(lambda *_: passes.append(1))
    validation = Validation(torch.randn(rows, 6), 0, WORLD)
    bounds = validation.bounds(model)
    assert bounds.shape == (2, rows) and len(passes) <= 4
    assert (validation.bounds(model) == bounds).all(), "the same noise every time"


def test_the_weight_of_squared_error_stays_finite(tmp_path):
    """It doubled with every epoch that reconstructed worse than PCA: gradients overflowed after 70 of them."""
    trainer = trainer_in(tmp_path)
    trainer.plain.goal = Fidelity((1.0, 1.0), (0.0, 0.0), torch.ones(12, dtype=torch.float64))
    for _ in range(200):
        trainer.adjust_fidelity([False, False])
    assert trainer.state.fidelity == trainer.state.own_fidelity == MOST_FIDELITY
    trainer.plain.fidelity = trainer.state.fidelity, trainer.state.own_fidelity
    trainer.plain(trainer.validation.rows, 1.0)[0].backward()
    assert all(torch.isfinite(p.grad.square().sum()) for p in trainer.model.parameters() if p.grad is not None)


def test_structureless_rows_keep_the_linear_model(tmp_path):
    rows = np.random.default_rng(0).standard_normal((60, 8), dtype=np.float32)
    evaluation = train(saved(tmp_path, rows), tmp_path / "run", options(epochs=10))
    model = load_run(tmp_path / "run")
    assert read_state(tmp_path / "run" / BEST)[1]["epoch"] == 0
    assert not model.mu.weight.any() and not list(model.decoder)[-1].weight.any()
    assert any(warning.startswith("The model is linear") for warning in evaluation.warnings)
    for figure in ("r2", "r2_raw"):  # noise along kept axes shrank reconstructions by up to three percent
        assert evaluation.metrics[figure] == pytest.approx(evaluation.baseline[figure], abs=1e-5)
