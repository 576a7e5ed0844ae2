"""Conditions of a table: columns that are no features, but given to encoder and decoder beside them.

A column of text or of booleans holds categories, one number of c for each; so does one that is named as categorical. Any
other column of numbers is one number of c, standardised.
"""

import itertools
import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aaptvae.bundle.manifest import MOST_CONDITIONS, Condition
from aaptvae.conditions import category_of, encoded, is_plain, values_of
from aaptvae.engine import require_memory
from aaptvae.errors import InputError
from aaptvae.files.fields import is_number
from aaptvae.rows import Matrix, Rows
from aaptvae.tables import column_values
from aaptvae.tables.names import check_length
from aaptvae.tables.readable import MISSING

from ..config import TrainConfig
from .split import Index

_COPIES = 2  # of c in memory while it is made
LACKING = "{name} has no column {key}, which is named as a condition: its columns are {columns}: check the spelling"
LACKING_OTHER = (
    "{name} has no column {key}, a condition of this run, which was trained with --condition {key}: its columns are {columns}: "
    "add the column"
)


class TableConditions:
    """The columns `names` of a table: `add` takes their values block by block, `finished` decides their kinds.

    `specs` are those of a finished run whose conditions other rows must have. `affine` says whether the mean of the features
    is affine in c, which the mean of features in [0, 1] is not.
    """

    def __init__(self, names: Sequence[str], categorical: Sequence[str] = (), specs: tuple[Condition, ...] = ()) -> None:
        self.names, self.specs, self._categorical = tuple(names), specs, frozenset(categorical)
        self.affine = True
        self.typed = True  # a source without types, such as csv, has text alone: numbers are told from other text by its form
        self._held: list[list[Any]] = [[] for _ in names]
        self._c: Rows = np.empty((0, 0), np.float32)

    @classmethod
    def of(cls, config: TrainConfig, specs: tuple[Condition, ...] = ()) -> Self | None:
        """Those that the options name, None without; `InputError` for a categorical column that is no condition."""
        if others := [name for name in config.categorical if name not in config.condition]:
            raise InputError(f"categorical names {others[0]}, which is no condition: name it with --condition too")
        if not config.condition:
            return None
        made = cls(config.condition, config.categorical, specs)
        made.affine = config.likelihood != "bernoulli"
        return made

    @classmethod
    def known(cls, specs: tuple[Condition, ...], c: Rows) -> Self:
        """Those of rows whose numbers c [N, C] are known."""
        made = cls([spec.name for spec in specs], specs=specs)
        made._c = c
        return made

    @property
    def lacking(self) -> str:
        """The message about a table that lacks one."""
        return LACKING_OTHER if self.specs else LACKING

    def columns_of(self, table: Any) -> list[Any]:
        """The columns of a table in memory; `InputError` names one that it lacks."""
        held = column_values(table, self.names, lacking=self.lacking)
        return [held[name] for name in self.names]

    def complete(self, columns: Sequence[Any]) -> NDArray[np.bool_]:
        """Rows [n] of which no condition is missing."""
        missing = [self._missing(place, values_of(column)) for place, column in enumerate(columns)]
        complete: NDArray[np.bool_] = ~np.any(missing, axis=0)
        return complete

    def _missing(self, place: int, values: list[Any]) -> NDArray[np.bool_]:
        """Values that are missing; in a source without types also NA and the like, in a column of numbers."""
        named = self.specs[place].categories if self.specs else self.names[place] in self._categorical
        plain = not self.typed and not named and any(isinstance(value, str) and is_number(value) for value in values)
        texts = map(category_of, values)
        return np.array([not text or (plain and (text in MISSING or text.lower() == "nan")) for text in texts], bool)

    def add(self, columns: Sequence[Any], kept: NDArray[np.bool_] | None = None) -> None:
        """Take in the values of every column, of all rows or of those `kept`."""
        for held, column in zip(self._held, columns, strict=True):
            values = values_of(column)
            held.extend(values if kept is None else itertools.compress(values, kept))

    def finished(self, positions: Index | None = None) -> Self:
        """Itself with its `specs` and numbers c, now that every row is known; errors name rows by their `positions` [N]."""
        positions = np.arange(len(self._held[0])) if positions is None else positions
        if not self.specs:
            self.specs = tuple(self._spec(name, held, positions) for name, held in zip(self.names, self._held, strict=True))
        if (width := sum(spec.width for spec in self.specs)) > MOST_CONDITIONS:
            raise InputError(
                f"the conditions have {width:,} categories: expected at most {MOST_CONDITIONS:,}: give columns of fewer values"
            )
        rows = len(self._held[0])
        stage, remedy = f"encoding conditions of {rows:,} rows as {width:,} numbers", "give columns of fewer values"
        require_memory(stage, _COPIES * 4 * rows * width, remedy)
        parts = [encoded(spec, values, rows, positions) for spec, values in zip(self.specs, self._held, strict=True)]
        self._c, self._held = np.concatenate(parts, axis=1), []
        return self

    def beside(self, rows: Rows, start: int) -> Rows:
        """Rows [n, D] that begin at row `start`, with their conditions: [n, D + C]."""
        return np.concatenate([rows, self._c[start : start + len(rows)]], axis=1)

    def _spec(self, name: str, values: list[Any], positions: Index) -> Condition:
        missing = self._missing(self.names.index(name), values)
        if missing.any():
            row = int(missing.argmax())
            raise InputError(
                f"condition {name} has no value in row {positions[row]}: expected a category or a number: drop or fill such "
                "rows, or give --missing drop"
            )
        numbers = None if name in self._categorical else _as_numbers(values, self.typed)
        if numbers is not None and not np.isfinite(numbers).all():
            row = int(np.flatnonzero(~np.isfinite(numbers))[0])
            raise InputError(
                f"condition {name} is {values[row]!r} in row {positions[row]}: expected a finite number: drop or fill such rows"
            )
        if numbers is not None:
            return Condition(name=name, mean=float(numbers.mean()), scale=float(numbers.std()) or 1.0)
        if name not in self._categorical and any(isinstance(value, date | timedelta) for value in values):
            raise InputError(
                f"condition {name} holds dates or durations: expected numbers or categories: convert it to a number, such as "
                f"days, or name it with --categorical {name} too"
            )
        found = {category_of(value) for value in values}
        check_length([name, *found], f"condition {name}")
        return Condition(name=name, categories=tuple(sorted(found, key=_natural)))


def _as_numbers(values: list[Any], typed: bool) -> Matrix | None:
    """Values as numbers; None unless all are: text of a `typed` source and booleans are categories."""
    texts = [value for value in values if isinstance(value, str)]
    if (texts and typed) or any(isinstance(value, bool) for value in values) or not all(map(is_plain, texts)):
        return None
    try:
        return np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        return None


def _natural(name: str) -> tuple[float, str]:
    """Numbers in their order, then text."""
    try:
        number = float(name)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else math.inf, name
