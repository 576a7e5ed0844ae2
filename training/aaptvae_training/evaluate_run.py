"""Evaluate a finished run on its held-out rows, or on the rows of another file."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aaptvae.density.calibration import MOST_VALUES, p_values, reference_of
from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae.files.opening import READ_ALL
from aaptvae.rows import Matrix, Nats, Rows
from aaptvae.tables import UNNAMED, filled

from .errors import RunError
from .evaluation.categories import figures_by_category
from .evaluation.judge import Judge, kl_per_latent
from .evaluation.search_quality import recall_figures
from .evaluation.words import (
    warnings_of,
    warnings_of_columns,
    warnings_of_copies,
    warnings_of_missing,
    warnings_of_training,
    warnings_of_unlike_rows,
)
from .evaluation.worst_rows import worst_rows
from .features import Index, TableConditions, digest_of, first_bad_value, open_features
from .memory import needs_of_evaluation, refuse_shortage
from .model import encode
from .progress import TrainingProgress
from .report.judged import OpenedRun, judged_run, open_run
from .run import (
    BEST,
    EVALUATION,
    Evaluation,
    RowId,
    RunConfig,
    damaged,
    final_folder,
    read_evaluation,
    read_metrics,
    read_state,
    read_views,
    write_json,
)

MOST_OTHER_ROWS = 20_000  # of a feature file that is not the run's own


def evaluate(
    run: str | os.PathLike[str],
    source: Any = None,
    image_shape: tuple[int, int] | None = None,
    progress: TrainingProgress | None = None,
    reading: Reading = READ_ALL,
    *,
    report: bool = True,
) -> Evaluation:
    """Evaluate a finished run on its held-out rows and write the figures and the report; or only evaluate it on other rows.

    Other rows are those of `source`, a table in memory or the path of a feature file; their named columns are matched by name.
    `report=False` writes the figures alone: drawing takes a second or two, longer than a small training.
    `RunError` for a run that is damaged or not finished, `InputError` for other rows that do not fit it.
    """
    run, progress = Path(run), progress or TrainingProgress()
    # A refitted model has seen the held-out rows: the run is judged by the model before.
    opened = open_run(run, final=source is not None)
    evaluation = _evaluated(opened, source, progress, reading)
    if source is None and report:
        from .report.page import write_report  # noqa: PLC0415 - matplotlib, only where a page is drawn

        progress.stage("writing the report", 1)
        write_report(run, judged_run(opened, evaluation, image_shape))
        progress.advance(1)
    if source is None:
        write_json(run / EVALUATION, evaluation)
    return evaluation


def _evaluated(opened: OpenedRun, source: Any, progress: TrainingProgress, reading: Reading) -> Evaluation:
    """The figures of a run on its held-out rows or on those of `source`."""
    run, _, config, _, judge, held_out = opened
    other = None if source is None else _other_rows(source, config, reading, judge, len(held_out.sample))
    judged = held_out if other is None else other
    test = judged.test
    progress.stage("evaluating", 1)
    metrics, reference = _figures(opened, test)
    progress.advance(1)
    _refuse_not_finite(metrics, judge.standardise(test), config.columns)
    worst = judge.worst_columns(test)
    warnings = warnings_of(metrics, reference, config.options, float(judge.model.noise_log_sigma.detach().min()))
    warnings += warnings_of_columns(metrics, reference, worst, config.columns)
    if other is None:
        warnings += _warnings_of_run(run, config, metrics, judge.linear_gap(test, held_out.sample))
    else:
        warnings += warnings_of_missing(config.options.missing, other.missing)
        warnings += warnings_of_unlike_rows(_p_values(run, judge, test))
        if other.known:
            shown = source if isinstance(source, str | os.PathLike) else "them"
            warnings.append(f"This run was trained on most of these rows: leave out {shown} to evaluate it on others.")
    return Evaluation(
        rows=len(test),
        epochs=int(read_metrics(run)[-1]["epoch"]),
        metrics=metrics,
        baseline=reference,
        kl_per_latent=kl_per_latent(*encode(judge.model, test)),
        warnings=warnings,
        worst_columns=worst,
        heldout_elbo=_reference(judge, test) if other is None else [],
        refit=final_folder(run) != run,
        by_category=figures_by_category(judge, test, config.conditions),
        worst_rows=worst_rows(judge, test, judged.table_positions, judged.ids),
    )


def _figures(opened: OpenedRun, test: Rows) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of the model and of the baselines, by name."""
    judge, train, model = opened.judge, opened.held_out.sample, opened.judge.model
    if model.condition_dim:
        return judge.metrics(test, train), judge.baseline(test)
    views = read_views(opened.folder, model.input_dim, model.latent_dim)
    metrics, reference = recall_figures(model, views, opened.baseline, test, train, judge.seed)
    return judge.metrics(test, train) | metrics, judge.baseline(test) | reference


def _p_values(run: Path, judge: Judge, rows: Rows) -> Nats:
    """Share of the run's held-out rows with an ELBO as low as each of these rows, or lower; NaN for older runs."""
    reference = read_evaluation(run).heldout_elbo
    return p_values(judge.elbo_of_rows(rows), np.array(reference) if reference else None)


def _reference(judge: Judge, test: Rows) -> list[float]:
    """ELBO of held-out rows, ascending: what `VAE.score` takes p-values against."""
    chosen = test[np.linspace(0, len(test) - 1, min(len(test), MOST_VALUES)).astype(np.int64)]
    reference: list[float] = reference_of(judge.elbo_of_rows(chosen)).tolist()
    return reference


def _warnings_of_run(run: Path, config: RunConfig, metrics: dict[str, float], linear_gap: float) -> list[str]:
    """Warnings about the training and the table, where a run is judged on its own held-out rows."""
    table = [f"{text[:1].upper()}{text[1:]}." for text in config.warnings]
    table += warnings_of_copies(config.rows, config.copies or 0, config.held_out_copies)
    table += warnings_of_missing(config.options.missing, config.missing)
    shape = config.rows, config.input_dim
    return table + warnings_of_training(metrics, config.options.latent_dim, shape, _best_epoch(run), linear_gap)


def _best_epoch(run: Path) -> int:
    """The epoch of the best weights; 0 is the start."""
    epoch = read_state(run / BEST)[1].get("epoch", 0)
    if not isinstance(epoch, int):
        raise damaged(run / BEST, f"its epoch is {epoch!r}")
    return epoch


def _refuse_not_finite(figures: dict[str, float], x: Matrix, names: Sequence[str] | None) -> None:
    """`RunError` for a figure that is not finite; it names the column with the largest value of standardised rows [N, D]."""
    if bad := [name for name, value in figures.items() if not math.isfinite(value)]:
        far = np.abs(x).max(axis=0)
        raise RunError(
            f"{bad[0]} is {figures[bad[0]]} on these rows; their largest feature is {far.max():.3g} standard deviations out, "
            f"in column {names[far.argmax()] if names else far.argmax()}: drop such rows, or clip that column"
        )


class OtherRows(NamedTuple):
    """Rows that a run is evaluated on, with their ids if there are some; `known` if they are those it was trained on.

    `missing` counts values or rows; `table_positions` are those in their table, None where no row was left out.
    """

    test: Rows
    known: bool
    missing: int
    ids: list[RowId] | None
    table_positions: Index | None


def _other_rows(source: Any, config: RunConfig, reading: Reading, judge: Judge, sample: int) -> OtherRows:
    """Up to `MOST_OTHER_ROWS` rows of another table, evaluated beside a `sample` of training rows.

    Missing values are treated as in training, with its means. `InputError` where the width or a value is wrong.
    """
    means = judge.observation.mean
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the table"
    conditions = TableConditions.of(config.options, config.conditions)
    reading = replace(reading, expected=config.columns, usual=UNNAMED)
    with open_features(source, reading, config.options.missing, conditions) as features:
        if features.width != config.input_dim:
            raise InputError(f"{name} has {features.width} columns: this run was trained on {config.input_dim}: give such rows")
        known = features.rows == config.rows and digest_of(features) == config.data_sha256
        count, width = min(features.rows, MOST_OTHER_ROWS), features.width + features.condition_dim
        needs = needs_of_evaluation(count + sample, width, judge.ppca.eigenvectors.shape[1])
        refuse_shortage(needs, count, width)
        rows = features.read(0, count)
        positions = features.positions
        missing, ids = features.dropped, None if features.ids is None else features.ids.take(np.arange(len(rows)))
    if features.fill is not None:
        missing, rows[:, : len(means)] = int(np.isnan(rows).sum()), filled(rows[:, : len(means)], means)
    if len(rows) < 2:
        raise InputError(f"{name} has {len(rows)} rows: an evaluation needs at least 2: give more rows")
    if bad := first_bad_value(rows, 0, config.columns):
        raise InputError(f"features must be finite, but {bad} of {name}: drop or repair such rows")
    return OtherRows(rows, known, missing, ids, positions)
