"""After training: polish the best weights, fit the prior, judge the model; and judge a finished run again."""

import math
import os
from pathlib import Path

import numpy as np

from aaptvae.errors import InputError

from ..errors import RunError
from ..evaluation.judge import Judge, Matrix, encode, kl_per_latent, observation_of, posterior, r_squared, scale_rows
from ..evaluation.warnings import warnings_of, warnings_of_training
from ..features.moments import first_bad_value
from ..features.prepare import Prepared, digest_of
from ..features.table import Features, Rows, open_features
from ..loop.trainer import BEST, MARGIN
from ..report.page import write_report
from ..run.folder import (
    EVALUATION,
    Evaluation,
    RunConfig,
    load_run,
    read_baseline,
    read_config,
    read_held_out,
    read_prior,
    write_json,
    write_prior,
)
from ..run.state import damaged, read_metrics, read_state, write_state
from ..talk import Talk
from .polish import polish
from .prior_fit import fit_prior

MOST_PRIOR_ROWS = 20_000


def finish(
    run: Path, config: RunConfig, prepared: Prepared, features: Features, talk: Talk, shape: tuple[int, int] | None
) -> None:
    """Polish the best weights, fit the prior, evaluate, and write the report; each is the same whenever it is done again."""
    model = load_run(run)
    talk.stage("finishing", 3)
    baseline = read_baseline(run)
    chosen = np.linspace(0, len(prepared.split.train) - 1, min(MOST_PRIOR_ROWS, len(prepared.split.train))).astype(np.int64)
    train_rows = features.take(prepared.split.train[chosen])
    _, facts = read_state(run / BEST)
    if "polish" not in facts:
        validation = prepared.standardise(prepared.validation).astype(np.float64)
        target = 1 - MARGIN * (1 - r_squared(validation, baseline.ppca(model.latent_dim).project(validation)))
        is_linear = config.bounded and facts.get("epoch") == 0
        wanted = config.train.fidelity and config.train.sigma == "spectral" and not is_linear
        rows = scale_rows(model, train_rows), scale_rows(model, prepared.validation)
        facts["polish"] = polish(model, *rows, target) if wanted else 0.0
        write_state(run / BEST, model.state_dict(), facts)
    talk.advance(1)
    prior = fit_prior(posterior(model, train_rows), posterior(model, prepared.validation), config.train.seed)
    write_prior(run, prior)
    talk.advance(1)
    evaluate(run, image_shape=shape)
    talk.advance(1)


def evaluate(run: Path, path: str | os.PathLike[str] | None = None, image_shape: tuple[int, int] | None = None) -> Evaluation:
    """Judge a finished run on its own held-out rows and write the figures and the report; or on another file's rows."""
    config, model, baseline = read_config(run), load_run(run), read_baseline(run)
    test, train_sample = read_held_out(run)
    if path is not None:
        test, known = other_rows(path, config)
    ppca = baseline.ppca(model.latent_dim)
    judge = Judge(model, read_prior(run), observation_of(model), ppca, baseline.spectrum, config.train.seed)
    metrics, reference = judge.metrics(test, train_sample), judge.baseline(test)
    refuse_endless(metrics, judge.standardise(test))
    log_sigma = float(model.noise_log_sigma.detach().min())
    epochs = len(read_metrics(run)) - 1
    warnings = warnings_of(metrics, reference, config.train, log_sigma)
    if path is None:
        best_epoch = read_state(run / BEST)[1].get("epoch", 0)
        if not isinstance(best_epoch, int):
            raise damaged(run / BEST, f"its epoch is {best_epoch!r}")
        warnings += warnings_of_training(metrics, model.latent_dim, (config.rows, config.input_dim), best_epoch)
    elif known:
        warnings.append(f"Most of these rows trained this run: without {path} it is judged on those that no gradient saw.")
    evaluation = Evaluation(
        rows=len(test),
        epochs=epochs,
        metrics=metrics,
        baseline=reference,
        kl_per_latent=kl_per_latent(*encode(model, test)),
        warnings=warnings,
    )
    if path is None:
        write_report(run, evaluation, judge, (test, train_sample), image_shape)
        write_json(run / EVALUATION, evaluation)
    return evaluation


def refuse_endless(figures: dict[str, float], x: Matrix) -> None:
    """`RunError` for a figure of standardised rows [N, D] that is not finite: it names the column that is farthest out."""
    if bad := [name for name, value in figures.items() if not math.isfinite(value)]:
        far = np.abs(x).max(axis=0)
        raise RunError(
            f"{bad[0]} is {figures[bad[0]]} on these rows; their largest feature is {far.max():.3g} standard deviations out, "
            f"in column {far.argmax()}: drop such rows, or clip that column"
        )


def other_rows(path: str | os.PathLike[str], config: RunConfig) -> tuple[Rows, bool]:
    """Up to `MOST_PRIOR_ROWS` rows of another feature file, and whether it is the one that the run was trained on.

    `InputError` where the width or a value is wrong.
    """
    with open_features(path) as features:
        if features.width != config.input_dim:
            raise InputError(f"{path} has {features.width} columns: this run was trained on {config.input_dim}")
        rows = features.read(0, min(features.rows, MOST_PRIOR_ROWS))
        known = features.rows == config.rows and digest_of(features) == config.data_sha256
    if len(rows) < 2:
        raise InputError(f"{path} has {len(rows)} rows: an evaluation needs at least 2")
    if bad := first_bad_value(rows, 0):
        raise InputError(f"features must be finite, but {bad} of {path}")
    return rows, known
