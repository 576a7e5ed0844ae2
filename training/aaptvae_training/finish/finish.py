"""After training: polish the best weights, fit the prior, judge the model."""

from pathlib import Path

import numpy as np

from ..evaluate_run import evaluate
from ..evaluation.judge import r_squared
from ..features.prepare import Prepared
from ..features.table import Features
from ..model.as_numpy import posterior, scale_rows
from ..model.objective import MARGIN
from ..run.folder import RunConfig, load_run, read_baseline, write_prior
from ..run.layout import BEST
from ..run.state import read_state, write_state
from ..run.views import write_views
from ..talk import Talk
from .polish import polish
from .prior_fit import fit_prior
from .view_fit import fit_views

MOST_PRIOR_ROWS = 20_000


def finish(
    run: Path, config: RunConfig, prepared: Prepared, features: Features, talk: Talk, shape: tuple[int, int] | None
) -> None:
    """Polish the best weights, fit the prior, evaluate, and write the report; each is the same whenever it is done again."""
    model = load_run(run)
    talk.stage("finishing", 2)
    baseline = read_baseline(run)
    chosen = np.linspace(0, len(prepared.split.train) - 1, min(MOST_PRIOR_ROWS, len(prepared.split.train))).astype(np.int64)
    train_rows = features.take(prepared.split.train[chosen])
    _, facts = read_state(run / BEST)
    if "polish" not in facts:
        validation = prepared.standardise(prepared.validation).astype(np.float64)
        target = 1 - MARGIN * (1 - r_squared(validation, baseline.ppca(model.latent_dim).project(validation)))
        wanted = config.train.fidelity and config.train.sigma == "spectral"
        rows = scale_rows(model, train_rows), scale_rows(model, prepared.validation)
        facts["polish"] = polish(model, *rows, target) if wanted else 0.0
        write_state(run / BEST, model.state_dict(), facts)
    talk.advance(1)
    prior = fit_prior(posterior(model, train_rows), posterior(model, prepared.validation), config.train.seed)
    write_prior(run, prior)
    write_views(run, fit_views(model, config.train, (prepared, features, baseline), talk))
    talk.stage("judging", 1)
    evaluate(run, image_shape=shape)
    talk.advance(1)
