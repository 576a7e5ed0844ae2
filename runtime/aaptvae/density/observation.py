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
    [1] or [D] and orthonormal columns in `basis` [D, D] (None is the identity). A basis [D, K] of K < D columns comes with
    `sigma` [K + 1], whose last number is the scale in all directions orthogonal to them. student: that is the scale matrix of a
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
    def from_arrays(cls, kind: Kind, arrays: Mapping[str, Array], restore: Array | None = None) -> "ObservationModel":
        """The model of the arrays from `to_arrays`; raises `BundleError` if shapes or signs are wrong.

        `restore` [D, K] is the decoder's map from the coordinates along the axes to raw features, where it holds the basis.
        """
        if restore is not None:
            arrays = {**arrays, "basis": _basis_of(restore, arrays["scale"])}
        mean, scale, sigma = (np.asarray(arrays[name], np.float64) for name in ARRAYS)
        basis = np.asarray(arrays["basis"], np.float64) if "basis" in arrays else None
        width = len(mean)
        axes = width if basis is None else min(basis.shape[1] + 1, width)  # each has a scale
        if scale.shape != (width,) or sigma.shape not in ((1,), (axes,)) or not _is_basis(basis, width):
            raise BundleError(
                f"likelihood has mean {mean.shape}, scale {scale.shape}, sigma {sigma.shape}: expected [D], [D], [1] or "
                "[D], and basis [D, D], or [K + 1] and [D, K]: export the bundle again"
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
        return cls(kind, mean, scale, sigma, basis, float(arrays["freedom"][0]), _broad(arrays, axes), constant)

    @staticmethod
    def basis_elsewhere(arrays: Mapping[str, Array]) -> tuple[int, int]:
        """Shape [D, K] of a basis that the decoder holds: the arrays then have K + 1 scales and no basis; else K is 0."""
        count, width = len(arrays["sigma"]), len(arrays["mean"])
        return width, 0 if "basis" in arrays or count in (1, width) else count - 1

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
        along, others = (residual, 1) if self.basis is None else _along(residual, self.basis)
        density = _elliptical(along, self.sigma, self.freedom if self.kind == "student" else math.inf, others)
        if self.broad is None:
            return density
        broad = _elliptical(along, self.broad.sigma, self.broad.freedom, others)
        mixed: Nats = np.logaddexp(math.log1p(-self.broad.share) + density, math.log(self.broad.share) + broad)
        return mixed

    def add_noise(self, x_hat: Rows, seed: int, start: int, stop: int) -> Rows:
        """Rows start..stop of a seeded sequence of observations around `x_hat`, in raw features: [N, D]."""
        width = len(self.mean)
        if self.kind == "bernoulli":
            return (uniform_rows(seed, start, stop, width, Stream.OBSERVATION) < x_hat).astype(np.float32)
        first = start - start % BLOCK
        is_broad, sigma = np.zeros((stop - first, 1), bool), self.sigma
        if self.broad is not None:
            is_broad = uniform_rows(seed, first, stop, 1, Stream.BREADTH) < self.broad.share
            sigma = np.where(is_broad, self.broad.sigma, self.sigma)
        noise = self._scaled(normal_rows(seed, first, stop, width, Stream.OBSERVATION), sigma)[start - first :]
        if self.kind == "student":  # a Gaussian over the root of an independent chi-square
            tail = self._chi_square(seed, start, stop, self.freedom)
            if self.broad is not None:
                tail = np.where(is_broad[start - first :], self._chi_square(seed, start, stop, self.broad.freedom), tail)
            noise = noise / np.sqrt(tail)
        if self.constant is not None:
            noise = np.where(self.constant, 0.0, noise)
        return (x_hat + self.scale * noise).astype(np.float32)

    def _scaled(self, white: Rows, sigma: Matrix) -> NDArray[np.floating[Any]]:
        """Standard normal rows [N, D] with these scales along the axes, [K + 1], [D] or for each row."""
        if self.basis is None:
            return sigma * white
        if self.basis.shape[1] == len(self.basis):
            return steady_product(sigma * white, self.basis.T)
        rest = sigma[..., -1:]  # the same in all other directions: only what the axes add needs their coordinates
        along = (sigma[..., : self.basis.shape[1]] - rest) * steady_product(white, self.basis)
        return rest * white + steady_product(along, self.basis.T)

    @staticmethod
    def _chi_square(seed: int, start: int, stop: int, freedom: float) -> NDArray[np.floating[Any]]:
        """Draws of chi-square over its degrees of freedom: [N, 1]."""
        draws: NDArray[np.floating[Any]] = chi_square_rows(seed, start, stop, freedom, Stream.TAIL) / freedom
        return draws


def _basis_of(restore: Array, scale: Array) -> Matrix:
    """Unit columns of a map from coordinates to raw features [D, K], in features divided by `scale` [D]."""
    if scale.shape != restore.shape[:1]:
        raise BundleError(f"likelihood has scale {scale.shape}, the decoder {restore.shape} axes: export the bundle again")
    basis = restore / np.maximum(scale, np.finfo(np.float64).tiny)[:, None]
    basis /= np.maximum(np.linalg.norm(basis, axis=0), np.finfo(np.float64).tiny)
    return basis


def _is_basis(basis: Matrix | None, width: int) -> bool:
    """Whether the shape is one of [D, 1] to [D, D]; None stands for the identity."""
    return basis is None or (len(basis) == width and 1 <= basis.shape[1] <= width)


def _along(residual: Matrix, basis: Matrix) -> tuple[Matrix, int]:
    """Coordinates of residuals [N, D] along a basis [D, K], and how many directions the last of them stands for.

    With K < D that is the length of the part that is orthogonal to the basis: [N, K + 1] and D - K.
    """
    along, others = steady_product(residual, basis), residual.shape[1] - basis.shape[1]
    if not others:
        return along, 1
    left = np.sqrt(np.maximum(sum_rows(np.square(residual)) - sum_rows(np.square(along)), 0))
    return np.concatenate([along, left[:, None]], axis=1), others


def _elliptical(residual: NDArray[np.float64], sigma: NDArray[np.float64], freedom: float, others: int) -> Nats:
    """Log density of residuals [N, D] under a multivariate t (Lange et al. 1989), a Gaussian at infinite `freedom`: [N].

    The last coordinate may be the length of a vector of `others` numbers that share a scale.
    """
    scales = np.log(np.broadcast_to(sigma, residual.shape[1]))
    volume = float(scales.sum()) + (others - 1) * float(scales[-1])
    return density_of_distance(sum_rows(np.square(residual / sigma)), volume, residual.shape[1] + others - 1, freedom)


def density_of_distance(distance: Nats, volume: float, width: int, freedom: float) -> Nats:
    """The same from squared distances [N] in units of the scales, and the sum of the log scales of all `width` numbers."""
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
            f"x goes from {x.min():g} to {x.max():g}: this bundle's likelihood is bernoulli and expects "
            "features in [0, 1]: rescale them as for training"
        )
    tiny = float(np.finfo(np.float32).eps)
    value, probability = np.asarray(x, np.float64), np.clip(np.asarray(p, np.float64), tiny, 1 - tiny)
    return sum_rows(value * np.log(probability) + (1 - value) * np.log1p(-probability))
