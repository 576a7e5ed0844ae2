"""Columns that hold a row number: an index that pandas, R or a database stored beside the features."""

import re

import numpy as np

from aaptvae.errors import InputError

from .table import Features

LEAST = 10  # rows that must count up
MOST = 4096  # rows that are looked at
_NAMELESS = re.compile(r"|unnamed_\d+|Unnamed: \d+|__index_level_\d+__|level_\d+")


def row_numbers(features: Features) -> list[str]:
    """Warnings about columns that rise by one from row to row.

    `InputError` for a column without a name of its own whose whole numbers differ: nobody chose it as a feature.
    """
    first = features.read(0, min(features.rows, MOST))[:, : features.width]
    if len(first) < LEAST:
        return []
    with np.errstate(invalid="ignore"):  # infinities are refused later
        steps = np.diff(first, axis=0)
        whole = (first % 1 == 0).all(axis=0)
    for column, name in enumerate(features.columns or ()):
        if whole[column] and _NAMELESS.fullmatch(name) and len(np.unique(first[:, column])) == len(first):
            raise InputError(
                f"column {column}, called {name!r}, holds different whole numbers, as an index of pandas or R does: "
                f"leave it out with --drop (drop=[{name!r}] in Python), or choose the features with --columns"
            )
    counting = [features.called(int(column)) for column in np.flatnonzero((steps == 1).all(axis=0) & whole)]
    return [
        f"column {name} rises by one from row to row, as a row number does: if it is one, leave it out with --drop {name}"
        for name in counting
    ]
