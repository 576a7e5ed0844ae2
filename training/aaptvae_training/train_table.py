"""Train on a table in memory or on a feature file, from Python: `run = train(X, latent_dim=64)`."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from aaptvae.files import Reading
from aaptvae.tables.names import as_names

from . import train_run
from .bars import bars_of
from .config import TrainConfig, make_config
from .features import TableConditions, open_features
from .loop import World, most_threads, on_threads, pick_device
from .progress import TrainingProgress
from .run import RUN, Run, TemporaryFolder, read_run


def train(  # noqa: PLR0913 - the arguments of a training
    x: Any,
    *,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    ids: Sequence[str] = (),
    folder: str | os.PathLike[str] | None = None,
    progress: TrainingProgress | bool | None = None,
    force: bool = False,
    image_shape: tuple[int, int] | None = None,
    threads: int | None = None,
    report: bool = True,
    **options: Any,
) -> Run:
    """Train on `x` [N, D] and return the finished run, with its evaluation on held-out rows.

    `x` is an array, a tensor, a DataFrame, an Arrow table, an iterator of such batches, or the path of a feature file. Its
    features are the columns `columns`, else all but those in `drop` and `ids` (names, or positions where columns have no
    names), and never those that `condition=["kind"]` names. `options` are those of `aaptvae train`: `latent_dim=64`,
    `hidden_dim=400`, `epochs`, `seed`, ... The run is
    written to `folder`, or without one to a temporary folder that is removed with the returned object (`run.save` keeps
    it); `force` replaces a run in `folder`. `progress` receives stages and epochs; True shows bars of tqdm, which notebooks
    that have tqdm show anyway; `report=False` saves the second or two that drawing the report takes. Raises `InputError` for
    features or options that cannot be used, `RunError` when training cannot go on.
    """
    config = make_config(options)
    reading = Reading(columns=as_names(columns), drop=as_names(drop), ids=as_names(ids))
    owner = None
    if folder is None:
        owner = TemporaryFolder()
        folder = owner.path / RUN
    shown, given = bars_of(progress), {"image_shape": image_shape, "threads": threads, "reading": reading, "report": report}
    # The caller's random numbers go on as if nothing had happened.
    with torch.random.fork_rng(devices=[]), closing(shown):
        train_run.train(x, Path(folder), config, shown, force=force, **given)  # type: ignore[arg-type]
        return replace(read_run(folder), owner=owner)


def train_unevaluated(source: Any, run: Path, config: TrainConfig, threads: int | None = None) -> None:
    """`train` in this process alone, without the evaluation and the report, whose time small tables would mostly spend."""
    progress, world = TrainingProgress(), World(0, 1, pick_device(config.device))
    conditions = TableConditions.of(config)
    with (
        open_features(source, missing=config.missing, conditions=conditions) as features,
        on_threads(threads or most_threads()),
    ):
        resolved, prepared = train_run.prepare_run(features, config, progress)
        train_run.begin_folder(run, resolved, prepared)
        train_run.fit_phases(features, prepared, resolved, train_run.Phase(run, threads is None), world, progress)
