"""The column that decides a split by time or by group."""

from msgspec.structs import replace as replace_option

from aaptvae.errors import InputError

from ..config import TrainConfig
from .table import Features


def check_split(config: TrainConfig, features: Features) -> TrainConfig:
    """The options with the number of the split column; `InputError` when they do not fit together, or the table."""
    if config.missing == "mean" and config.likelihood == "bernoulli":
        raise InputError("missing is mean, which is no value of 0 or 1: use --missing drop with a bernoulli likelihood")
    column = config.split_column
    if column is None and config.split == "group":
        raise InputError("split is group without a column: name the one that holds the groups with --split-column")
    if column is not None and config.split == "random":
        raise InputError(f"split_column is {column}, which a random split does not use: add --split time or --split group")
    return config if column is None else replace_option(config, split_column=_position(column, features))


def _position(column: int | str, features: Features) -> int:
    """The number of a column that is given by its name or its number; `InputError` where there is none."""
    names = features.columns or ()
    if column in names:
        return names.index(str(column))
    if str(column).isdecimal() and int(column) < features.width:
        return int(column)
    shown = f", called {', '.join(names[:8])}" + ", ..." * (len(names) > 8) if names else ""
    raise InputError(
        f"split_column is {column}: features have {features.width} columns, numbered from 0 to {features.width - 1}{shown}"
    )
