"""The manifest of a bundle before its files are listed, from the run and its comparison with the graphs."""

import importlib

import numpy as np

from aaptvae.bundle.graph_specs import decoder_spec, encoder_spec
from aaptvae.bundle.manifest import (
    IR_VERSION,
    OPSET,
    SCHEMA_VERSION,
    Likelihood,
    Manifest,
    Prior,
    Scaler,
)
from aaptvae_training import Run

from ..proof import Gate

_PRODUCERS = ("aaptvae", "torch", "onnx", "onnxruntime", "numpy")


def manifest_of(run: Run, gate: Gate, pair_id: str, name: str | None) -> Manifest:
    """The manifest without files and precisions beside fp32; the default name is made of the widths."""
    model = run.model
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name or f"vae-{model.input_dim}-{gate.latent_dim}",
        input_dim=model.input_dim,
        latent_dim=gate.latent_dim,
        hidden_dims=tuple(model.hidden_dims),
        linear_skip=model.linear_skip,
        likelihood=_likelihood(run),
        scaler=_scaler(run),
        prior=Prior(kind=run.prior.kind, components=len(run.prior.weights)),
        opset=OPSET,
        ir_version=IR_VERSION,
        pair_id=pair_id,
        encoder=encoder_spec(model.input_dim, gate.latent_dim, model.condition_dim),
        decoder=decoder_spec(model.input_dim, gate.latent_dim, model.condition_dim),
        files=(),
        parity=gate.report(),
        twins=(),
        training=run.summary,
        columns=run.config.columns,
        marginals=run.marginals is not None,
        missing="mean" if run.config.options.missing == "mean" else "error",
        conditions=run.config.conditions,
        producer={package: str(importlib.import_module(package).__version__) for package in _PRODUCERS},
    )


def _likelihood(run: Run) -> Likelihood:
    kind, sigma = run.observation.kind, run.model.sigma
    if kind == "bernoulli":
        return Likelihood(kind=kind, noise="none", sigma=0.0)
    return Likelihood(
        kind=kind,
        noise="fixed" if isinstance(sigma, int | float) else sigma,
        sigma=float(np.sqrt(np.mean(np.square(run.observation.sigma)))),
        freedom=run.observation.freedom if kind == "student" else 0.0,
    )


def _scaler(run: Run) -> Scaler:
    scaler = run.model.scaler
    if bool((scaler.mean == 0).all() and (scaler.scale == 1).all()):
        return Scaler(kind="identity", constant_columns=0)
    return Scaler(kind="standard", constant_columns=int(scaler.constant.sum()))
