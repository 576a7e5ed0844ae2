"""The prior of latents: N(0, I), or a mixture of Gaussians fitted to the aggregate posterior."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, InputError
from ..rows import BLOCK, Array, Arrays, Matrix, Nats, Rows, steady_product, sum_rows
from .noise import Stream, normal_rows, uniform_rows
from .observation import LOG_2PI

PriorKind = Literal["standard", "gaussian", "mixture"]

ARRAYS = {"weights": 1, "means": 2, "factors": 3}
OPTIONAL = {"gate": 2}
MAX_TEMPERATURE = 1e6  # beyond, decoded values overflow float32


@dataclass(frozen=True, eq=False)
class LatentPrior:
    """Mixture of K Gaussians over latents; K = 0 is the standard normal.

    `weights` [K], `means` [K, L] and `factors` [K, L, L], lower Cholesky factors of the covariances, in float64. Given
    conditions c [C], the weights are softmax(log `weights` + `gate` c) with a `gate` [K, C], where there is one (`under`).
    """

    weights: Matrix
    means: Matrix
    factors: Matrix
    gate: Matrix | None = None

    @classmethod
    def standard(cls, latent_dim: int) -> "LatentPrior":
        """N(0, I) in `latent_dim` dimensions."""
        return cls(np.zeros(0), np.zeros((0, latent_dim)), np.zeros((0, latent_dim, latent_dim)))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "LatentPrior":
        """The prior of the arrays from `to_arrays`; raises `BundleError` for invalid arrays."""
        weights, means, factors = (np.asarray(arrays[name], np.float64) for name in ARRAYS)
        count, width = means.shape if means.ndim == 2 else (0, 0)
        if means.ndim != 2 or weights.shape != (count,) or factors.shape != (count, width, width):
            raise BundleError(
                f"prior has weights {weights.shape}, means {means.shape}, factors {factors.shape}: "
                "expected [K], [K, L], [K, L, L]: export the bundle again"
            )
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        if count and (
            abs(weights.sum() - 1) > 1e-6 or weights.min() < 0 or (diagonals <= 0).any() or np.triu(factors, 1).any()
        ):
            raise BundleError(
                "prior is no mixture: expected weights that add up to 1 and lower triangular factors "
                "with a positive diagonal: export the bundle again"
            )
        gate = np.asarray(arrays["gate"], np.float64) if "gate" in arrays else None
        if gate is not None and (gate.ndim != 2 or len(gate) != count or not np.isfinite(gate).all()):
            raise BundleError(f"prior has a gate {gate.shape}: expected finite numbers [{count}, C]: export the bundle again")
        return cls(weights, means, factors, gate)

    def to_arrays(self) -> Arrays:
        """The arrays of `prior.npz`."""
        arrays: Arrays = {"weights": self.weights, "means": self.means, "factors": self.factors}
        return arrays if self.gate is None else arrays | {"gate": self.gate}

    def under(self, c: Rows | None) -> "LatentPrior":
        """The density of rows under conditions c [N, C]: with weights [N, K], and for N rows. Itself without a gate."""
        if c is None or self.gate is None:
            return self
        with np.errstate(divide="ignore"):  # a component of weight zero has none under any condition
            logits = np.log(self.weights) + steady_product(c, self.gate.T)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return LatentPrior(shares / shares.sum(axis=1, keepdims=True), self.means, self.factors)

    @property
    def latent_dim(self) -> int:
        """L."""
        return int(self.means.shape[1])

    @property
    def kind(self) -> PriorKind:
        """The family of the density, as the manifest names it."""
        return "mixture" if len(self.means) > 1 else "gaussian" if len(self.means) else "standard"

    def marginal(self, basis: Matrix) -> "LatentPrior":
        """The density of `basis @ z`, for orthonormal rows `basis` [M, L]."""
        if not len(self.means):
            return LatentPrior.standard(len(basis))
        covariances = basis @ self.factors @ self.factors.transpose(0, 2, 1) @ basis.T
        factors = np.asarray(np.linalg.cholesky(covariances), np.float64)
        return LatentPrior(self.weights, self.means @ basis.T, factors, self.gate)

    def log_density(self, z: Rows) -> Nats:
        """log p(z) of each row, in nats: [N]."""
        constant = -0.5 * self.latent_dim * LOG_2PI
        if not len(self.means):
            return constant - 0.5 * sum_rows(np.square(z, dtype=np.float64))
        terms = np.empty((len(self.means), len(z)))
        for term, weight, mean, inverse in zip(terms, self.weights.T, self.means, self._inverses, strict=True):
            whitened = steady_product(z - mean, inverse.T)
            log_scale = np.log(np.diagonal(inverse)).sum()
            with np.errstate(divide="ignore"):  # a component of weight zero contributes nothing
                term[:] = np.log(weight) + constant + log_scale - 0.5 * sum_rows(np.square(whitened))
        density: Nats = np.logaddexp.reduce(terms, axis=0)
        return density

    def draw(self, seed: int, start: int, stop: int, temperature: float = 1.0) -> Rows:
        """Latents start..stop of the sequence that `seed` names: [stop - start, L], spread scaled by `temperature`."""
        if not isinstance(temperature, int | float | np.number) or not 0 <= temperature <= MAX_TEMPERATURE:
            raise InputError(f"temperature is {temperature!r}: expected 0 to {MAX_TEMPERATURE:g}, 1 is the density itself")
        first = start - start % BLOCK  # products are computed in whole blocks: a row's bits do not depend on the range
        noise = temperature * normal_rows(seed, first, stop, self.latent_dim, Stream.LATENT)
        if not len(self.means):
            return noise[start - first :]
        component = self._components(uniform_rows(seed, first, stop, 1, Stream.COMPONENT)[:, 0], start - first)
        z = np.zeros_like(noise)
        for k in np.unique(component[start - first :]):
            chosen = component == k
            z[chosen] = (self.means[k] + steady_product(noise, self.factors[k].T))[chosen]
        return z[start - first :]

    def _components(self, choice: Matrix, skipped: int) -> NDArray[np.int64]:
        """The component [N] that each uniform number chooses; weights of rows begin after `skipped` ones."""
        component = np.zeros(len(choice), np.int64)
        if self.weights.ndim == 1:
            component[:] = np.searchsorted(np.cumsum(self.weights), choice, "right")
        else:
            component[skipped:] = (np.cumsum(self.weights, axis=1) <= choice[skipped:, None]).sum(axis=1)
        return np.minimum(component, len(self.means) - 1)

    @cached_property
    def _inverses(self) -> Matrix:
        try:
            return np.asarray(np.linalg.inv(self.factors), np.float64)
        except np.linalg.LinAlgError:
            raise BundleError("prior has a singular factor: expected invertible covariances: export the bundle again") from None
