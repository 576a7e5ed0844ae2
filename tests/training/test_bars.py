"""Bars of tqdm follow a training; without tqdm, `progress=True` says what to install."""

import sys

import pytest

from aaptvae.errors import MissingDependencyError
from aaptvae_training.bars import Bars, bars_of
from aaptvae_training.progress import TrainingProgress
from aaptvae_training.train_table import train

from .conftest import features_of

QUICK = {"latent_dim": 2, "hidden_dim": 4, "epochs": 2, "batch_size": 32, "precision": "fp32", "device": "cpu", "refit": False}
QUICK |= {"report": False}


def test_bars_show_stages_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    bars = Bars()
    bars.stage("training", 10, 4)
    bars.advance(3)
    bars.epoch({"validation_elbo": -1.234})
    bars.note("a note")
    bars.close()
    shown = capsys.readouterr()
    assert shown.out == "" and "training" in shown.err and "a note\n" in shown.err
    assert "validation ELBO -1.23" in shown.err and "7/10" in shown.err


def test_training_shows_bars_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    train(features_of(100, 4), progress=True, **QUICK)
    assert all(stage in capsys.readouterr().err for stage in ("reading",))


def test_nothing_is_shown_outside_notebooks(capsys: pytest.CaptureFixture[str]) -> None:
    own = TrainingProgress()
    assert bars_of(own) is own
    assert type(bars_of(None)) is type(bars_of(False)) is TrainingProgress
    train(features_of(100, 4), **QUICK)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(MissingDependencyError, match=r"progress=True needs tqdm.*pip install tqdm"):
        train(features_of(100, 4), progress=True, **QUICK)
