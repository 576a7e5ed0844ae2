"""From a feature file to a finished run: read, start at pPCA, train, finish."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from aaptvae.errors import InputError
from aaptvae.files.publish import publish_folder, refuse_existing

from .config import TrainConfig
from .errors import RunError
from .features import Features, Prepared, open_features, prepare_features, rows_within
from .finish.finish import complete, finish
from .linear.baseline import fit_baseline, tolerated_error
from .linear.ppca import fit_ppca
from .linear.start import Start, begin_at, begin_bernoulli, scalar_start, spectral_start
from .loop import (
    RESIDENT_BYTES,
    Batches,
    ResidentBatches,
    StreamedBatches,
    Trainer,
    World,
    join,
    most_threads,
    on_threads,
    paced,
    pick_device,
    wants_bf16,
)
from .model import AAPTVAE, Objective, scale_rows
from .progress import TrainingProgress
from .report.judged import check_shape
from .run import (
    CONFIG,
    EVALUATION,
    LAST,
    Evaluation,
    RunConfig,
    build_model,
    is_unfinished,
    read_config,
    write_baseline,
    write_held_out,
    write_json,
)

STEPS = 3_000  # of a training whose epochs are not given; more steps change the result little, whatever the rows
EPOCHS = (10, 200)
BATCH_ROWS = (16, 128, 512)  # least, usual, and for tables of more than LARGE rows
LARGE = 100_000


def train(  # noqa: PLR0913 - the arguments of the public function
    source: Any,
    run: Path,
    config: TrainConfig,
    progress: TrainingProgress | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    image_shape: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Train on a feature file or a table, write the folder `run`, and return the evaluation on held-out rows.

    `resume` continues an interrupted run with the same result as one that was not interrupted; `force` replaces a run.
    Without `threads` torch computes on one thread or on all, whichever is faster at the moment (`loop/threads.py`). Raises
    `InputError` for features or folders that cannot be used and `RunError` when training cannot go on.
    """
    begun = resume and not is_empty(run)  # a training may be killed before it has written anything
    if not begun:
        check_folder(run, force)
    with join(config.device) as world, open_features(source) as features:
        progress = progress if progress is not None and world.leads else TrainingProgress()
        if image_shape is not None:
            check_shape(image_shape, features.width)
        resolved, prepared = prepare_run(features, config, progress, name_of(source))
        if begun:
            check_resumable(run, resolved)
        else:
            world.leading(begin_folder, run, resolved, prepared)
        with on_threads(threads or most_threads()):
            fit(features, prepared, resolved, run, world, progress, adapt=threads is None)
            world.leading(finish, run, resolved, prepared, features, progress, image_shape)
    return msgspec.json.decode((run / EVALUATION).read_bytes(), type=Evaluation)


def train_unevaluated(source: Any, run: Path, config: TrainConfig, threads: int | None = None) -> None:
    """`train` in this process alone, without the evaluation and the report, whose time small tables would mostly spend."""
    progress, world = TrainingProgress(), World(0, 1, pick_device(config.device))
    with open_features(source) as features, on_threads(threads or most_threads()):
        resolved, prepared = prepare_run(features, config, progress, name_of(source))
        begin_folder(run, resolved, prepared)
        fit(features, prepared, resolved, run, world, progress, adapt=threads is None)
        complete(run, resolved, prepared, features, progress)


def prepare_run(features: Features, config: TrainConfig, progress: TrainingProgress, name: str) -> tuple[RunConfig, Prepared]:
    """Read the features once: the configuration with every option decided, and what the pass has found."""
    progress.stage("reading", features.rows)
    prepared = prepare_features(features, (config.validation_share, config.test_share), config.seed, progress)
    check_probabilities(config, prepared)
    return resolve(config, features, prepared, name), prepared


def name_of(source: Any) -> str:
    """Of a file or a folder, without its path; a table in memory has no name."""
    return Path(source).name if isinstance(source, str | os.PathLike) else ""


def begun_with(run: Path) -> TrainConfig | None:
    """The options of an interrupted run; None for an empty or missing folder."""
    return None if is_empty(run) else read_config(run).train


def check_folder(run: Path, force: bool) -> None:
    """`InputError` unless a new run may be written here."""
    if not force and is_unfinished(run):
        raise InputError(
            f"{run} is a run that is not finished: continue it with the same command and --resume, or name another folder"
        )
    refuse_existing(run, force or is_empty(run))
    if not is_empty(run) and not (run / CONFIG).is_file():
        raise InputError(f"{run} holds something that is not a run: name another folder")


def is_empty(run: Path) -> bool:
    """Whether `run` does not exist or is an empty folder."""
    return not run.exists() or (run.is_dir() and not any(run.iterdir()))


def begin_folder(run: Path, config: RunConfig, prepared: Prepared) -> None:
    """Create the folder of a run with its configuration and its held-out rows, atomically."""
    with publish_folder(run, force=True, marker=CONFIG) as folder:
        (folder / LAST).parent.mkdir()
        write_held_out(folder, prepared.test, prepared.train_sample)
        write_json(folder / CONFIG, config)


def check_probabilities(config: TrainConfig, prepared: Prepared) -> None:
    """`InputError` if the likelihood is bernoulli and a feature lies outside [0, 1]."""
    low = min(prepared.statistics.minimum.min(), prepared.validation.min(), prepared.test.min())
    high = max(prepared.statistics.maximum.max(), prepared.validation.max(), prepared.test.max())
    if config.likelihood == "bernoulli" and not 0 <= low <= high <= 1:
        raise InputError(
            f"features go from {low:.6g} to {high:.6g}: a bernoulli likelihood expects them in [0, 1]: rescale them, or use "
            "--likelihood student"
        )


def check_resumable(run: Path, config: RunConfig) -> None:
    """`RunError` unless `run` was begun with the same rows and the same options."""
    saved = read_config(run)
    if saved.data_sha256 != config.data_sha256:
        raise RunError(f"{run} was begun with other rows than these: resume it with the features it was begun with")
    before, now = (msgspec.structs.asdict(c.train) for c in (saved, config))
    if changed := [key for key in before if before[key] != now[key]]:
        key = changed[0]
        raise RunError(f"{run} was begun with {key} = {before[key]}, not {now[key]}: to resume, leave that option out")


def resolve(config: TrainConfig, features: Features, prepared: Prepared, name: str) -> RunConfig:
    """The configuration, with the options that depend on the data decided."""
    rows = len(prepared.split.train)
    least, usual, large = BATCH_ROWS
    batch = config.batch_size or (large if rows > LARGE else max(least, min(usual, rows // 8)))
    epochs = config.epochs or int(np.clip(round(STEPS * batch / rows), *EPOCHS))
    # Strong decay removes the MLPs where they do not improve on the linear start, which is no good model of probabilities.
    usual_decay = 1.0 if config.linear_skip and config.likelihood != "bernoulli" else 0.01
    decay = usual_decay if config.weight_decay is None else config.weight_decay
    return RunConfig(
        input_dim=features.width,
        rows=features.rows,
        data_sha256=prepared.sha256,
        data_name=name,
        train=msgspec.structs.replace(config, batch_size=batch, epochs=epochs, weight_decay=decay),
    )


def fit(  # noqa: PLR0913 - all that a training needs
    features: Features,
    prepared: Prepared,
    config: RunConfig,
    run: Path,
    world: World,
    progress: TrainingProgress,
    *,
    adapt: bool = False,
) -> None:
    """Build the model, write the linear start into it and train it; the result is in the checkpoints of the run.

    With `adapt` the count of torch's threads follows measured steps.
    """
    torch.manual_seed(config.train.seed)  # before the model is built with random weights
    model, start = start_model(config, prepared)
    if world.leads:
        write_baseline(run, fit_baseline(prepared, start))
    model.to(world.device)

    batches = training_batches(features, prepared, model, config.train, world)
    validation = torch.from_numpy(scale_rows(model, prepared.validation))
    objective = Objective(model, config.train.free_bits, start.ppca.variance, tolerated_error(config.train, prepared, start))
    if adapt:
        batches = paced(batches, objective, validation, wants_bf16(config.train.precision, world.device))
    trainer = Trainer(objective, batches, validation, config.train, run, world)
    progress.stage("training", trainer.steps, trainer.begin() * batches.steps)

    def advance(steps: int, figures: dict[str, float]) -> None:
        progress.advance(steps)
        if figures:
            progress.epoch(figures)

    reached = trainer.run(advance)
    if reached.epoch < trainer.epochs:
        progress.note(
            f"stopped after epoch {reached.epoch} of {trainer.epochs}: the validation ELBO has not improved for "
            f"{reached.epoch - max(reached.best_epoch, 0)} epochs"
        )


def start_model(config: RunConfig, prepared: Prepared) -> tuple[AAPTVAE, Start]:
    """A model with a fitted scaler, whose linear paths are the maximum-likelihood linear model of the training rows."""
    model, options = build_model(config), config.train
    statistics, scale = prepared.statistics, prepared.scale
    model.scaler.standardise_by(*map(torch.from_numpy, (statistics.mean, scale, prepared.constant)))
    ppca = fit_ppca(statistics.standardised_covariance(scale), options.latent_dim)
    if options.sigma == "spectral":
        validation = prepared.standardise(prepared.validation).astype(np.float64)
        start = spectral_start(ppca, validation, tails=options.likelihood == "student")
    else:
        start = scalar_start(ppca)
    if options.likelihood == "bernoulli":
        begin_bernoulli(model, statistics)
    elif options.linear_skip:
        begin_at(model, start)
    return model, start


def training_batches(features: Features, prepared: Prepared, model: AAPTVAE, options: TrainConfig, world: World) -> Batches:
    """Batches of scaled training rows: from memory if the rows fit into `RESIDENT_BYTES`, else from disk."""
    rows, batch = prepared.split.train, options.batch_size or 1
    if len(rows) * features.width * 4 > RESIDENT_BYTES:
        return StreamedBatches(features, rows, partial(scale_rows, model), batch, options.seed, world)
    table, done = torch.empty(len(rows), features.width), 0
    for start, block in features.blocks():
        scaled = scale_rows(model, rows_within(rows, start, block))
        table[done : done + len(scaled)] = torch.from_numpy(scaled)
        done += len(scaled)
    return ResidentBatches(table.to(world.device), batch, options.seed, world)
