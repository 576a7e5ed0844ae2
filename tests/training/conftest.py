"""Features with a known spectrum, and one short training on them that many tests look at."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aaptvae_training import train_run
from aaptvae_training.config import TrainConfig, make_config

WIDTH, RANK = 12, 4
train = partial(train_run.train, report=False)  # drawing takes longer than these trainings; tests/training/report draws


def features_of(rows: int, width: int = WIDTH, rank: int = RANK, seed: int = 0) -> np.ndarray:
    """Rows on a bent sheet of `rank` dimensions with noise around it, away from zero: float32 [rows, width]."""
    rng = np.random.default_rng([seed, 11])
    latents = rng.standard_normal((rows, rank))
    mixed = latents @ rng.standard_normal((rank, width)) + 0.4 * np.tanh(2 * latents) @ rng.standard_normal((rank, width))
    return (3.0 + mixed + 0.3 * rng.standard_normal((rows, width))).astype(np.float32)


def conditioned(rows: int = 600) -> dict[str, np.ndarray]:
    """Columns f0, f1, ... of such rows, shifted by a category, and its column `kind`."""
    kind = np.array(["a", "b", "c"])[np.random.default_rng(3).integers(0, 3, rows)]
    shifted = features_of(rows) + 3 * (kind == "b")[:, None].astype(np.float32)
    return {f"f{index}": column for index, column in enumerate(shifted.T)} | {"kind": kind}


def options(**changes: object) -> TrainConfig:
    """A configuration that trains in a blink; arithmetic that every processor does alike."""
    quick = {
        "latent_dim": 3,
        "hidden_dim": [8],
        "epochs": 4,
        "batch_size": 32,
        "precision": "fp32",
        "device": "cpu",
        "refit": False,
    }
    return make_config(quick | changes)


def saved(folder: Path, rows: np.ndarray, name: str = "features.npy") -> Path:
    """A feature file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, rows)
    return folder / name


def metrics_of(run: Path) -> list[dict[str, float]]:
    """The lines of `metrics.jsonl`."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """600 rows of 12 features."""
    return saved(tmp_path_factory.mktemp("table"), features_of(600))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, table) -> Path:
    """A run of the default model, finished."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(table, run, options())
    return run
