"""Columns without a name of their own that hold a row number: an index that pandas, R or a database has stored."""

import re

import numpy as np

from aaptvae.errors import InputError

from .table import Features

LEAST = 10  # rows that must differ
MOST = 4096  # rows that are looked at
_NAMELESS = re.compile(r"|unnamed_\d+|Unnamed: \d+|__index_level_\d+__|level_\d+")


def refuse_index(features: Features) -> None:
    """`InputError` for a column without a name of its own whose whole numbers differ: nobody chose it as a feature."""
    names = [(column, name) for column, name in enumerate(features.columns or ()) if _NAMELESS.fullmatch(name)]
    if not names or features.rows < LEAST:
        return
    first = features.read(0, min(features.rows, MOST))
    for column, name in names:
        values = first[:, column]
        with np.errstate(invalid="ignore"):  # infinities are refused later
            whole = bool((values % 1 == 0).all())
        if whole and len(np.unique(values)) == len(values):
            raise InputError(
                f"column {column}, called {name!r}, holds different whole numbers, as an index of pandas or R does: "
                f"leave it out with --drop (drop=[{name!r}] in Python), or choose the features with --columns"
            )
