"""A finished run with everything that its plots show: weights, held-out rows, their posterior, samples and figures."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aaptvae.errors import InputError
from aaptvae.rows import Matrix, Rows, check_image_shape

from ..evaluation.judge import Judge, kl_of_latents
from ..features.split import Index, split_rows
from ..linear.baseline import Baseline
from ..model import encode, observation_of
from ..run import (
    Evaluation,
    HeldOutRows,
    RowId,
    RunConfig,
    final_folder,
    load_model,
    read_baseline,
    read_config,
    read_evaluation,
    read_held_out,
    read_marginals,
    read_metrics,
    read_prior,
)

LEAST_SAMPLES = 1_000


class OpenedRun(NamedTuple):
    """A run whose files are read, to be evaluated: `folder` holds the model that the judge judges."""

    run: Path
    folder: Path
    config: RunConfig
    baseline: Baseline
    judge: Judge
    held_out: HeldOutRows


@dataclass(frozen=True)
class JudgedRun:
    """A run and its evaluation: `test` are held-out rows [N, D] and `seen` training rows [M, D + C], both raw.

    `conditions` [N, C] are those of the held-out rows, where the model has some. `history` holds the figures of each epoch;
    `labels` [N] name the held-out rows, and so do `ids` [N], the text of the columns that `config.ids` names.
    """

    name: str
    config: RunConfig
    evaluation: Evaluation
    judge: Judge
    test: Rows
    seen: Rows
    history: list[dict[str, float]]
    image_shape: tuple[int, int] | None = None
    labels: NDArray[Any] | None = None
    conditions: Rows | None = None
    ids: list[RowId] | None = None

    @property
    def held_out(self) -> Rows:
        """Held-out rows with their conditions: [N, D + C]."""
        return self.test if self.conditions is None else np.concatenate([self.test, self.conditions], axis=1)

    @cached_property
    def posterior(self) -> tuple[Rows, Rows]:
        """Mean and log variance of the latents of held-out rows: two [N, L]."""
        return encode(self.judge.model, self.held_out)

    @cached_property
    def reconstruction(self) -> Rows:
        """Held-out rows after encoding and decoding: [N, D]."""
        return self.judge.decode(self.posterior[0], self.held_out)

    @cached_property
    def samples(self) -> Rows:
        """Raw rows drawn from the fitted prior, with observation noise: as many as held-out rows, 1,000 at least."""
        return self.judge.sample(max(len(self.test), LEAST_SAMPLES), self.held_out)

    @cached_property
    def samples_as_observed(self) -> Rows:
        """The same samples by the maps to observed values; equal to them for a run without such maps."""
        return self.judge.as_observed(self.samples)

    @cached_property
    def kl(self) -> Matrix:
        """KL divergence of each latent in nats, mean over held-out rows: [L]."""
        return kl_of_latents(*self.posterior)

    @property
    def order(self) -> NDArray[np.int64]:
        """Latents by KL divergence, largest first: [L]."""
        return np.argsort(-self.kl, kind="stable")

    @cached_property
    def errors(self) -> Matrix:
        """Mean squared error of each held-out row in standardised columns: [N]."""
        return self.judge.observation.squared_error(self.test, self.reconstruction)

    @property
    def groups(self) -> NDArray[Any] | None:
        """The group of each held-out row [N]: its label, else the value that a split by groups went by; None without."""
        if self.labels is not None or self.config.options.split != "group":
            return self.labels
        if self.ids is not None and (column := self.config.options.split_column) in self.config.ids:
            return np.array([row[self.config.ids.index(str(column))] for row in self.ids])
        return self.test[:, split_position(self.config)]

    def column(self, number: int) -> str:
        """How plots name a column."""
        return f"column {number}"


def open_report(
    run: str | os.PathLike[str], image_shape: tuple[int, int] | None = None, labels: ArrayLike | None = None
) -> JudgedRun:
    """The judged run in a folder, for the `plot_*` functions.

    `labels` are one for each row of the table that the run was trained on, or one for each held-out row. Raises `RunError`
    for a run that cannot be read or is not finished, `InputError` for a shape or labels that do not fit.
    """
    return judged_run(open_run(Path(run)), read_evaluation(Path(run)), image_shape, labels)


def open_run(run: Path, *, final: bool = False) -> OpenedRun:
    """A run with the model before a refit, which held-out rows judge; or its `final` one, which may have seen them."""
    config, folder = read_config(run), final_folder(run) if final else run
    own = config if folder == run else read_config(folder)
    model, baseline = load_model(folder, own), read_baseline(folder, own)
    ppca, seed, maps = baseline.ppca(model.latent_dim), config.options.seed, read_marginals(folder, model.input_dim)
    judge = Judge(model, read_prior(folder, own), observation_of(model), ppca, baseline.spectrum, seed, maps)
    return OpenedRun(run, folder, config, baseline, judge, read_held_out(run, config))


def judged_run(
    opened: OpenedRun, evaluation: Evaluation, image_shape: tuple[int, int] | None, labels: ArrayLike | None = None
) -> JudgedRun:
    """A run that has just been evaluated; `InputError` for a shape or labels that do not fit."""
    run, _, config, _, judge, (test, seen, positions, _, ids) = opened
    check_image_shape(image_shape, config.input_dim)
    named = None if labels is None else held_out_labels(np.asarray(labels), config, len(test), positions)
    parts, c = (judge.features(test), seen, read_metrics(run)), judge.conditions(test)
    return JudgedRun(run.resolve().name, config, evaluation, judge, *parts, image_shape, named, c, ids)


def held_out_labels(labels: NDArray[Any], config: RunConfig, held_out: int, positions: Index | None = None) -> NDArray[Any]:
    """Labels of the held-out rows [N], out of one for every row of the table; `InputError` for any other number."""
    if labels.shape == (held_out,):
        return labels
    if labels.shape != (config.rows,):
        raise InputError(
            f"labels have shape {labels.shape}: expected one for each of {config.rows} rows of the table, or for each of "
            f"{held_out} held-out rows"
        )
    if positions is not None:
        return labels[positions]
    shares = config.options.validation_share, config.options.test_share  # an older run
    return labels[split_rows(config.rows, *shares, config.options.seed).test]


def split_position(config: RunConfig) -> int:
    """The number of the column that a split went by."""
    column, names = config.options.split_column, config.columns or ()
    return names.index(str(column)) if column in names else int(column or 0)
