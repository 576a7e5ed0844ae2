"""Figures of a trained model for each category of its conditions."""

from collections.abc import Iterator, Sequence

import numpy as np

from aaptvae.bundle.manifest import Condition
from aaptvae.rows import Rows

from ..run.json_files import CategoryFigures
from .judge import Judge

MOST_CATEGORIES = 50  # with figures of their own


def figures_by_category(judge: Judge, rows: Rows, conditions: Sequence[Condition]) -> list[CategoryFigures]:
    """Figures of every category that raw rows [N, D + C] hold, up to `MOST_CATEGORIES`; empty without categories."""
    if not any(spec.categories for spec in conditions):
        return []
    elbo, error = judge.elbo_of_rows(rows), judge.errors(rows)
    figures: list[CategoryFigures] = []
    for name, category, column in _columns(conditions):
        held = rows[:, judge.model.input_dim + column] > 0
        if held.any() and len(figures) < MOST_CATEGORIES:
            means = (float(values[held].mean()) for values in (elbo, error))
            figures.append(CategoryFigures(name, category, int(np.count_nonzero(held)), *means))
    return figures


def _columns(conditions: Sequence[Condition]) -> Iterator[tuple[str, str, int]]:
    """Condition, category and the column of c of each category."""
    start = 0
    for spec in conditions:
        for index, category in enumerate(spec.categories):
            yield spec.name, category, start + index
        start += spec.width
