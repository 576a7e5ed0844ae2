"""Rows for the explorer's map: from a feature file, or the held-out rows of a run, with their conditions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..conditions import Conditions, text_of
from ..errors import InputError
from ..files import Batch, Reading, open_rows
from ..files.opening import READ_ALL
from ..rows import Array, Names, Rows, as_rows
from ..tables import UNNAMED, filled

MOST_ROWS = 200_000
_BATCH = 4096


class MapRows(NamedTuple):
    """Rows [N, D] for the map, values [N] of the column `name` to colour them by, and their conditions c [N, C].

    `ids` are the values [N] of columns that name the rows, as text.
    """

    rows: Rows
    name: str = ""
    labels: Array | None = None
    c: Rows | None = None
    ids: Mapping[str, Sequence[str]] | None = None


def heldout_rows(rows: Rows, width: int, ids: Mapping[str, Sequence[str]] | None = None) -> MapRows:
    """Held-out rows [N, D + C] of a run of `width` features, behind which their conditions stand."""
    return MapRows(rows[:, :width], c=rows[:, width:] if rows.shape[1] > width else None, ids=ids)


class MapModel(NamedTuple):
    """The rows that a model takes: `width` features, called `columns` where they have names, and `conditions`.

    `means` [D] replace missing values; None where these are refused.
    """

    width: int
    columns: tuple[str, ...] | None
    conditions: Conditions
    means: Array | None


def read_table(
    path: str | os.PathLike[str],
    model: MapModel,
    reading: Reading = READ_ALL,
    *,
    label: str | None = None,
    condition: Mapping[str, Any] | None = None,
) -> MapRows:
    """The rows of a feature file, whose `reading` says which columns are features; `label` and its `ids` are no features.

    `condition` has conditions of all rows, the others are columns. `InputError` for more than `MOST_ROWS`, and for a condition
    that is missing or unknown.
    """
    given, conditions, ids = model.conditions.fixed(condition), model.conditions, reading.ids
    held = tuple(name for name in conditions.names if name not in given)
    beside = dict.fromkeys((*([label] if label else []), *ids, *held))  # a label may be a condition
    reading = replace(reading, ids=tuple(beside), conditions=conditions.names, width=model.width, expected=model.columns)
    batch, name, called = _read(path, replace(reading, usual=UNNAMED, missing=model.means is not None))
    columns = dict(zip(beside, batch.ids, strict=True))
    c = conditions.of_rows(given | {key: columns[key] for key in held}, len(batch)) if conditions else None
    values = batch.values if model.means is None else filled(batch.values, model.means)
    rows, named = as_rows(values, model.width, name, columns=called), {key: [*map(text_of, columns[key])] for key in ids}
    return MapRows(rows, label or "", columns[label] if label else None, c, named or None)


def _read(path: str | os.PathLike[str], reading: Reading) -> tuple[Batch, str, Names]:
    """All rows of a file, its name, and the names of its features."""
    with open_rows(path, reading=reading) as reader:
        parts, count = [], 0
        for batch in reader.labelled(_BATCH):
            parts.append(batch)
            count += len(batch)
            if count > MOST_ROWS:
                raise InputError(f"{reader.name} has over {MOST_ROWS:,} rows: the explorer shows as many at most: take a part")
    if not count:
        raise InputError(f"{os.fspath(path)} has no rows: expected one or more for the map")
    return Batch.joined(parts), reader.name, reader.columns
