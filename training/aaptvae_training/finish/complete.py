"""Complete a run: correct the best weights, fit views, prior and maps to observed values."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from aaptvae.rows import Rows

from ..config import TrainConfig
from ..features import Features, Prepared
from ..linear.baseline import Baseline, fidelity_to
from ..linear.start import reconstruct_as_pca
from ..loop import on_threads
from ..model import AAPTVAE, posterior, scale_rows
from ..progress import TrainingProgress
from ..run import (
    BEST,
    RunConfig,
    load_model,
    read_baseline,
    read_state,
    read_views,
    write_marginals,
    write_prior,
    write_state,
    write_views,
)
from .marginal_fit import maps_to_observed
from .polish import polish
from .prior_fit import Given, fit_prior
from .view_fit import fit_views

MOST_PRIOR_ROWS = 20_000
LEAST_PRIOR_ROWS = 1_000  # of tables of many columns
MOST_PRIOR_NUMBERS = 1 << 26  # of those rows


def complete(
    folder: Path,
    config: RunConfig,
    prepared: Prepared,
    features: Features,
    progress: TrainingProgress,
    correction: float | None = None,
) -> None:
    """Correct the best weights of a folder and fit the prior; repeating a step gives the same result.

    Validation rows choose the amount of the correction where it is not given.
    """
    options, model, baseline = config.options, load_model(folder, config), read_baseline(folder, config)
    progress.stage("polishing", 1)
    # Validation rows choose among priors, so none is fitted to them. In a refit they are training rows and are removed here.
    rows = np.setdiff1d(prepared.split.train, prepared.split.validation)
    count = min(MOST_PRIOR_ROWS, len(rows), max(LEAST_PRIOR_ROWS, MOST_PRIOR_NUMBERS // features.width))
    chosen = np.linspace(0, len(rows) - 1, count).astype(np.int64)
    train_rows = features.take(rows[chosen])
    _, facts = read_state(folder / BEST)
    if "polish" not in facts:
        facts["polish"] = _corrected(model, facts, (options, prepared, baseline), train_rows, correction)
        write_state(folder / BEST, model.state_dict(), facts)
    progress.advance(1)
    train, held_out = posterior(model, train_rows), posterior(model, prepared.validation)
    # Views are maps of the rows alone: of a model with conditions there are none.
    judged = None if correction is None or model.condition_dim else read_views(folder.parent, model.input_dim, model.latent_dim)
    if not model.condition_dim:
        write_views(folder, fit_views(model, options, (prepared, features, baseline), progress, judged))
    given = Given.of(train_rows, prepared.validation, features.condition_specs)
    prior = fit_prior(train, held_out, options.seed, progress, given)
    write_marginals(folder, maps_to_observed(model, prior, train_rows, options.seed))
    write_prior(folder, prior)  # last: it completes the folder


def _corrected(
    model: AAPTVAE,
    facts: dict[str, Any],
    data: tuple[TrainConfig, Prepared, Baseline],
    train: Rows,
    correction: float | None,
) -> float:
    """Correct the decoder in place with raw training rows [N, D]; the amount of the ridge correction."""
    options, prepared, baseline = data
    if not options.fidelity or options.sigma != "spectral":
        return 0.0
    if model.bounded and facts.get("epoch") == 0:
        if not prepared.capped:
            reconstruct_as_pca(model)
        return 0.0
    scaled = scale_rows(model, train), scale_rows(model, prepared.validation)
    with on_threads(1):  # sums over rows: their last bits must not depend on how many threads share them
        if correction is not None:
            return polish(model, scaled, None, amounts=(0.0, correction))
        return polish(
            model, scaled, fidelity_to(baseline.ppca(model.latent_dim), options, prepared), facts.get("gain", math.inf)
        )
