"""Train on a table in memory or on a feature file, from Python: `run = train(X, latent_dim=64)`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import train_run
from .config import make_config
from .progress import TrainingProgress
from .run import RUN, Run, TemporaryFolder, read_run


def train(
    x: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    progress: TrainingProgress | None = None,
    force: bool = False,
    image_shape: tuple[int, int] | None = None,
    threads: int | None = None,
    **options: Any,
) -> Run:
    """Train on `x` [N, D] and return the finished run, with its evaluation on held-out rows.

    `x` is an array, a tensor, a DataFrame, an Arrow table, or the path of a feature file. `options` are those of `aaptvae
    train`: `latent_dim=64`, `hidden_dim=400`, `epochs`, `seed`, ... The run is written to `folder`, or without one to a
    temporary folder that is removed with the returned object (`run.save` keeps it). `force` replaces a run in `folder`;
    `progress` receives stages and epochs. Raises `InputError` for features or options that cannot be used, `RunError` when
    training cannot go on.
    """
    config = make_config(options)
    owner = None
    if folder is None:
        owner = TemporaryFolder()
        folder = owner.path / RUN
    train_run.train(x, Path(folder), config, progress, force=force, image_shape=image_shape, threads=threads)
    return replace(read_run(folder), owner=owner)
