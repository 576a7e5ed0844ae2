"""Keys of folders, as in year=2024/part-0.parquet: columns that are no features, for options that name them."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from urllib.parse import unquote

import numpy as np

from ..errors import InputError
from ..rows import Array
from ..tables.names import listed
from .reading import Reading
from .table import Batch, RowReader

_KEY = re.compile(r"([^=]+)=(.*)")
_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")


def keys_of(path: str) -> dict[str, str | None]:
    """The keys in the names of the folders of a path, with their values; None for a missing one."""
    found = [_KEY.fullmatch(part) for part in PurePath(path).parts[:-1]]
    return {unquote(each[1]): None if each[2] == _NULL else unquote(each[2]) for each in found if each}


def integer_keys(paths: Sequence[str]) -> tuple[str, ...]:
    """Keys all of whose values are integers."""
    values: dict[str, set[str]] = {}
    for path in paths:
        for key, value in keys_of(path).items():
            values.setdefault(key, set()).update(() if value is None else (value,))
    return tuple(key for key, found in values.items() if found and all(map(_WHOLE.fullmatch, found)))


def unused_keys(name: str, paths: Sequence[str], reading: Reading) -> tuple[str, ...]:
    """A note about keys of the folders below `name` that no option names."""
    below = [os.path.relpath(path, name) if Path(name).is_dir() else path for path in paths]
    keys = dict.fromkeys(key for path in below for key in keys_of(path) if key not in reading.left_out)
    return (f"{name} has folders by {listed([*keys])}, which is no feature: --id keeps it as a column",) if keys else ()


def open_with_keys(path: str, reading: Reading, open_file: Callable[[Reading], RowReader]) -> RowReader:
    """The file at `path`; keys of its folders stand for columns that the options name and it lacks.

    `InputError` for a key that is named as a feature.
    """
    keys = keys_of(path)
    if features := [key for key in keys if key in reading.columns]:
        raise InputError(
            f"{path} has the key {listed(features)} in its path, which is no feature: name it with --id or --condition, and "
            "leave it out of --columns"
        )
    asked = {key: value for key, value in keys.items() if key in reading.left_out}
    try:
        return open_file(reading)
    except InputError:
        if not asked:
            raise
    drop, ids, conditions = (
        tuple(key for key in names if key not in asked) for names in (reading.drop, reading.ids, reading.conditions)
    )
    whole = open_file(replace(reading, drop=drop, ids=ids, conditions=conditions))
    try:
        known = integer_keys([path]) if reading.integer_keys is None else reading.integer_keys
        made = PartitionedRows(whole, asked, replace(reading, integer_keys=known))
    except BaseException:
        whole.close()
        raise
    made.stream = whole.stream
    return made


class PartitionedRows(RowReader):
    """The rows of a file with keys of its folders among the columns that pass through: integers where all values are."""

    def __init__(self, whole: RowReader, keys: dict[str, str | None], reading: Reading) -> None:
        self.whole, self._values, self.ids = whole, dict[str, str | int | None](keys), reading.ids
        for key in reading.integer_keys or ():
            if (value := keys.get(key)) is not None:
                self._values[key] = int(value)
        if own := [key for key in keys if key in (whole.columns or ())]:
            raise InputError(f"{whole.name} has a column {listed(own)} and a folder of that name: rename one of them")
        self.name, self.width, self.rows, self.dtype = whole.name, whole.width, whole.rows, whole.dtype
        self.columns, self.notes, self.typed = whole.columns, whole.notes, whole.typed
        if whole.id_types or ("pyarrow" in sys.modules and not whole.ids):
            self.id_types = self._types(reading)

    def _types(self, reading: Reading) -> tuple[object, ...]:
        arrow, known = sys.modules["pyarrow"], dict(zip(self.whole.ids, self.whole.id_types, strict=False))
        whole = reading.integer_keys or ()
        return tuple(known[key] if key in known else arrow.int64() if key in whole else arrow.string() for key in self.ids)

    def batches(self, size: int, start: int = 0) -> Iterator[Array]:
        """The numbers."""
        return self.whole.batches(size, start)

    def labelled(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Rows with the columns that pass through."""
        for batch in self.whole.labelled(size, start):
            held = dict(zip(self.whole.ids, batch.ids, strict=True))
            ids = (held[key] if key in held else np.full(len(batch), self._values[key], object) for key in self.ids)
            yield replace(batch, ids=tuple(ids))
        self.bad = self.whole.bad
