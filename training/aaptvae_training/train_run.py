"""From a feature file to a finished run: prepare, start at pPCA, train; `finish.py` does the rest."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch

from aaptvae.errors import InputError
from aaptvae.files.publish import publish_folder, refuse_existing

from .config import TrainConfig
from .errors import RunError
from .evaluation.judge import scale_rows
from .features.prepare import Prepared, prepare
from .features.table import Features, Rows, open_features, rows_within
from .finish.finish import finish
from .linear.ppca import fit_ppca, gaussian_log_likelihood
from .linear.start import SHRINKAGES, Start, begin_at, begin_bernoulli, scalar_start, shrink, spectral_start
from .loop.batches import RESIDENT_BYTES, Batches, ResidentBatches, StreamedBatches
from .loop.processes import World, join
from .loop.threads import advisable_threads, on_threads
from .loop.trainer import Trainer
from .model.network import AAPTVAE
from .model.objective import Objective
from .report.page import check_shape
from .run.folder import (
    CONFIG,
    EVALUATION,
    Baseline,
    Evaluation,
    RunConfig,
    build_model,
    read_config,
    write_baseline,
    write_held_out,
    write_json,
)
from .talk import Talk

STEPS = 3_000  # a run's length where the user names none: it saturates there, whatever the rows
EPOCHS = (10, 200)
BATCH_ROWS = (16, 128, 512)  # least, usual, and for tables of more than LARGE rows
LARGE = 100_000
EXACT = 1e-3  # share of the variance; reconstructions this good are not held to a PCA of as many latents as features


def train(  # noqa: PLR0913 - what to learn from, where to leave it, and how
    path: str | os.PathLike[str],
    run: Path,
    config: TrainConfig,
    talk: Talk | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    image_shape: tuple[int, int] | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Train on a feature file and leave a run folder; the evaluation on held-out rows.

    `resume` continues an interrupted run exactly; `force` replaces a finished one. `threads` of the processor default to
    what suits the network (`processors.py`). Raises `InputError` for features or folders that cannot be used and
    `RunError` when training cannot go on.
    """
    begun = resume and not is_empty(run)  # a kill may come before there is anything to resume
    if not begun:
        check_folder(run, force)
    with join(config.device) as world, open_features(path) as features:
        talk = talk if talk is not None and world.leads else Talk()
        shares = (config.validation_share, config.test_share)
        if image_shape is not None:
            check_shape(image_shape, features.width)
        talk.stage("reading", features.rows)
        prepared = prepare(features, shares, config.seed, talk.advance)
        check_range(config, prepared)
        resolved = resolve(config, features, prepared)
        if begun:
            check_resumable(run, resolved)
            resolved = msgspec.structs.replace(resolved, bounded=read_config(run).bounded)
        else:
            world.leading(lambda: begin_folder(run, resolved, prepared))
        with on_threads(threads or advisable_threads(resolved)):
            fit(features, prepared, resolved, run, world, talk)
        world.leading(lambda: finish(run, resolved, prepared, features, talk, image_shape))
    return msgspec.json.decode((run / EVALUATION).read_bytes(), type=Evaluation)


def begun_with(run: Path) -> TrainConfig | None:
    """The options of an interrupted run; None where there is nothing to resume."""
    return None if is_empty(run) else read_config(run).train


def check_folder(run: Path, force: bool) -> None:
    """`InputError` when a run may not be written here."""
    refuse_existing(run, force or is_empty(run))
    if not is_empty(run) and not (run / CONFIG).is_file():
        raise InputError(f"{run} holds something that is not a run: name another folder")


def is_empty(run: Path) -> bool:
    """Whether there is nothing at this place, or a folder with nothing in it."""
    return not run.exists() or (run.is_dir() and not any(run.iterdir()))


def begin_folder(run: Path, config: RunConfig, prepared: Prepared) -> None:
    """Start a run folder, whole or not at all: its configuration and the rows it will be judged on."""
    with publish_folder(run, force=True, marker=CONFIG) as folder:
        (folder / "last").mkdir()
        write_held_out(folder, prepared.test, prepared.train_sample)
        write_json(folder / CONFIG, config)


def check_range(config: TrainConfig, prepared: Prepared) -> None:
    """`InputError` when a Bernoulli likelihood meets features that are no probabilities."""
    low = min(prepared.statistics.minimum.min(), prepared.validation.min(), prepared.test.min())
    high = max(prepared.statistics.maximum.max(), prepared.validation.max(), prepared.test.max())
    if config.likelihood == "bernoulli" and not 0 <= low <= high <= 1:
        raise InputError(
            f"features go from {low:.6g} to {high:.6g}: a bernoulli likelihood expects them in [0, 1]: rescale them, or use "
            "--likelihood student"
        )


def check_resumable(run: Path, config: RunConfig) -> None:
    """`RunError` unless `run` was begun on the same rows with the same options."""
    saved = read_config(run)
    if saved.data_sha256 != config.data_sha256:
        raise RunError(f"{run} was trained on other rows than these: resume with the features it was begun with")
    before, now = (msgspec.structs.asdict(c.train) for c in (saved, config))
    if changed := [key for key in before if before[key] != now[key]]:
        key = changed[0]
        raise RunError(f"{run} was begun with {key} = {before[key]}, not {now[key]}: to resume, leave that option out")


def resolve(config: TrainConfig, features: Features, prepared: Prepared) -> RunConfig:
    """The configuration with everything decided that was left to the data."""
    rows = len(prepared.split.train)
    least, usual, large = BATCH_ROWS
    batch = config.batch_size or (large if rows > LARGE else max(least, min(usual, rows // 8)))
    epochs = config.epochs or int(np.clip(round(STEPS * batch / rows), *EPOCHS))
    # Beside a linear start the MLPs may fade where they do not help; probabilities are linear in logits at most.
    fading = 1.0 if config.linear_skip and config.likelihood != "bernoulli" else 0.01
    decay = fading if config.weight_decay is None else config.weight_decay
    return RunConfig(
        input_dim=features.width,
        rows=features.rows,
        data_sha256=prepared.sha256,
        train=msgspec.structs.replace(config, batch_size=batch, epochs=epochs, weight_decay=decay),
        bounded=config.linear_skip,  # without a linear path there is nothing to fall back on
    )


def fit(features: Features, prepared: Prepared, config: RunConfig, run: Path, world: World, talk: Talk) -> None:
    """Build the model, start it, train it; the run's checkpoints hold the outcome."""
    torch.manual_seed(config.train.seed)  # before the model is built: its weights are drawn from it
    model, start = start_model(config, prepared)
    if world.leads:
        write_baseline(run, baseline_of(prepared, start))
    model.to(world.device)

    def scaled(rows: Rows) -> Rows:
        return scale_rows(model, rows)

    batch, seed = config.train.batch_size or 1, config.train.seed
    batches: Batches
    if len(prepared.split.train) * features.width * 4 <= RESIDENT_BYTES:
        batches = ResidentBatches(resident(features, prepared, scaled).to(world.device), batch, seed, world)
    else:
        batches = StreamedBatches(features, prepared.split.train, scaled, batch, seed, world)
    validation = torch.from_numpy(scaled(prepared.validation))
    objective = Objective(model, config.train.free_bits, start.ppca.variance, tolerated_error(config, prepared, start))
    trainer = Trainer(objective, batches, validation, config.train, run, world)
    talk.stage("training", trainer.steps, trainer.begin() * batches.steps)

    def tick(steps: int, figures: dict[str, float]) -> None:
        talk.advance(steps)
        if figures:
            talk.epoch(figures)

    trainer.run(tick)


def start_model(config: RunConfig, prepared: Prepared) -> tuple[AAPTVAE, Start]:
    """A model whose scaler is fitted and whose skips are the best linear model of the training rows."""
    model, options = build_model(config), config.train
    statistics, scale = prepared.statistics, prepared.scale
    model.scaler.standardise_by(torch.from_numpy(statistics.mean), torch.from_numpy(scale))
    if model.scaler.constant is not None:
        model.scaler.constant.copy_(torch.from_numpy(prepared.constant))
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


def baseline_of(prepared: Prepared, start: Start) -> Baseline:
    """The Gaussian that the validation rows like best, beside the statistics it comes from."""
    rotated = prepared.standardise(prepared.validation) @ start.ppca.eigenvectors
    spectra = [shrink(start.ppca, amount) for amount in SHRINKAGES]
    spectrum = max(spectra, key=lambda variances: float(gaussian_log_likelihood(rotated, variances).mean()))
    ppca = start.ppca
    return Baseline(prepared.statistics.mean, prepared.scale, ppca.eigenvalues, ppca.eigenvectors, spectrum)


def tolerated_error(config: RunConfig, prepared: Prepared, start: Start) -> float:
    """Squared error per validation row that PCA leaves, or rounding of the noise, where reconstructions are held to it."""
    if not (config.train.fidelity and config.train.sigma == "spectral") or config.train.likelihood == "bernoulli":
        return math.inf
    x = prepared.standardise(prepared.validation).astype(np.float64)
    left = float(((x - start.ppca.project(x)) ** 2).sum(axis=1).mean())
    return max(left, EXACT * float((x**2).sum(axis=1).mean()))


def resident(features: Features, prepared: Prepared, scaled: Callable[[Rows], Rows]) -> torch.Tensor:
    """All training rows as one scaled tensor [N, D]."""
    table = torch.empty(len(prepared.split.train), features.width)
    done = 0
    for start, block in features.blocks():
        rows = scaled(rows_within(prepared.split.train, start, block))
        table[done : done + len(rows)] = torch.from_numpy(rows)
        done += len(rows)
    return table
