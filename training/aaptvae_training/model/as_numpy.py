"""Encode, decode and the densities of a torch model, with numpy arrays in and out."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aaptvae.density.observation import Broad, ObservationModel
from aaptvae.rows import Array, Matrix, Rows

from .network import AAPTVAE, BROAD_FREEDOM, BROAD_SHARE

_CHUNK = 1_024  # rows that are computed at once
_WIDE_ROWS = 256  # rows of many columns that are scaled at once, in float64


class Posterior(NamedTuple):
    """Posterior parameters of rows: means and variances, both [N, L]."""

    mu: Matrix
    variance: Matrix


@torch.no_grad()
def encode(model: AAPTVAE, x: Rows) -> tuple[Rows, Rows]:
    """Posterior parameters of raw rows: [N, D + C] -> mu [N, L], logvar [N, L]."""
    parts = [model.encode(chunk) for chunk in _chunks(model, x)]
    mu, logvar = (torch.cat(part).float().cpu().numpy() for part in zip(*parts, strict=True))
    return mu, logvar


@torch.no_grad()
def decode(model: AAPTVAE, z: Array) -> Rows:
    """Raw reconstructions of latents: [N, L + C] -> [N, D]."""
    return torch.cat([model.decode(chunk) for chunk in _chunks(model, z)]).float().cpu().numpy()


def given(model: AAPTVAE, z: Array, rows: Array) -> Array:
    """Latents with the conditions of `rows` [N, D + C] beside them, as the decoder takes them: [N, L + C]."""
    return np.concatenate([z, rows[:, -model.condition_dim :]], axis=1) if model.condition_dim else z


def features_of(model: AAPTVAE, rows: Rows) -> Rows:
    """Rows [N, D + C] without their conditions: [N, D]."""
    return rows[:, : model.input_dim] if model.condition_dim else rows


def posterior(model: AAPTVAE, x: Rows) -> Posterior:
    """Posterior means and variances of raw rows in float64."""
    mu, logvar = encode(model, x)
    return Posterior(mu.astype(np.float64), np.exp(logvar.astype(np.float64)))


def scale_rows(model: AAPTVAE, rows: Rows) -> Rows:
    """Scaled rows of raw ones [N, D], computed in float64 so that large means lose no digits."""
    scaler = model.scaler
    device = scaler.mean.device
    size = _WIDE_ROWS if scaler.others else max(1, len(rows))
    parts = [torch.from_numpy(rows[start : start + size]) for start in range(0, max(1, len(rows)), size)]
    return torch.cat([scaler.to_scaled(part.to(device, torch.float64)).float().cpu() for part in parts]).numpy()


def observation_of(model: AAPTVAE) -> ObservationModel:
    """The observation model of a network, as the runtime class that holds numpy arrays."""
    scaler = model.scaler
    mean, scale = scaler.mean.cpu().numpy(), scaler.scale.cpu().numpy()
    if model.likelihood == "bernoulli":
        return ObservationModel("bernoulli", mean, scale, np.zeros(1))
    sigma = model.noise_log_sigma.detach().exp().double().cpu().numpy()
    basis = scaler.axes.cpu().numpy() if scaler.rotated else None
    if scaler.rotated:
        sigma = sigma * scaler.spread.cpu().numpy()
    freedom = float(model.degrees_of_freedom.detach()) if model.likelihood == "student" else math.inf
    constant = scaler.constant.cpu().numpy() if scaler.masked else None
    broad = None
    if model.has_broad_noise:
        scales = model.broad_log_sigma.exp().double().cpu().numpy() * scaler.spread.cpu().numpy()
        broad = Broad(scales, BROAD_SHARE, BROAD_FREEDOM)
    return ObservationModel(model.likelihood, mean, scale, sigma, basis, freedom, broad, constant)


def _chunks(model: AAPTVAE, rows: Array) -> Iterator[Tensor]:
    device = model.mu.weight.device
    for start in range(0, max(1, len(rows)), _CHUNK):
        yield torch.from_numpy(np.ascontiguousarray(rows[start : start + _CHUNK], np.float32)).to(device)
