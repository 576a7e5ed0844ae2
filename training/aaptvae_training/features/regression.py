"""The mean of the features given the conditions: their regression on c, accumulated block by block."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from aaptvae.rows import Matrix, Rows

from .moments import Statistics, Sums

PRIOR_ROWS = 1.0  # weight of "no effect" beside the rows; a category of one row moves the mean half-way


class Regression(NamedTuple):
    """Features x [D] given c [C] have the mean `mean` + (c - `centre`) @ `coefficients` [C, D], in raw units."""

    centre: Matrix
    coefficients: Matrix

    def location(self, rows: Rows) -> Matrix:
        """The part of the mean that depends on the conditions in the last columns of rows [N, D + C]: [N, D]."""
        centred = rows[:, -len(self.centre) :] - self.centre
        return np.asarray(centred @ self.coefficients)


class Products(Sums):
    """Accumulates products of c with c and with x over rows [N, D + C]."""

    def __init__(self, width: int, conditions: int) -> None:
        super().__init__(width + conditions)
        self._width, self._products = width, np.zeros((conditions, width + conditions))

    def _add_products(self, block: Rows, centred: Matrix) -> None:
        self._products += centred[:, self._width :].T @ centred

    def regression(self, statistics: Statistics, affine: bool) -> tuple[Regression, Statistics]:
        """The ridge regression of x on c, and the statistics of the residuals: their variance, and covariance if known.

        A = (S_cc + I PRIOR_ROWS / N)^-1 S_cx; one-hot columns sum to 1, so that S_cc alone would be singular.
        Not `affine`, it is zero.
        """
        offset = self._sum / self.rows
        centre = (offset if self._shift is None else self._shift + offset)[self._width :]
        products = self._products / self.rows - np.outer(offset[self._width :], offset)
        crossed, square = products[:, : self._width], products[:, self._width :]
        ridge = square + np.eye(len(square)) * PRIOR_ROWS / self.rows
        coefficients: Matrix = np.zeros_like(crossed)
        if affine:
            coefficients += np.linalg.solve(ridge, crossed)
        # S_xx - S_xc A - A' S_cx + A' S_cc A, the covariance of x - A' c for any A.
        half = crossed - 0.5 * square @ coefficients
        variance = statistics.variance - 2 * (coefficients * half).sum(axis=0)
        covariance = statistics.covariance
        if covariance is not None:
            part = coefficients.T @ half
            covariance = covariance - part - part.T
        residual = replace(statistics, variance=np.maximum(variance, 0), covariance=covariance)
        return Regression(centre, coefficients), residual
