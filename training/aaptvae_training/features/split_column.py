"""The column that decides a split by time or by group: a feature, or a column that names rows."""

from datetime import UTC, datetime

import numpy as np
from msgspec.structs import replace as replace_option

from aaptvae.errors import InputError
from aaptvae.rows import Array
from aaptvae.tables.names import listed

from ..config import TrainConfig
from .table import Features


def check_split(config: TrainConfig, features: Features) -> TrainConfig:
    """The options with the number of the split column, its name where it is no feature.

    `InputError` when they do not fit together, or the table.
    """
    if config.missing == "mean" and config.likelihood == "bernoulli":
        raise InputError("missing is mean, which is no value of 0 or 1: use --missing drop with a bernoulli likelihood")
    column = config.split_column
    if column is None and config.split == "group":
        raise InputError("split is group without a column: name the one that holds the groups with --split-column")
    if column is not None and config.split == "random":
        raise InputError(f"split_column is {column}, which a random split does not use: add --split time or --split group")
    return config if column is None else replace_option(config, split_column=_position(column, features))


def _position(column: int | str, features: Features) -> int | str:
    """The number of a feature that is given by its name or its number, or the name of an id; `InputError` for others."""
    names, ids = features.columns or (), features.ids.names if features.ids else ()
    if column in names:
        return names.index(str(column))
    if column in ids:
        return str(column)
    if str(column).isdecimal() and int(column) < features.width:
        return int(column)
    shown = f", called {listed(names)}" if names else ""
    raise InputError(
        f"split_column is {column}: features have {features.width} columns, numbered from 0 to {features.width - 1}{shown}; "
        "for a column that is no feature add --id with its name"
    )


def split_values(features: Features, column: str, split: str) -> Array:
    """Groups [N] as text, or times [N] as numbers, of an id column; `InputError` for a row without one."""
    if features.ids is None:
        raise InputError(f"split_column is {column}: expected the name of a column that --id names")
    place = features.ids.names.index(column)
    texts = [row[place] for row in features.ids.take(np.arange(features.rows))]
    values = texts if split == "group" else [_time(text) for text in texts]
    for row, (text, value) in enumerate(zip(texts, values, strict=True)):
        if value is None or not text:
            kind = "a group" if split == "group" else "a number, or a date such as 2024-01-31T12:00"
            raise InputError(f"{column} is {text[:100]!r} in row {row}: expected {kind}: drop or fill such rows")
    return np.array(values)


def _time(text: str) -> float | None:
    """A number, or an ISO date in seconds since 1970, in UTC where it names no zone; None for other text."""
    try:
        return number if np.isfinite(number := float(text)) else None
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
