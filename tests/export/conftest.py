"""Runs made in memory: real models with a fitted scaler, a prior, noise and held-out rows. Nothing is trained."""

import numpy as np
import pytest
import torch

from aaptvae.bundle.manifest import Training, condition_dim
from aaptvae.density.prior import LatentPrior
from aaptvae_export import ExportOptions, export_bundle
from aaptvae_training import AAPTVAE, Run
from aaptvae_training.config import TrainConfig
from aaptvae_training.model.as_numpy import observation_of
from aaptvae_training.run.folder import RunConfig

FIGURES = {"metrics": {"r2": 0.9, "elbo": -12.5, "active_units": 4.0}, "baseline": {"r2": 0.8}}
LARGER = (128, 16, (96,))
SUMMARY = Training(rows=1000, seed=3, data_sha256="5" * 64, epochs=7, **FIGURES)


def make_run(input_dim=12, latent_dim=4, hidden=(9,), *, seed=0, rows=64, mean_size=1.0, conditions=(), **options):
    torch.manual_seed(seed)
    options = {"linear_skip": True, "sigma": "learned", "condition_dim": condition_dim(conditions), **options}
    model = AAPTVAE(input_dim, latent_dim, hidden, **options).eval()
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((rows, input_dim))
    if model.likelihood == "bernoulli":
        heldout = generator.random((rows, input_dim))
    else:
        mean, scale = mean_size * generator.standard_normal(input_dim), np.exp(generator.standard_normal(input_dim))
        model.scaler.standardise_by(torch.from_numpy(mean), torch.from_numpy(scale))
        model.set_sigma(torch.full_like(model.log_sigma, 0.6))
        heldout = mean + scale * noise
        if model.scaler.rotated:
            axes = np.linalg.qr(generator.standard_normal((input_dim, input_dim)))[0][:, : model.scaler.inner]
            spread, signal = np.exp(0.3 * generator.standard_normal((2, model.scaler.outer)))
            model.scaler.rotate_by(*(torch.from_numpy(np.ascontiguousarray(part)) for part in (axes, spread, signal)))
    factor = np.tril(0.1 * generator.standard_normal((2, latent_dim, latent_dim)), -1) + np.eye(latent_dim)
    prior = LatentPrior(np.array([0.25, 0.75]), generator.standard_normal((2, latent_dim)), factor)
    if conditions:
        heldout = np.concatenate([heldout, conditions_of(rows, conditions, generator)], axis=1)
        if model.likelihood != "bernoulli":
            effect = generator.standard_normal((model.condition_dim, input_dim))
            model.scaler.explain_by(torch.from_numpy(effect), torch.from_numpy(heldout[:, input_dim:].mean(axis=0)))
    config = RunConfig(input_dim=input_dim, rows=1000, data_sha256="5" * 64, options=TrainConfig(), conditions=conditions)
    return Run(config, model, prior, observation_of(model), heldout.astype(np.float32), SUMMARY)


def conditions_of(rows, conditions, generator):
    """c [rows, C] of random conditions."""
    parts = [
        np.eye(spec.width)[generator.integers(0, spec.width, rows)] if spec.categories else generator.standard_normal((rows, 1))
        for spec in conditions
    ]
    return np.concatenate(parts, axis=1)


@pytest.fixture
def run():
    return make_run()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The bundle of `make_run()`."""
    return export_bundle(make_run(), tmp_path_factory.mktemp("exported") / "a")


@pytest.fixture(scope="session")
def in_both(tmp_path_factory):
    """A bundle in fp32 and fp16 of `make_run(*LARGER)`."""
    folder = tmp_path_factory.mktemp("in-both") / "a"
    return export_bundle(make_run(*LARGER), folder, ExportOptions(precisions=("fp32", "fp16")))
