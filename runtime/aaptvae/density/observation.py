"""The observation model p(x|z) around a reconstruction, measured in standardised features."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, InputError
from ..rows import BLOCK, Array, Arrays, Matrix, Nats, Rows, steady_product, sum_rows
from .noise import Stream, chi_square_rows, normal_rows, uniform_rows

ARRAYS = {"mean": 1, "scale": 1, "sigma": 1}
OPTIONAL = {"basis": 2, "freedom": 1, "broad_sigma": 1, "broad": 1, "constant": 1, "heldout_elbo": 1}
Kind = Literal["gaussian", "student", "bernoulli"]
LOG_2PI = math.log(2 * math.pi)

_MOST_FREEDOM = 1e15  # numerically a Gaussian; beyond, the gamma function overflows


class Broad(NamedTuple):
    """Noise that a `share` of the rows has instead: a multivariate t of scales `sigma` [D] along the same axes."""

    sigma: NDArray[np.float64]
    share: float
    freedom: float


@dataclass(frozen=True, eq=False)
class ObservationModel:
    """Noise of the features given their reconstruction.

    gaussian: standardised features (x - `mean`) / `scale` [D] have covariance basis diag(sigma**2) basis', with `sigma`
    [1] or [D] and orthonormal columns in `basis` [D, D] (None is the identity). student: that is the scale matrix of a
    multivariate t with `freedom` degrees of freedom, above 2, mixed with a `broad` one where there is one. Features that are
    `constant` [D] get no noise in samples. bernoulli: x in [0, 1], the reconstruction is the
    probability.
    """

    kind: Kind
    mean: Matrix
    scale: Matrix
    sigma: Matrix
    basis: Matrix | None = None
    freedom: float = math.inf
    broad: Broad | None = None
    constant: NDArray[np.bool_] | None = None

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
        constant = _mask(arrays, width)
        if kind != "student":
            return cls(kind, mean, scale, sigma, basis, constant=constant)
        if arrays["freedom"].shape != (1,) or not 2 < arrays["freedom"][0] <= _MOST_FREEDOM:
            raise BundleError("likelihood has no degrees of freedom above 2 (and up to 1e15): export the bundle again")
        return cls(kind, mean, scale, sigma, basis, float(arrays["freedom"][0]), _broad(arrays, width), constant)

    def to_arrays(self) -> Arrays:
        """The arrays of `likelihood.npz`."""
        arrays: Arrays = {"mean": self.mean, "scale": self.scale, "sigma": self.sigma}
        if self.basis is not None:
            arrays["basis"] = self.basis
        if self.kind == "student":
            arrays["freedom"] = np.array([self.freedom])
        if self.broad is not None:
            arrays |= {"broad_sigma": self.broad.sigma, "broad": np.array([self.broad.share, self.broad.freedom])}
        if self.constant is not None and self.constant.any():
            arrays["constant"] = self.constant.astype(np.float64)
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
        density = _elliptical(residual, self.sigma, self.freedom if self.kind == "student" else math.inf)
        if self.broad is None:
            return density
        broad = _elliptical(residual, self.broad.sigma, self.broad.freedom)
        mixed: Nats = np.logaddexp(math.log1p(-self.broad.share) + density, math.log(self.broad.share) + broad)
        return mixed

    def add_noise(self, x_hat: Rows, seed: int, start: int, stop: int) -> Rows:
        """Rows start..stop of a seeded sequence of observations around `x_hat`, in raw features: [N, D]."""
        width = len(self.mean)
        if self.kind == "bernoulli":
            return (uniform_rows(seed, start, stop, width, Stream.OBSERVATION) < x_hat).astype(np.float32)
        first = start - start % BLOCK
        noise: NDArray[np.floating[Any]] = normal_rows(seed, first, stop, width, Stream.OBSERVATION)
        is_broad = np.zeros((stop - first, 1), bool)
        if self.broad is not None:
            is_broad = uniform_rows(seed, first, stop, 1, Stream.BREADTH) < self.broad.share
            noise = np.where(is_broad, self.broad.sigma, self.sigma) * noise
        else:
            noise = self.sigma * noise
        if self.basis is not None:
            noise = steady_product(noise, self.basis.T)
        noise = noise[start - first :]
        if self.kind == "student":  # a Gaussian over the root of an independent chi-square
            tail = self._chi_square(seed, start, stop, self.freedom)
            if self.broad is not None:
                tail = np.where(is_broad[start - first :], self._chi_square(seed, start, stop, self.broad.freedom), tail)
            noise = noise / np.sqrt(tail)
        if self.constant is not None:
            noise = np.where(self.constant, 0.0, noise)
        return (x_hat + self.scale * noise).astype(np.float32)

    @staticmethod
    def _chi_square(seed: int, start: int, stop: int, freedom: float) -> NDArray[np.floating[Any]]:
        """Draws of chi-square over its degrees of freedom: [N, 1]."""
        draws: NDArray[np.floating[Any]] = chi_square_rows(seed, start, stop, freedom, Stream.TAIL) / freedom
        return draws


def _elliptical(residual: NDArray[np.float64], sigma: NDArray[np.float64], freedom: float) -> Nats:
    """Log density of residuals [N, D] under a multivariate t (Lange et al. 1989), a Gaussian at infinite `freedom`: [N]."""
    width = residual.shape[1]
    distance: Nats = sum_rows(np.square(residual / sigma))
    volume = float(np.log(np.broadcast_to(sigma, width)).sum())
    if math.isinf(freedom):
        gaussian: Nats = -0.5 * distance - volume - 0.5 * width * LOG_2PI
        return gaussian
    norm = math.lgamma(0.5 * (freedom + width)) - math.lgamma(0.5 * freedom) - 0.5 * width * math.log(math.pi * freedom)
    student: Nats = norm - volume - 0.5 * (freedom + width) * np.log1p(distance / freedom)
    return student


def _broad(arrays: Mapping[str, NDArray[Any]], width: int) -> Broad | None:
    if "broad" not in arrays and "broad_sigma" not in arrays:
        return None
    sigma = np.asarray(arrays.get("broad_sigma", ()), np.float64)
    facts = np.asarray(arrays.get("broad", ()), np.float64)
    if (
        sigma.shape != (width,)
        or facts.shape != (2,)
        or not ((sigma > 0).all() and 0 < facts[0] < 1 and 2 < facts[1] <= _MOST_FREEDOM)
    ):
        raise BundleError(
            "likelihood has broad noise without scales above 0 [D], a share in (0, 1) and degrees of freedom above 2: "
            "export the bundle again"
        )
    return Broad(sigma, float(facts[0]), float(facts[1]))


def _mask(arrays: Mapping[str, NDArray[Any]], width: int) -> NDArray[np.bool_] | None:
    if "constant" not in arrays:
        return None
    constant = np.asarray(arrays["constant"])
    if constant.shape != (width,) or not np.isin(constant, (0, 1)).all():
        raise BundleError("likelihood has a mask of constant columns that is not 0 or 1 for each: export the bundle again")
    return constant.astype(bool)


def _bernoulli(x: Rows, p: Rows) -> Nats:
    if ((x < 0) | (x > 1)).any():
        raise InputError(
            f"x goes from {x.min()} to {x.max()}: this bundle's likelihood is bernoulli and expects "
            "features in [0, 1]: rescale them as for training"
        )
    tiny = float(np.finfo(np.float32).eps)
    value, probability = np.asarray(x, np.float64), np.clip(np.asarray(p, np.float64), tiny, 1 - tiny)
    return sum_rows(value * np.log(probability) + (1 - value) * np.log1p(-probability))
