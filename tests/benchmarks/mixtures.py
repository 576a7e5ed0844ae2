"""The trained model beside Gaussian mixtures with full covariances that scikit-learn fits to the same rows, over seeds.

Mixtures get what helps them: the ridge of each is the one that the validation rows like best.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lines import Line

from aaptvae_training.config import TrainConfig
from aaptvae_training.digits import DIGITS_FILE
from aaptvae_training.evaluation.judge import IMPORTANCE_ROWS
from aaptvae_training.features import open_features
from aaptvae_training.features.split import split_rows
from aaptvae_training.run import read_baseline, read_config, read_held_out
from aaptvae_training.train_run import train

Rows = np.ndarray[tuple[int, int], np.dtype[np.float64]]

SEEDS = (0, 1, 2)
COMPONENTS = (2, 8)
RIDGES = (1e-6, 1e-2, 1e-1)


def lines(features: Path = DIGITS_FILE, latents: int = 16) -> Iterator[Line]:
    """Held-out log-likelihood of ours against each mixture; each seed has a split of its own."""
    gains: dict[str, list[float]] = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            config, run = TrainConfig(latent_dim=latents, seed=seed), Path(folder, "run")
            evaluation = train(features, run, config)
            fitting, validation = _standardised(features, run, config)
            baseline = read_baseline(run, config := read_config(run))
            scale, mean = baseline.scale, baseline.mean
            judged = (read_held_out(run, config).test[:IMPORTANCE_ROWS] - mean) / scale
        ours = evaluation.metrics["log_likelihood"]
        for name in ("ppca", "gaussian"):
            gains.setdefault(name, []).append(ours - evaluation.baseline[f"{name}_log_likelihood"])
        gains.setdefault("R2 above PCA", []).append(evaluation.metrics["r2"] - evaluation.baseline["r2"])
        for components in COMPONENTS:
            other = _mixture(fitting, validation, judged, components, seed)
            gains.setdefault(f"mixture of {components}", []).append(ours - other)
            yield Line(
                f"{features.stem}, {latents} latents, seed {seed}: against a mixture of {components}",
                f"{ours:.2f} nats",
                f"{other:.2f} nats",
                wanted=f"above ({ours - other:+.2f} nats)",
            )
    for name, values in gains.items():
        spread = ", ".join(f"{value:+.4g}" for value in values)
        yield Line(f"{features.stem}, {latents} latents, seeds {SEEDS}: ours minus {name}", spread, "", wanted="above 0")


def _standardised(features: Path, run: Path, config: TrainConfig) -> tuple[Rows, Rows]:
    """The rows that the run was fitted to, and those that selected among its states."""
    with open_features(features) as source:
        rows = source.read(0, source.rows).astype(np.float64)
    split = split_rows(len(rows), config.validation_share, config.test_share, config.seed)
    baseline = read_baseline(run, read_config(run))
    fitting, validation = ((rows[index] - baseline.mean) / baseline.scale for index in (split.train, split.validation))
    return fitting, validation


def _mixture(fitting: Rows, validation: Rows, judged: Rows, components: int, seed: int) -> float:
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415 - not everybody has it

    fits = [GaussianMixture(components, reg_covar=ridge, random_state=seed).fit(fitting) for ridge in RIDGES]
    return float(max(fits, key=lambda fit: fit.score(validation)).score(judged))
