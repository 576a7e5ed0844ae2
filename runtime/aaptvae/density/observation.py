"""The observation model p(x|z) around a reconstruction, measured in standardised features, and the KL term."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, InputError
from ..rows import BLOCK, Array, Arrays, Matrix, Nats, Rows, steady_product, sum_rows
from .noise import Stream, chi_square_rows, normal_rows, uniform_rows

ARRAYS = {"mean": 1, "scale": 1, "sigma": 1}
OPTIONAL = {"basis": 2, "freedom": 1}
LOG_2PI = math.log(2 * math.pi)
Kind = Literal["gaussian", "student", "bernoulli"]
LOG_2PI = math.log(2 * math.pi)

_MOST_FREEDOM = 1e15  # numerically a Gaussian; beyond, the gamma function overflows


@dataclass(frozen=True, eq=False)
class ObservationModel:
    """Noise of the features given their reconstruction.

    gaussian: standardised features (x - `mean`) / `scale` [D] have covariance basis diag(sigma**2) basis', with `sigma`
    [1] or [D] and orthonormal columns in `basis` [D, D] (None is the identity). student: that is the scale matrix of a
    multivariate t with `freedom` degrees of freedom, above 2. bernoulli: x in [0, 1], the reconstruction is the
    probability.
    """

    kind: Kind
    mean: Matrix
    scale: Matrix
    sigma: Matrix
    basis: Matrix | None = None
    freedom: float = math.inf

    @classmethod
    def from_arrays(cls, kind: Kind, arrays: Mapping[str, Array]) -> "ObservationModel":
        """The model of the arrays from `to_arrays`; raises `BundleError` if shapes or signs are wrong."""
        mean, scale, sigma = (np.asarray(arrays[name], np.float64) for name in ARRAYS)
        basis = np.asarray(arrays["basis"], np.float64) if "basis" in arrays else None
        width = len(mean)
        if (
            scale.shape != (width,)
            or sigma.shape not in ((1,), (width,))
            or (basis is not None and basis.shape != (width, width))
        ):
            raise BundleError(
                f"likelihood has mean {mean.shape}, scale {scale.shape}, sigma {sigma.shape}: expected "
                "[D], [D], [1] or [D], and basis [D, D]: export the bundle again"
            )
        if (scale <= 0).any() or (kind != "bernoulli" and (sigma <= 0).any()):
            raise BundleError("likelihood has a scale or sigma that is not positive: export the bundle again")
        if (kind == "student") != ("freedom" in arrays):
            raise BundleError(f"likelihood is {kind}: expected degrees of freedom with student only: export it again")
        if kind != "student":
            return cls(kind, mean, scale, sigma, basis)
        if arrays["freedom"].shape != (1,) or not 2 < arrays["freedom"][0] <= _MOST_FREEDOM:
            raise BundleError("likelihood has no degrees of freedom above 2 (and up to 1e15): export the bundle again")
        return cls(kind, mean, scale, sigma, basis, float(arrays["freedom"][0]))

    def to_arrays(self) -> Arrays:
        """The arrays of `likelihood.npz`."""
        arrays: Arrays = {"mean": self.mean, "scale": self.scale, "sigma": self.sigma}
        if self.basis is not None:
            arrays["basis"] = self.basis
        if self.kind == "student":
            arrays["freedom"] = np.array([self.freedom])
        return arrays

    @property
    def unit(self) -> Matrix:
        """Scale of float32 rounding of each feature [D]: max(deviation, |mean|); 1 for bernoulli."""
        return np.ones_like(self.scale) if self.kind == "bernoulli" else np.maximum(self.scale, np.abs(self.mean))

    def squared_error(self, x: Rows, x_hat: Rows) -> Nats:
        """Mean squared error of the standardised features of each row: [N]."""
        return sum_rows(np.square((np.asarray(x, np.float64) - x_hat) / self.scale)) / len(self.mean)

    def log_density(self, x: Rows, x_hat: Rows) -> Nats:
        """log p(x | x_hat) of each row, in nats of the standardised features: [N]."""
        if self.kind == "bernoulli":
            return _bernoulli(x, x_hat)
        residual = (np.asarray(x, np.float64) - x_hat) / self.scale
        if self.basis is not None:
            residual = steady_product(residual, self.basis)
        residual /= self.sigma
        width = len(self.mean)
        distance = sum_rows(np.square(residual))
        volume = float(np.log(np.broadcast_to(self.sigma, width)).sum())
        if self.kind == "student":  # the multivariate t of Lange et al. 1989
            norm = math.lgamma(0.5 * (self.freedom + width)) - math.lgamma(0.5 * self.freedom)
            norm -= 0.5 * width * math.log(math.pi * self.freedom)
            return norm - volume - 0.5 * (self.freedom + width) * np.log1p(distance / self.freedom)
        return -0.5 * distance - volume - 0.5 * width * LOG_2PI

    def add_noise(self, x_hat: Rows, seed: int, start: int, stop: int) -> Rows:
        """Rows start..stop of a seeded sequence of observations around `x_hat`, in raw features: [N, D]."""
        width = len(self.mean)
        if self.kind == "bernoulli":
            return (uniform_rows(seed, start, stop, width, Stream.OBSERVATION) < x_hat).astype(np.float32)
        first = start - start % BLOCK
        noise: NDArray[np.floating[Any]] = self.sigma * normal_rows(seed, first, stop, width, Stream.OBSERVATION)
        if self.basis is not None:
            noise = steady_product(noise, self.basis.T)
        noise = noise[start - first :]
        if self.kind == "student":  # a Gaussian divided by the root of an independent chi-square
            noise = noise / np.sqrt(chi_square_rows(seed, start, stop, self.freedom, Stream.TAIL) / self.freedom)
        return (x_hat + self.scale * noise).astype(np.float32)


def _bernoulli(x: Rows, p: Rows) -> Nats:
    if ((x < 0) | (x > 1)).any():
        raise InputError(
            f"x goes from {x.min()} to {x.max()}: this bundle's likelihood is bernoulli and expects "
            "features in [0, 1]: rescale them as for training"
        )
    tiny = float(np.finfo(np.float32).eps)
    value, probability = np.asarray(x, np.float64), np.clip(np.asarray(p, np.float64), tiny, 1 - tiny)
    return sum_rows(value * np.log(probability) + (1 - value) * np.log1p(-probability))


def kl_divergence(mu: Rows, logvar: Rows) -> Nats:
    """KL(N(mu, exp(logvar)) || N(0, I)) of each row, in nats: [N] (Kingma and Welling 2014, appendix B)."""
    mean, log_variance = np.asarray(mu, np.float64), np.asarray(logvar, np.float64)
    return 0.5 * sum_rows(mean * mean + np.exp(log_variance) - log_variance - 1)
