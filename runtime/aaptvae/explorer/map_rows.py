"""Rows for the explorer's map: from a feature file, or the held-out rows of a run, with their conditions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..bundle.manifest import Missing
from ..conditions import NO_CONDITION, Conditions, text_of
from ..errors import InputError
from ..files import Batch, Reading, open_rows
from ..rows import Array, Rows, as_rows
from ..tables import UNNAMED

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


def reading_for(width: int, columns: tuple[str, ...] | None, missing: Missing) -> Reading:
    """How a feature file is read for a model of `width` features, called `columns` where they have names."""
    return Reading(width=width, expected=columns, usual=UNNAMED, missing=missing == "mean")


def read_table(
    path: str | os.PathLike[str],
    reading: Reading,
    conditions: Conditions,
    *,
    label: str | None = None,
    ids: Sequence[str] = (),
    condition: Mapping[str, Any] | None = None,
) -> MapRows:
    """The rows of a feature file; the columns `label`, `ids` and those of `conditions` not in `condition` are no features.

    `InputError` for more than `MOST_ROWS`, and for a condition that is missing or unknown.
    """
    held = tuple(name for name in conditions.names if name not in (condition or {}))
    beside = dict.fromkeys((*([label] if label else []), *ids, *held))  # a label may be a condition
    batch, name = _read(path, replace(reading, ids=tuple(beside)))
    columns = dict(zip(beside, batch.ids, strict=True))
    if condition and not conditions:
        raise InputError(NO_CONDITION)
    given = {key: columns[key] for key in held} | dict(condition or {})
    c = conditions.of_rows(given, len(batch)) if conditions else None
    rows, named = as_rows(batch.values, reading.width or 0, name), {key: [*map(text_of, columns[key])] for key in ids}
    return MapRows(rows, label or "", columns[label] if label else None, c, named or None)


def _read(path: str | os.PathLike[str], reading: Reading) -> tuple[Batch, str]:
    """All rows of a file, and its name."""
    with open_rows(path, reading=reading) as reader:
        parts, count = [], 0
        for batch in reader.labelled(_BATCH):
            parts.append(batch)
            count += len(batch)
            if count > MOST_ROWS:
                raise InputError(f"{reader.name} has over {MOST_ROWS:,} rows: the explorer shows as many at most: take a part")
    if not count:
        raise InputError(f"{os.fspath(path)} has no rows: expected one or more for the map")
    return Batch.joined(parts), reader.name
