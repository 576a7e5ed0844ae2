"""Densities that the likelihood is held against, all of standardised rows [N, D] in nats per row."""

import contextlib
import time
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture

from .table import Array

COMPONENTS = (2, 4, 8)
RIDGE = 1e-3  # added to variances: constant columns must not decide who wins
WIDEST_MIXTURE = 400  # columns: covariances of wider tables take minutes each
FLOW_ROWS = 256


def densities(fitting: Array, judged: Array, latents: int, flow_seconds: float) -> dict[str, Array]:
    """log p of each judged row by each rival; a rival that cannot be fitted is left out."""
    found = {"ppca": ppca(fitting, judged, latents), "ledoit_wolf": ledoit_wolf(fitting, judged)}
    if fitting.shape[1] <= WIDEST_MIXTURE:
        for components in COMPONENTS:
            if len(fitting) >= 5 * components:
                mixture = GaussianMixture(components, reg_covar=RIDGE, random_state=0).fit(fitting)
                found[f"mixture_{components}"] = mixture.score_samples(judged)
    if flow_seconds > 0:
        with contextlib.suppress(ImportError):  # its column stays empty
            found["flow"] = flow(fitting, judged, flow_seconds)
    return found


def ppca(fitting: Array, judged: Array, latents: int) -> Array:
    """Probabilistic PCA (Tipping and Bishop 1999); one axis that carries something is left to the noise."""
    mean = fitting.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(fitting, rowvar=False, bias=True))
    values, axes = np.clip(values[::-1], 0, None), axes[:, ::-1]
    kept = min(latents, max(int((values > 1e-7 * values[0]).sum()) - 1, 0))
    noise = max(float(values[kept:].mean()), 1e-6)
    spectrum = np.where(np.arange(len(values)) < kept, np.maximum(values, noise), noise)
    return gaussian((judged - mean) @ axes, spectrum)


def ledoit_wolf(fitting: Array, judged: Array) -> Array:
    """One Gaussian with the covariance of Ledoit and Wolf (2004), which is good where rows are fewer than columns."""
    found = LedoitWolf().fit(fitting)
    values, axes = np.linalg.eigh(found.covariance_)
    return gaussian((judged - found.location_) @ axes, np.maximum(values, 1e-6))


def gaussian(rotated: Array, variances: Array) -> Array:
    """log N(0, diag(variances)) of rows [N, D] along the principal axes."""
    return -0.5 * (rotated**2 / variances + np.log(2 * np.pi * variances)).sum(axis=1)


def flow(fitting: Array, judged: Array, seconds: float) -> Array:
    """A neural spline flow of zuko with its own defaults, Adam and early stopping on a tenth of the rows."""
    import torch  # noqa: PLC0415
    import zuko  # noqa: PLC0415

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    # Rows that repeat values, as counts do, have no density: noise a hundredth as wide gives them one.
    rows = torch.from_numpy(rng.permutation(fitting + 0.01 * rng.standard_normal(fitting.shape)).astype(np.float32))
    held, rest = rows[: max(2, len(rows) // 10)], rows[max(2, len(rows) // 10) :]
    model: Any = zuko.flows.NSF(fitting.shape[1], transforms=3, hidden_features=(128, 128))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    best, kept, waited, until = -np.inf, None, 0, time.monotonic() + seconds
    while time.monotonic() < until and waited < 30:
        for batch in rest[torch.randperm(len(rest))].split(FLOW_ROWS):
            optimizer.zero_grad()
            (-model().log_prob(batch).mean()).backward()
            optimizer.step()
        with torch.no_grad():
            score = float(model().log_prob(held).mean())
        waited += 1
        if score > best:
            best, waited = score, 0
            kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if kept is not None:
        model.load_state_dict(kept)
    with torch.no_grad():
        result: Array = model().log_prob(torch.from_numpy(judged.astype(np.float32))).double().numpy()
    return result
