"""The rows that a model reconstructs worst, with their ids."""

from collections.abc import Sequence

import numpy as np

from aaptvae.rows import Rows

from ..features import Index
from ..run import RowFigures, RowId
from .judge import Judge

SHOWN_ROWS = 10


def worst_rows(judge: Judge, rows: Rows, positions: Index | None, ids: Sequence[RowId] | None) -> list[RowFigures]:
    """The rows of [N, D + C] with the largest squared error, the largest first; `positions` [N] are those in their table."""
    errors = judge.errors(rows)
    worst = np.argsort(-errors, kind="stable")[:SHOWN_ROWS]
    elbo = judge.elbo_of_rows(rows[worst])
    places = worst if positions is None else positions[worst]
    named = [() if ids is None else ids[row] for row in worst]
    found = zip(places.tolist(), named, errors[worst].tolist(), elbo.tolist(), strict=True)
    return [RowFigures(row, [*texts], error, evidence) for row, texts, error, evidence in found]
