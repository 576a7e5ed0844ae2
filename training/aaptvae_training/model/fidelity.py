"""Squared errors of reconstructions, in the units in which they are held to those of PCA."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .scaler import FeatureScaler

MARGIN = 0.998  # validation rows must reach this share of PCA's squared error, because test rows have slightly larger errors


@dataclass(frozen=True)
class Fidelity:
    """The squared errors of PCA in each of U units: standardised ones and, with `weights`, the features' own.

    `tolerated` [U] are errors per validation row; `unexplained` [U] is the variance that PCA leaves in a direction. `weights`
    [D] turn squared standardised errors into those in own units, times a factor that makes the total variance equal in both.
    """

    unexplained: Sequence[float] = (1.0,)
    tolerated: Sequence[float] = (math.inf,)
    weights: Tensor | None = None

    def errors(self, scaler: FeatureScaler, difference: Tensor) -> Tensor:
        """Squared length of differences of scaled rows [n, D] in each of the units: [U, n]."""
        squares = scaler.squared_length(difference)
        if self.weights is None:
            return squares[None]
        standardised = scaler.to_standardised(difference)
        return torch.stack([squares, standardised.square() @ self.weights.to(standardised)])

    def penalty(self, scaler: FeatureScaler, difference: Tensor, factors: Sequence[float]) -> Tensor:
        """Mean squared error over twice the unexplained variance, times the factor of its unit, summed over units: []."""
        errors = self.errors(scaler, difference).mean(dim=1)
        return sum((0.5 * f / v * e for f, v, e in zip(factors, self.unexplained, errors, strict=True)), errors.new_zeros(()))

    def reached(self, errors: Sequence[float]) -> list[bool]:
        """In which units errors per validation row [U] are below PCA's, by a margin."""
        return [error <= MARGIN * most for error, most in zip(errors, self.tolerated, strict=True)]
