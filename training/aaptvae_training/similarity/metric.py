"""The metric view of latents: an invertible affine map whose distances are those of the reconstructions.

y = mu M + b with M M' = G, where G is the mean of J'J over rows, J [D, L] the decoder's Jacobian at mu: to first order,
|y - y'| = |decode(mu) - decode(mu')|. The coordinates of y are principal, so that the first k numbers are the best k.
"""

from dataclasses import dataclass

import numpy as np
import torch

from aaptvae.rows import Matrix, Rows

from ..linear.ppca import principal_axes
from ..model.as_numpy import decode, encode
from ..model.network import AAPTVAE
from .recall import Geometry

MOST_NUMBERS = 1 << 17  # rows times features whose Jacobians are computed
FLOOR = 1e-6  # of G's largest eigenvalue: a latent that the decoder ignores still has an inverse
CHUNK = 1 << 22  # numbers of Jacobians at once
RIDGE = 1e-6  # of the mean variance of mu


@dataclass(frozen=True)
class MetricMap:
    """metric = mu @ matrix + offset: invertible [L, L], and [L]."""

    matrix: Matrix
    offset: Matrix

    def __call__(self, mu: Rows) -> Matrix:
        """Metric view [N, L] of posterior means [N, L]."""
        view: Matrix = mu.astype(np.float64) @ self.matrix + self.offset
        return view


def metric_maps(model: AAPTVAE, x: Rows, geometry: Geometry) -> dict[str, MetricMap]:
    """Candidates by name, from raw rows [N, D]: "jacobian" as above, "regression" with the J that fits features best."""
    mu = encode(model, x)[0]
    rows = max(1, min(len(x), MOST_NUMBERS // model.input_dim))
    chosen = np.linspace(0, len(x) - 1, rows).astype(np.int64)
    scale = _scale(model, x, geometry)
    gram, jacobian = _jacobians(model, mu[chosen], scale)
    centre, middle = mu.mean(axis=0, dtype=np.float64), decode(model, mu).mean(axis=0, dtype=np.float64) / scale
    slope = _regression(mu, x.astype(np.float64) / scale)
    pairs = {"jacobian": (gram, jacobian), "regression": (slope.T @ slope, slope)}
    return {name: _map(*pair, centre, middle, mu, geometry) for name, pair in pairs.items()}


def _scale(model: AAPTVAE, x: Rows, geometry: Geometry) -> Matrix:
    """Units [D] in which reconstructions are compared: the features' own for cosines, else the deviations of these rows."""
    scale, deviation = model.scaler.scale.double().cpu().numpy(), x.std(axis=0, dtype=np.float64)
    return np.ones_like(scale) if geometry == "cosine" else np.where(deviation > 1e-6 * scale, deviation, scale)


def _jacobians(model: AAPTVAE, mu: Rows, scale: Matrix) -> tuple[Matrix, Matrix]:
    """Mean of J'J [L, L] and of J [D, L] over rows, in float64, from the derivatives of the decoder along each latent.

    J u is the derivative of v'J u with respect to v, and J'v one backward pass, so that two passes give J u for all rows.
    """
    gram, mean = np.zeros((model.latent_dim, model.latent_dim)), np.zeros((len(scale), model.latent_dim))
    for z in torch.split(torch.from_numpy(mu), max(1, CHUNK // (model.input_dim * model.latent_dim))):
        z = z.clone().requires_grad_()  # noqa: PLW2901 - a leaf of its own graph
        x = model.decode(z)
        v = torch.zeros_like(x, requires_grad=True)
        back = torch.autograd.grad(x, z, v, create_graph=True)[0]  # J'v [n, L]
        columns = [torch.autograd.grad(back[:, latent].sum(), v, retain_graph=True)[0] for latent in range(model.latent_dim)]
        slopes = torch.stack(columns, dim=2).double().numpy() / scale[:, None]  # [n, D, L]
        flat = slopes.reshape(-1, model.latent_dim)
        gram += flat.T @ flat
        mean += slopes.sum(axis=0)
    return gram / len(mu), mean / len(mu)


def _regression(mu: Rows, x: Matrix) -> Matrix:
    """Slopes [D, L] of the least-squares fit of features on mu."""
    latents = mu - mu.mean(axis=0, dtype=np.float64)
    gram = latents.T @ latents
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)) + 1e-12 * np.eye(len(gram))
    slopes: Matrix = np.linalg.solve(gram, latents.T @ (x - x.mean(axis=0))).T
    return slopes


def _map(gram: Matrix, jacobian: Matrix, centre: Matrix, middle: Matrix, mu: Rows, geometry: Geometry) -> MetricMap:
    """The map of this G. For cosines, mean rows go where the mean reconstruction lies in the span of the Jacobian."""
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, max(FLOOR * values[-1], np.finfo(np.float32).tiny)))
    offset = np.linalg.solve(root, jacobian.T @ middle) if geometry == "cosine" else np.zeros(len(root))
    view = (mu - centre) @ root + offset
    _, axes = principal_axes(view.T @ view)
    matrix = root @ axes
    return MetricMap(matrix, offset @ axes - centre @ matrix)
