"""R2 of reconstructions: of all columns together, in standardised or in own units, and of each column."""

import numpy as np

from aaptvae.rows import Matrix, Rows


def r_squared(x: Matrix, prediction: Matrix, unit: float = 1.0) -> float:
    """1 - residual / total sum of squares around the column means of x [N, D], whose values are accurate to float32 of `unit`.

    Where no column varies by more than roundings, 1 for a residual of roundings and 0 for others, as in scikit-learn.
    """
    totals, residual = ((x - x.mean(axis=0)) ** 2).sum(axis=0), float(((x - prediction) ** 2).sum())
    roundings = np.finfo(np.float32).eps ** 2 * (x**2 + unit**2).sum(axis=0)
    if (totals <= roundings).all():
        return float(residual <= roundings.sum())
    return 1 - residual / float(totals.sum())


def raw_r_squared(x: Rows, prediction: Rows | Matrix) -> float:
    """The same of features in their own units, however small these are."""
    return r_squared(x.astype(np.float64), prediction.astype(np.float64), unit=0.0)


def column_r_squared(x: Matrix, prediction: Matrix) -> Matrix:
    """R2 of each column of x [N, D]: [D]; 1 for a column without variance."""
    residual, total = ((x - prediction) ** 2).sum(axis=0), ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    shares: Matrix = np.where(total > 0, 1 - residual / np.where(total > 0, total, 1.0), 1.0)
    return shares
