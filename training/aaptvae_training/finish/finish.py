"""After training: correct the best weights, fit the prior, evaluate, write the report."""

from pathlib import Path

import numpy as np

from ..evaluate_run import evaluate
from ..evaluation.judge import r_squared
from ..features import Features, Prepared
from ..loop import on_threads
from ..model import MARGIN, posterior, scale_rows
from ..progress import TrainingProgress
from ..run import BEST, RunConfig, load_run, read_baseline, read_state, write_prior, write_state, write_views
from .polish import polish
from .prior_fit import fit_prior
from .view_fit import fit_views

MOST_PRIOR_ROWS = 20_000


def finish(
    run: Path,
    config: RunConfig,
    prepared: Prepared,
    features: Features,
    progress: TrainingProgress,
    image_shape: tuple[int, int] | None,
) -> None:
    """Correct the best weights, fit the prior, evaluate, and write the report; repeating a step gives the same result."""
    complete(run, config, prepared, features, progress)
    write_views(run, fit_views(load_run(run), config.train, (prepared, features, read_baseline(run)), progress))
    evaluate(run, image_shape=image_shape, progress=progress)


def complete(run: Path, config: RunConfig, prepared: Prepared, features: Features, progress: TrainingProgress) -> None:
    """Correct the best weights and fit the prior."""
    model = load_run(run)
    progress.stage("polishing", 1)
    baseline = read_baseline(run)
    chosen = np.linspace(0, len(prepared.split.train) - 1, min(MOST_PRIOR_ROWS, len(prepared.split.train))).astype(np.int64)
    train_rows = features.take(prepared.split.train[chosen])
    _, facts = read_state(run / BEST)
    if "polish" not in facts:
        validation = prepared.standardise(prepared.validation).astype(np.float64)
        target = 1 - MARGIN * (1 - r_squared(validation, baseline.ppca(model.latent_dim).project(validation)))
        wanted = config.train.fidelity and config.train.sigma == "spectral"
        rows = scale_rows(model, train_rows), scale_rows(model, prepared.validation)
        with on_threads(1):  # sums over rows: their last bits must not depend on how many threads share them
            facts["polish"] = polish(model, *rows, target) if wanted else 0.0
        write_state(run / BEST, model.state_dict(), facts)
    progress.advance(1)
    train, held_out = posterior(model, train_rows), posterior(model, prepared.validation)
    write_prior(run, fit_prior(train, held_out, config.train.seed, progress))
