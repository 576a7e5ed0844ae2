"""Models for training loops of one's own: built as the trainer builds them, and turned into runs afterwards."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from aaptvae.bundle.manifest import condition_dim
from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae.files.publish import refuse_existing
from aaptvae.rows import Rows

from .config import TrainConfig, make_config
from .errors import RunError
from .evaluate_run import evaluate
from .features import (
    SAMPLE_ROWS,
    Moments,
    Prepared,
    Regression,
    Split,
    Statistics,
    TableConditions,
    check_probabilities,
    constant_columns,
    digest_of,
    open_features,
    wants_covariance,
)
from .finish.complete import complete
from .linear.axes import axes_count, find_axes
from .linear.baseline import fit_baseline
from .linear.start import scalar_start
from .model import AAPTVAE, Objective, features_of, scale_rows
from .progress import TrainingProgress
from .run import (
    BEST,
    CONFIG,
    RUN,
    Run,
    RunConfig,
    TemporaryFolder,
    read_run,
    write_baseline,
    write_held_out,
    write_json,
    write_metrics,
    write_state,
)
from .train_run import prepare_run, start_model

LEAST_HELD_OUT = 4  # two to select the prior, two to evaluate
FEW_TEST_ROWS = 1e-9  # the share of a model that is only started: the split takes its least number of rows


class Facts(NamedTuple):
    """Facts of a loop of one's own: the seed of the split and the figures, its epochs, and whether to draw a report."""

    seed: int
    epochs: int
    report: bool


def model_for(x: Any, options: dict[str, Any]) -> AAPTVAE:
    """The model that `train` would begin with on `x`: scaler, noise and linear start fitted to its rows."""
    config = make_config({"test_share": FEW_TEST_ROWS, **options})
    if config.condition and is_array(x):
        raise InputError("x is an array, whose columns have no names: conditions are named columns: pass a table")
    with (
        open_features(x, missing=config.missing, conditions=TableConditions.of(config)) as features,
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(config.seed)
        return start_model(*prepare_run(features, config, TrainingProgress()))[0]


def run_of(model: AAPTVAE, rows: Any, heldout: Any, folder: str | os.PathLike[str] | None, facts: Facts) -> Run:
    """`Run.of`: write the files of a run around the weights of a model, then evaluate it."""
    refuse_diverged(model)
    if condition_dim(model.conditions) != model.condition_dim:
        raise InputError(
            f"the model takes {model.condition_dim} numbers of conditions, whose names are not known: make it with "
            "AAPTVAE.for_data(table, condition=[...])"
        )
    trained, unseen = (rows_for(model, part, name) for part, name in ((rows, "rows"), (heldout, "heldout")))
    if len(unseen) < LEAST_HELD_OUT or len(trained) < 2:
        raise InputError(
            f"got {len(trained)} rows and {len(unseen)} held-out ones: expected 2 and {LEAST_HELD_OUT} at least: the prior and "
            "the figures need rows that the model was not trained on"
        )
    if folder is not None:
        refuse_existing(Path(folder), force=False)
    owner = TemporaryFolder()
    place = owner.path / (RUN if folder is None else Path(folder).absolute().name)  # the report shows this name
    place.mkdir()
    with torch.random.fork_rng(devices=[]):
        write_run(place, model, trained, unseen, facts)
        made = replace(read_run(place), owner=owner)
    return made if folder is None else made.save(folder)


def write_run(folder: Path, model: AAPTVAE, trained: Rows, unseen: Rows, facts: Facts) -> None:
    """Every file of a run; the held-out rows are halved."""
    seed, epochs, report = facts
    order = np.random.default_rng([seed, 0x5911]).permutation(len(unseen)) + len(trained)
    half = len(unseen) // 2
    split = Split(np.arange(len(trained)), np.sort(order[:half]), np.sort(order[half:]))
    table = np.concatenate([trained, unseen])
    with open_features(features_of(model, table)) as features:
        features.conditions = TableConditions.known(model.conditions, table[:, model.input_dim :]) if model.conditions else None
        prepared = replace(prepared_for(model, table, split, digest_of(features)), table=features)
        config = RunConfig(
            input_dim=model.input_dim,
            rows=len(table),
            data_sha256=prepared.sha256,
            options=config_of(model, seed),
            bounded=model.bounded,
            capped=False,
            axes=model.axes,
            columns=model.columns,
            conditions=model.conditions,
        )
        check_probabilities(config.options, prepared)
        check_means(model, prepared, trained)
        write_held_out(folder, prepared.test, prepared.train_sample, split.test)
        write_json(folder / CONFIG, config)
        count = axes_count(prepared, model.latent_dim) if model.axes is None else model.axes or None
        axes = find_axes(prepared, prepared.scale, count)
        write_baseline(folder, fit_baseline(prepared, scalar_start(axes.ppca(model.latent_dim))))
        write_state(folder / BEST, model.state_dict(), {"epoch": epochs, "polish": 0.0})  # the weights stay as they are
        write_metrics(folder, [{"epoch": epochs, **validation_figures(model, prepared.validation, seed)}])
        complete(folder, config, prepared, features, TrainingProgress())
        evaluate(folder, report=report)


def check_means(model: AAPTVAE, prepared: Prepared, trained: Rows) -> None:
    """`InputError` for a bernoulli model whose scaler does not hold the means of its rows."""
    means = features_of(model, trained).mean(axis=0)
    if model.likelihood == "bernoulli" and not np.allclose(prepared.statistics.mean, means, atol=0.1):
        raise InputError(
            "the scaler of this bernoulli model does not hold the means of the rows, which are its baseline: make it with "
            "AAPTVAE.for_data, or call model.scaler.standardise_by before training"
        )


def prepared_for(model: AAPTVAE, table: Rows, split: Split, sha256: str) -> Prepared:
    """Moments and rows of a table in the units of a model's scaler, which may be the identity.

    The covariance is taken around the scaler's mean, so that PCA and the Gaussian are those of the model's own coordinates.
    """
    mean, scale = model.scaler.mean.cpu().numpy(), model.scaler.scale.cpu().numpy()
    given = regression_of(model) if model.condition_dim else None
    sample = table[: len(split.train)][:: max(1, len(split.train) // SAMPLE_ROWS)][:SAMPLE_ROWS]
    parts = table[split.validation], table[split.test], np.ascontiguousarray(sample)
    found = moments_of(features_of(model, table[split.train]))
    prepared = Prepared(sha256, split, found, scale, constant_columns(found), *parts, given=given)
    own = found if given is None else moments_of(np.asarray(prepared.residuals(table[split.train]), np.float32))
    offset = own.mean - mean
    covariance = None if own.covariance is None else own.covariance + np.outer(offset, offset)
    statistics = replace(found, mean=mean, variance=own.variance + offset**2, covariance=covariance)
    return replace(prepared, statistics=statistics)


def moments_of(rows: Rows) -> Statistics:
    """Mean, variance and covariance of training rows [N, D]."""
    moments = Moments(rows.shape[1], products=wants_covariance(*rows.shape))
    moments.add(rows)
    return moments.statistics()


def regression_of(model: AAPTVAE) -> Regression:
    """The part of the features' mean that the scaler of a model explains by its conditions, in raw units."""
    scaler = model.scaler
    return Regression(scaler.centre.cpu().numpy(), (scaler.regression * scaler.scale).cpu().numpy())


def config_of(model: AAPTVAE, seed: int) -> TrainConfig:
    """The options that rebuild the network of a model; those of a loop that is not ours keep their defaults."""
    dropout = [layer.p for layer in model.encoder if isinstance(layer, nn.Dropout)]
    return make_config(
        {
            "latent_dim": model.latent_dim,
            "hidden_dim": list(model.hidden_dims),
            "linear_skip": model.linear_skip,
            "sigma": model.sigma,
            "likelihood": model.likelihood,
            "dropout": dropout[0] if dropout else 0.0,
            "beta": model.beta,
            "fidelity": False,
            "similarity": "off",  # a head of its own, which is no part of the model
            "seed": seed,
            "condition": [spec.name for spec in model.conditions],
        }
    )


@torch.no_grad()
def validation_figures(model: AAPTVAE, validation: Rows, seed: int) -> dict[str, float]:
    """The one line of `metrics.jsonl`: ELBO and KL divergence of rows [N, D]."""
    was_training, device = model.training, model.mu.weight.device
    torch.manual_seed(seed)
    _, nll, kl = Objective(model.eval())(torch.from_numpy(scale_rows(model, validation)).to(device), 1.0)
    model.train(was_training)
    return {"validation_elbo": -float((nll + kl).mean()), "validation_kl": float(kl.mean())}


def rows_for(model: AAPTVAE, x: Any, name: str) -> Rows:
    """Rows as finite float32 [N, D + C]: of a table by its names, of an array as they are; `InputError` for other columns."""
    conditions = None
    if model.conditions and not is_array(x):
        conditions = TableConditions([spec.name for spec in model.conditions], specs=model.conditions)
    with open_features(x, Reading(expected=model.columns), conditions=conditions) as features:
        width = model.input_dim + (model.condition_dim if conditions is None else 0)
        if features.width != width:
            raise InputError(f"{name} have {features.width} columns: this model was built for {width}: give such rows")
        rows = features.read(0, features.rows)
    if not np.isfinite(rows).all():
        raise InputError(f"{name} have values that are not finite: drop or repair such rows")
    return rows


def is_array(x: Any) -> bool:
    """Whether `x` is an array or a tensor, whose columns have no names."""
    return isinstance(x, torch.Tensor) or (isinstance(x, np.ndarray) and x.dtype.names is None)


def refuse_diverged(model: AAPTVAE) -> None:
    """`RunError` for a weight that is not finite."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise RunError(f"{name} is not finite: the training has diverged: use a lower learning rate")
