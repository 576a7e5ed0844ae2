"""Models for training loops of one's own: built as the trainer builds them, and turned into runs afterwards."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from aaptvae.errors import InputError
from aaptvae.files.publish import refuse_existing
from aaptvae.rows import Rows

from .config import TrainConfig, make_config
from .errors import RunError
from .evaluate_run import evaluate
from .features import (
    SAMPLE_ROWS,
    Moments,
    Prepared,
    Split,
    check_probabilities,
    constant_columns,
    digest_of,
    open_features,
    wants_covariance,
)
from .finish.finish import finish
from .linear.axes import axes_count, find_axes
from .linear.baseline import fit_baseline
from .linear.start import scalar_start
from .model import AAPTVAE, Objective, scale_rows
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
    """Facts that a loop of one's own tells: the seed of the split and the figures, and how many epochs it trained."""

    seed: int
    epochs: int


def model_for(x: Any, options: dict[str, Any]) -> AAPTVAE:
    """The model that `train` would begin with on `x`: scaler, noise and linear start fitted to its rows."""
    config = make_config({"test_share": FEW_TEST_ROWS, **options})
    if config.condition:
        raise InputError(
            "for_data takes no condition: use train, or make AAPTVAE(..., condition_dim=C) and pass c beside the rows"
        )
    with open_features(x, missing=config.missing) as features, torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return start_model(*prepare_run(features, config, TrainingProgress()))[0]


def run_of(model: AAPTVAE, rows: Any, heldout: Any, folder: str | os.PathLike[str] | None, facts: Facts) -> Run:
    """`Run.of`: write the files of a run around the weights of a model, then evaluate it."""
    refuse_not_finite(model)
    if model.condition_dim:
        raise InputError("Run.of takes models without conditions: train(x, condition=[...]) makes runs of models with them")
    trained, unseen = (numbers(part, name, model.input_dim) for part, name in ((rows, "rows"), (heldout, "heldout")))
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
    seed, epochs = facts
    order = np.random.default_rng([seed, 0x5911]).permutation(len(unseen)) + len(trained)
    half = len(unseen) // 2
    split = Split(np.arange(len(trained)), np.sort(order[:half]), np.sort(order[half:]))
    table = np.concatenate([trained, unseen])
    with open_features(table) as features:
        prepared = replace(prepared_for(model, table, split, digest_of(features)), table=features)
        config = RunConfig(
            input_dim=model.input_dim,
            rows=len(table),
            data_sha256=prepared.sha256,
            train=config_of(model, seed),
            bounded=model.bounded,
            capped=False,
            axes=model.axes,
        )
        check_probabilities(config.train, prepared)
        if model.likelihood == "bernoulli" and not np.allclose(prepared.statistics.mean, trained.mean(axis=0), atol=0.1):
            raise InputError(
                "the scaler of this bernoulli model does not hold the means of the rows, which are its baseline: make it with "
                "AAPTVAE.for_data, or call model.scaler.standardise_by before training"
            )
        write_held_out(folder, prepared.test, prepared.train_sample, split.test)
        write_json(folder / CONFIG, config)
        count = axes_count(prepared, model.latent_dim) if model.axes is None else model.axes or None
        axes = find_axes(prepared, prepared.scale, count)
        write_baseline(folder, fit_baseline(prepared, scalar_start(axes.ppca(model.latent_dim))))
        write_state(folder / BEST, model.state_dict(), {"epoch": epochs, "polish": 0.0})  # the weights stay as they are
        write_metrics(folder, [{"epoch": epochs, **validation_figures(model, prepared.validation, seed)}])
        finish(folder, config.train, prepared, features, TrainingProgress())
        evaluate(folder)


def prepared_for(model: AAPTVAE, table: Rows, split: Split, sha256: str) -> Prepared:
    """Moments and rows of a table in the units of a model's scaler, which may be the identity.

    The covariance is taken around the scaler's mean, so that PCA and the Gaussian are those of the model's own coordinates.
    """
    moments = Moments(table.shape[1], products=wants_covariance(len(split.train), table.shape[1]))
    moments.add(table[split.train])
    found = moments.finish()
    mean, scale = model.scaler.mean.cpu().numpy(), model.scaler.scale.cpu().numpy()
    offset = found.mean - mean
    covariance = None if found.covariance is None else found.covariance + np.outer(offset, offset)
    statistics = replace(found, mean=mean, variance=found.variance + offset**2, covariance=covariance)
    sample = table[: len(split.train)][:: max(1, len(split.train) // SAMPLE_ROWS)][:SAMPLE_ROWS]
    parts = table[split.validation], table[split.test], np.ascontiguousarray(sample)
    return Prepared(sha256, split, statistics, scale, constant_columns(found), *parts)


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


def numbers(x: Any, name: str, width: int) -> Rows:
    """Rows as finite float32 [N, D]; `InputError` unless they are of this width."""
    with open_features(x) as features:
        if features.width != width:
            raise InputError(f"{name} have {features.width} columns: this model was built for {width}: give such rows")
        rows = features.read(0, features.rows)
    if not np.isfinite(rows).all():
        raise InputError(f"{name} have values that are not finite: drop or repair such rows")
    return rows


def refuse_not_finite(model: AAPTVAE) -> None:
    """`RunError` for a weight that is not finite."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise RunError(f"{name} is not finite: the training has diverged: use a lower learning rate")
