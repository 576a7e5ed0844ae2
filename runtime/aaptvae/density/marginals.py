"""Monotone maps, one for each column, from the distribution of the model's samples to that of the training rows.

A column's map is its observed quantile function after the distribution function of the model: F_train^-1(F_model(x)). It
keeps the order of samples, so their dependence, and gives each column the observed values and range.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError
from ..rows import Array, Arrays, Matrix, Rows

ARRAYS = {"counts": 1, "rules": 1, "quantiles": 1, "values": 1}
STEPS = -1.0  # a rule: observed values alone; 0 stands for lines between knots, m > 0 for lines rounded to multiples of 1 / m
MOST_PER_UNIT = 1e6
_NUMBERS, _LEAST_ROWS = 1 << 20, 4_096  # that are mapped at once: in the processor's cache, and enough for a column's overhead


@dataclass(frozen=True, eq=False)
class Marginals:
    """Maps of D columns, of knots (`quantiles`, `values`) [K], of each column the next `counts` [D]; both ascend.

    `quantiles` are of the model's samples, `values` of the training rows. A column j whose rule is `STEPS` has a step function:
    values[k] from quantiles[k] on. In other columns the map is linear between knots, and rounded to multiples of 1 / rules[j]
    where rules[j] > 0. Below the first knot it is the first value, above the last knot the last value.
    """

    counts: NDArray[np.int64]
    rules: Matrix
    quantiles: Matrix
    values: Matrix

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "Marginals":
        """The maps of the arrays from `to_arrays`; raises `BundleError` for invalid ones."""
        counts, rules, quantiles, values = (np.asarray(arrays[name], np.float64) for name in ARRAYS)
        quantiles = quantiles if len(quantiles) else values
        total = len(quantiles)
        if len(values) != total or len(rules) != len(counts) or not _are_counts(counts, total):
            raise BundleError(
                f"marginals has counts {counts.shape}, rules {rules.shape}, quantiles {quantiles.shape}, values "
                f"{values.shape}: expected [D], [D], and twice as many knots as the counts add up to: export the bundle again"
            )
        if not (((rules == STEPS) | (rules >= 0)) & (rules <= MOST_PER_UNIT)).all():
            raise BundleError(f"marginals has a rule that is not -1 or 0 to {MOST_PER_UNIT:g}: export the bundle again")
        same = np.diff(np.repeat(np.arange(len(counts)), counts.astype(np.int64))) == 0
        if (np.diff(quantiles)[same] < 0).any() or (np.diff(values)[same] < 0).any():
            raise BundleError("marginals has knots that do not ascend within a column: export the bundle again")
        return cls(counts.astype(np.int64), rules, quantiles, values)

    def to_arrays(self) -> Arrays:
        """The arrays of `marginals.npz`, in float32; quantiles that equal the values, of maps that only limit, are left out."""
        arrays: Arrays = {name: getattr(self, name).astype(np.float32) for name in ARRAYS}
        same = np.array_equal(arrays["quantiles"], arrays["values"])
        return arrays | {"quantiles": arrays["quantiles"][:0]} if same else arrays

    def apply(self, rows: Rows) -> None:
        """Map samples of the model [N, D], with observation noise, in place; each number by itself."""
        ends = np.cumsum(self.counts)
        size = max(_LEAST_ROWS, _NUMBERS // len(self.counts))
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            for column, (end, count, rule) in enumerate(zip(ends, self.counts, self.rules, strict=True)):
                knots = slice(end - count, end)
                part[:, column] = mapped(part[:, column], self.quantiles[knots], self.values[knots], rule)


def mapped(x: Array, quantiles: Matrix, values: Matrix, rule: float) -> Matrix:
    """Numbers [N] of one column by the map of its knots [K]."""
    x = np.asarray(x, np.float64)
    after = np.searchsorted(quantiles, x, "right")  # knots at or below each number
    low = np.maximum(after - 1, 0)
    if rule == STEPS:
        return values[low]
    high = np.minimum(after, len(values) - 1)
    width = quantiles[high] - quantiles[low]  # 0 outside of the knots
    share = np.clip((x - quantiles[low]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    found = np.minimum(values[low] + share * (values[high] - values[low]), values[high])
    if rule > 0:
        found = np.clip(np.floor(found * rule + 0.5) / rule, values[0], values[-1])
    result: Matrix = found
    return result


def _are_counts(counts: Matrix, total: int) -> bool:
    """Whether these are positive whole numbers that add up to `total`."""
    return bool(len(counts) and (counts >= 1).all() and (counts == np.rint(counts)).all() and counts.sum() == total)
