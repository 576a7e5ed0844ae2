"""One pass over a feature file before training: bad values, norms and moments. Needs no torch."""

import os
from collections.abc import Callable

import numpy as np

from aaptvae.errors import InputError
from aaptvae.files import Reading
from aaptvae.files.opening import READ_ALL
from aaptvae.rows import Matrix, Rows

from ..features import (
    ColumnFacts,
    Features,
    Mask,
    Moments,
    RowKeys,
    constant_columns,
    findings,
    open_features,
    row_numbers,
    wants_covariance,
    without,
)
from ..memory import needs_of_diagnosis, refuse_shortage
from ..progress import TrainingProgress
from .figures import BadValue, Diagnosis, Norms, UsableRows, spectrum_of
from .words import remarks

NAMED = 8  # bad rows that are listed with a column; the others are counted
_MOST_NORMS = 1 << 20
_UNIT = 0.01  # largest distance from 1 of the norms of unit vectors


class Survey:
    """Accumulates counts of bad values, and norms and moments of the finite rows."""

    def __init__(self, rows: int, width: int) -> None:
        self.moments = Moments(width, products=wants_covariance(rows, width))
        self.columns = ColumnFacts(rows, width)
        self.bad_rows = self.bad_values = 0
        self.first_bad: list[BadValue] = []
        self._norms = np.empty(0)
        self._stride = 1
        self._least, self._most = np.inf, -np.inf

    def add(self, start: int, block: Rows) -> None:
        """Add rows [n, D] that begin at row `start`; NaN and infinities are allowed."""
        finite = np.isfinite(block)
        usable = finite.all(axis=1)
        for row in np.flatnonzero(~usable):
            if len(self.first_bad) < NAMED:
                column = int(finite[row].argmin())
                self.first_bad.append(BadValue(start + int(row), column, str(block[row, column])))
        self.bad_rows += int((~usable).sum())
        self.bad_values += int(finite.size - finite.sum())
        rows = block[usable] if not usable.all() else block
        self.moments.add(rows)
        self.columns.add(rows)
        self._add_norms(np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64)))

    def _add_norms(self, norms: Matrix) -> None:
        """Keep every norm of small tables and every k-th one of large tables; the extremes are exact."""
        if len(norms):
            self._least, self._most = min(self._least, float(norms.min())), max(self._most, float(norms.max()))
        self._norms = np.concatenate([self._norms, norms[:: self._stride]])
        if len(self._norms) > _MOST_NORMS:
            self._norms, self._stride = self._norms[::2], 2 * self._stride

    def norms(self) -> Norms:
        """Norms of the finite rows; there must be at least one."""
        unit = self._least > 1 - _UNIT and self._most < 1 + _UNIT
        return Norms(self._least, float(np.median(self._norms)), self._most, unit)


def diagnose(
    path: str | os.PathLike[str],
    sigma: float | None = None,
    progress: TrainingProgress | None = None,
    reading: Reading = READ_ALL,
) -> Diagnosis:
    """Examine a feature file in one pass; rows with NaN or infinity are counted and left out.

    With `sigma`, active latents are also predicted for this fixed deviation of standardised features. `InputError` for a
    file that is no table of numbers, or a sigma that is not positive.
    """
    if sigma is not None and not 0 < sigma < np.inf:
        raise InputError(f"--sigma is {sigma}: a fixed deviation must be positive and finite: give one such as 0.7")
    progress = progress or TrainingProgress()
    with open_features(path, reading) as features:
        refuse_shortage(needs_of_diagnosis(features.rows, features.width), features.rows, features.width)
        progress.stage("reading", features.rows)
        survey, keys = Survey(features.rows, features.width), RowKeys(features)
        for start, block in features.blocks():
            survey.add(start, block)
            keys.add(start, block)
            progress.advance(len(block))
        facts = _facts_of(features, survey, os.fspath(path)) | {"copied_rows": keys.copies}
        if survey.moments.rows:
            statistics = survey.moments.statistics()
            constant = constant_columns(statistics, np.dtype(features.dtype))
            facts |= spectrum_of(UsableRows(statistics, constant, features), sigma) | {"norms": survey.norms()}
            facts |= _findings(survey.columns, without(constant, features.rounding.columns()), features.called)
    found = Diagnosis(**facts)  # type: ignore[arg-type]
    return Diagnosis(**facts | remarks(found))  # type: ignore[arg-type]


def _findings(columns: ColumnFacts, constant: Mask, called: Callable[[int], str]) -> dict[str, object]:
    """Fields of a `Diagnosis` about kinds of columns."""
    return {"findings": findings(columns, constant, called), "duplicates": columns.copies()}


def _facts_of(features: Features, survey: Survey, name: str) -> dict[str, object]:
    """Fields of a `Diagnosis` that need no finite row."""
    return {
        "name": name,
        "rows": features.rows,
        "width": features.width,
        "dtype": features.dtype,
        "bad_rows": survey.bad_rows,
        "bad_values": survey.bad_values,
        "first_bad": survey.first_bad,
        "columns": None if features.columns is None else list(features.columns),
        "notes": list(features.notes),
        "rounded": features.rounding.columns(),
        "row_numbers": row_numbers(features),
    }
