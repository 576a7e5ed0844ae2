"""From a feature file to a finished run: read, start at pPCA, train, evaluate, and fit again to all rows."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from aaptvae.files import Reading
from aaptvae.files.locks import alone
from aaptvae.files.opening import READ_ALL
from aaptvae.files.publish import publish_folder
from aaptvae.rows import check_image_shape

from .config import TrainConfig
from .errors import RunError
from .evaluate_run import evaluate
from .features import (
    Features,
    Prepared,
    TableConditions,
    check_probabilities,
    everything,
    open_features,
    prepare_features,
    with_capped_scale,
)
from .finish.complete import complete
from .linear.axes import axes_count, find_axes, model_axes
from .linear.baseline import fidelity_to, fit_baseline
from .linear.ppca import PPCA
from .linear.start import Start, begin_at, begin_bernoulli, bernoulli_noise, scalar_start, start_with
from .linear.tail import Tail, held_out_rows, spectral_tail
from .loop import Refit, Trainer, World, join, most_threads, on_threads, paced, training_batches, wants_bf16
from .memory import needs_of_training, refuse_shortage
from .model import AAPTVAE, Objective, scale_rows, share_within_reach
from .progress import TrainingProgress
from .run import (
    BEST,
    CONFIG,
    LAST,
    REFIT,
    Evaluation,
    RunConfig,
    build_model,
    check_folder,
    damaged,
    is_empty,
    read_config,
    read_evaluation,
    read_state,
    write_baseline,
    write_held_out,
    write_json,
)

MOST_REFITTED = 20_000  # rows; to larger tables a tenth more rows is not worth a second training
STEPS = 3_000  # of a training whose epochs are not given; more steps change the result little, whatever the rows
EPOCHS = (10, 200)
BATCH_ROWS = (16, 128, 512)  # least, usual, and for tables of more than LARGE rows
LARGE = 100_000


@dataclass(frozen=True)
class Phase:
    """The judged training or the refit: its folder; `adapt` to set the count of torch's threads by timing steps.

    A refit uses the noise (`tail`), the number of epochs and the amount of correction that the judged training chose.
    """

    folder: Path
    adapt: bool
    tail: Tail | None = None
    epochs: int | None = None
    correction: float | None = None


def train(  # noqa: PLR0913 - the arguments of a training
    source: Any,
    run: Path,
    config: TrainConfig,
    progress: TrainingProgress | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    image_shape: tuple[int, int] | None = None,
    threads: int | None = None,
    reading: Reading = READ_ALL,
    report: bool = True,
) -> Evaluation:
    """Train on a feature file or a table, write the folder `run`, and return the evaluation on held-out rows.

    `reading` says which columns are features. `resume` continues an interrupted run; `force` replaces a run; without
    `report` no page is drawn, which `evaluate` can do later. Raises `InputError` for features or folders that cannot be
    used, `RunError` when training cannot go on.
    """
    if not (begun := resume and not is_empty(run)):  # a training may be killed before it has written anything
        check_folder(run, force)
    if report:
        import matplotlib  # noqa: F401, PLC0415 - an error here if it is missing, not after the training
    with (
        join(config.device) as world,
        alone(run) if world.leads else nullcontext(),
        open_features(source, reading, config.missing, TableConditions.of(config)) as features,
    ):
        progress = progress if progress is not None and world.leads else TrainingProgress()
        check_image_shape(image_shape, features.width)
        saved = read_config(run) if begun else None
        resolved, prepared = prepare_run(features, config, progress, saved)
        if saved is None:
            world.leading(begin_folder, run, resolved, prepared)
        else:
            resolved = resumable(run, saved, resolved)
        with on_threads(threads or most_threads()):
            fit_phases(features, prepared, resolved, Phase(run, threads is None), world, progress)
            world.leading(partial(evaluate, report=report), run, None, image_shape, progress)
    return read_evaluation(run)


def prepare_run(
    features: Features, config: TrainConfig, progress: TrainingProgress, saved: RunConfig | None = None
) -> tuple[RunConfig, Prepared]:
    """Read the features. Returns the configuration with every option decided, and the split with its statistics.

    With the configuration `saved` by an interrupted run, the split and the scales are those of that run.
    """
    needs = needs_of_training(features.rows, features.width, config, features.condition_dim)
    refuse_shortage(needs, features.rows, features.width)
    progress.stage("reading", features.rows)
    prepared = prepare_features(features, config, progress, copies=saved is None or saved.copies is not None)
    prepared = with_capped_scale(prepared) if saved is not None and saved.capped else prepared
    check_probabilities(config, prepared)
    return resolve(config, features, prepared), prepared


def fit_phases(
    features: Features, prepared: Prepared, config: RunConfig, phase: Phase, world: World, progress: TrainingProgress
) -> None:
    """Fit the model and its prior and, where the configuration says so, both again to all rows."""
    start = fit(features, prepared, config, phase, world, progress)
    world.leading(complete, phase.folder, config, prepared, features, progress)
    if config.refit:
        tail = tail_of(config, prepared, start.ppca)
        refit(features, prepared, config, refit_phase(phase.folder, phase.adapt, tail), world, progress)


def begun_with(run: Path) -> TrainConfig | None:
    """The options of an interrupted run; None for an empty or missing folder."""
    return None if is_empty(run) else read_config(run).options


def begin_folder(run: Path, config: RunConfig, prepared: Prepared) -> None:
    """Create the folder of a run with its configuration and its held-out rows, atomically."""
    with publish_folder(run, force=True, marker=CONFIG) as folder:
        (folder / LAST).parent.mkdir()
        write_held_out(folder, prepared.test, prepared.train_sample, prepared.split.test, prepared.table)
        write_json(folder / CONFIG, config)


def resumable(run: Path, saved: RunConfig, config: RunConfig) -> RunConfig:
    """The configuration with what `run` was begun with, `saved`; `RunError` unless rows and options are the same."""
    if (saved.data_sha256, saved.conditions) != (config.data_sha256, config.conditions):
        raise RunError(f"{run} was begun with other rows than these: resume it with the features it was begun with")
    before, now = (msgspec.structs.asdict(c.options) for c in (saved, config))
    if changed := [key for key in before if before[key] != now[key]]:
        key = changed[0]
        raise RunError(f"{run} was begun with {key} = {before[key]}, not {now[key]}: to resume, leave that option out")
    return msgspec.structs.replace(config, refit=saved.refit, bounded=saved.bounded, axes=saved.axes)


def resolve(config: TrainConfig, features: Features, prepared: Prepared) -> RunConfig:
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
        data_name=features.name,
        options=msgspec.structs.replace(config, batch_size=batch, epochs=epochs, weight_decay=decay),
        copies=prepared.copies,
        held_out_copies=prepared.held_out_copies,
        columns=features.columns,
        findings=tuple(finding.text for finding in prepared.findings),
        missing=prepared.missing or features.dropped,
        warnings=prepared.warnings,
        refit=features.rows < MOST_REFITTED if config.refit is None else config.refit,
        capped=prepared.capped,
        bounded=config.linear_skip,  # without a linear path there is nothing to fall back on
        axes=model_axes(config, prepared),
        conditions=features.condition_specs,
        ids=() if features.ids is None else features.ids.names,
    )


def refit_phase(run: Path, adapt: bool, tail: Tail | None) -> Phase:
    """The refit of a judged run: as many epochs, the same noise and the same amount of correction."""
    _, facts = read_state(run / BEST)
    epochs, correction = facts.get("epoch"), facts.get("polish")
    if not isinstance(epochs, int) or not isinstance(correction, float):
        raise damaged(run / BEST, f"its epoch is {epochs!r}, its correction {correction!r}")
    return Phase(run / REFIT, adapt, tail, epochs, correction)


def refit(
    features: Features, prepared: Prepared, config: RunConfig, phase: Phase, world: World, progress: TrainingProgress
) -> None:
    """Fit the model again to all rows; the folder of the phase is complete once it holds a prior."""
    whole = everything(features, prepared, config.options.seed)
    if config.axes is not None:  # all rows span more axes
        config = msgspec.structs.replace(config, axes=model_axes(config.options, whole))
    world.leading(begin_refit, phase.folder, config)
    fit(features, whole, config, phase, world, progress)
    world.leading(complete, phase.folder, config, whole, features, progress, phase.correction)


def begin_refit(folder: Path, config: RunConfig) -> None:
    """Make the folder of a refit, with the configuration that its model is built from."""
    (folder / LAST).parent.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, config)


def fit(
    features: Features, prepared: Prepared, config: RunConfig, phase: Phase, world: World, progress: TrainingProgress
) -> Start:
    """Build the model, write the linear start into it and train it; the result is in the checkpoints of the phase."""
    torch.manual_seed(config.options.seed)  # before the model is built with random weights
    model, start = start_model(config, prepared, phase.tail)
    if world.leads:
        write_baseline(phase.folder, fit_baseline(prepared, start))
    model.to(world.device)
    batches = training_batches(features, prepared, model, config.options, world)
    validation = torch.from_numpy(scale_rows(model, prepared.validation))
    objective = Objective(model, config.options.free_bits, fidelity_to(start.ppca, config.options, prepared))
    if phase.adapt:
        batches = paced(batches, objective, validation, wants_bf16(config.options.precision, world.device))
    kind = Trainer if phase.epochs is None else partial(Refit, until=phase.epochs)
    trainer = kind(objective, batches, validation, config.options, phase.folder, world)
    name, epochs = ("training", trainer.epochs) if phase.epochs is None else ("refitting", phase.epochs)
    progress.stage(name, epochs * batches.steps, trainer.begin() * batches.steps)

    reached = trainer.run(progress)
    if reached.epoch < epochs:
        progress.note(
            f"stopped after epoch {reached.epoch} of {epochs}: the validation ELBO has not improved for "
            f"{reached.epoch - max(reached.best_epoch, 0)} epochs"
        )
    return start


def tail_of(config: RunConfig, prepared: Prepared, ppca: PPCA) -> Tail | None:
    """The noise of discarded directions that held-out rows choose; None where the noise is not spectral."""
    if config.options.sigma != "spectral":
        return None
    return spectral_tail(held_out_rows(prepared, ppca), tails=config.options.likelihood == "student")


def start_model(config: RunConfig, prepared: Prepared, tail: Tail | None = None) -> tuple[AAPTVAE, Start]:
    """A model with a fitted scaler, whose linear paths are the maximum-likelihood linear model of the training rows.

    Validation rows choose the noise of the `tail` where none is given.
    """
    model, options = build_model(config), config.options
    statistics, scale = prepared.statistics, prepared.scale
    model.scaler.standardise_by(*map(torch.from_numpy, (statistics.mean, scale, prepared.constant)))
    if prepared.given is not None:
        model.scaler.explain_by(*map(torch.from_numpy, (prepared.given.coefficients / scale, prepared.given.centre)))
    model.reached = share_within_reach(len(prepared.split.train))
    count = None if config.axes is None else config.axes or axes_count(prepared, options.latent_dim)
    ppca = find_axes(prepared, scale, count).ppca(options.latent_dim)
    tail = tail or tail_of(config, prepared, ppca)
    start = scalar_start(ppca) if tail is None else start_with(ppca, tail, prepared)
    if options.likelihood == "bernoulli":
        begin_bernoulli(model, statistics, find_axes(prepared, bernoulli_noise(statistics)[1], count))
    elif options.linear_skip:
        begin_at(model, start)
    return model, start
