"""How a file is read: which of its columns are features, which pass through, and the syntax of its text."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..tables import check_names, match_columns
from ..tables.names import Unnamed, in_usual_order, listed
from ..tables.readable import described, share_of_numbers

REMEDY = "leave them out with --drop, pass them by with --id, or name the features with --columns"

LACKING = (
    "{name} has no column {key}, a condition of this model: its columns are {columns}: add the column, or give one value for "
    "all rows with --condition {key}=VALUE"
)

_VECTORS = re.compile(r"(large_|fixed_size_)?list<\w+: (u?int\d+|halffloat|float|double)")  # Arrow's names of types


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of a reader.

    Features are the columns `columns`, else all but those in `drop` and `ids`. With `expected` they are matched by name;
    without it, names that are a prefix of `usual` and a number (x0, x1, ...) are taken in the order of the numbers.
    `conditions` are those of the model: columns of these names are no features, and `ids` has those that are needed, of which
    `lacking` says what to do where the file has none.
    `width` is checked if given; with `skip_bad`, bad rows are not refused, but have a problem (`Batch`). A csv file has a
    header, a delimiter and a decimal mark as given, else as its first lines show. With `missing`, a checked row may hold
    missing values; with `empty`, a file of text may hold a header alone. `integer_keys` are keys of folders, as in
    year=2024/x.npy, whose values are integers in all files; None if this file is the only one.
    """

    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    lacking: str = LACKING
    expected: tuple[str, ...] | None = None
    usual: Unnamed | None = None
    width: int | None = None
    skip_bad: bool = False
    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    missing: bool = False
    empty: bool = False
    integer_keys: tuple[str, ...] | None = None

    @property
    def selects(self) -> bool:
        """True if columns are chosen by name."""
        return bool(self.columns or self.drop or self.ids or self.conditions)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of columns that are no features."""
        return (*self.drop, *self.ids, *self.conditions)


@dataclass(frozen=True)
class Selection:
    """Positions of the features and of the columns that pass through; `columns` are None for features without names."""

    features: list[int]
    ids: list[int]
    columns: tuple[str, ...] | None


def choose(name: str, names: Sequence[str] | None, width: int, reading: Reading) -> Selection:
    """The columns of a file with columns `names`; without names, columns are called by their positions, from 0.

    `InputError` names columns that are missing, unknown or there twice.
    """
    called = check_names(names if names is not None else [str(index) for index in range(width)], name)
    for key in (*reading.columns, *reading.drop, *reading.ids):
        if key not in called and key in reading.conditions:
            raise InputError(reading.lacking.format(name=name, key=key, columns=listed(called)))
        if key not in called:
            beside = "" if names is not None else ", which are called by position as they have no names"
            raise InputError(f"{name} has no column {key}: its columns are {listed(called)}{beside}: check the spelling")
    if both := [key for key in reading.columns if key in (*reading.drop, *reading.ids)]:
        raise InputError(f"{name}: {listed(both)} is named as a feature and to be left out: name each column once")
    taken = check_names(reading.columns, "--columns") or tuple(key for key in called if key not in reading.left_out)
    if names is not None:
        expected = reading.expected if reading.columns or reading.expected else in_usual_order(taken, reading.usual or ())
        match_columns(called, expected, name, [key for key in called if key not in taken], REMEDY)
        taken = taken if expected is None else tuple(expected)
    place = {key: index for index, key in enumerate(called)}
    ids = [place[key] for key in check_names(reading.ids, "--id")]
    return Selection([place[key] for key in taken], ids, taken if names is not None else None)


def refuse_others(
    name: str,
    types: Sequence[str],
    chosen: Selection,
    names: Sequence[str] | None,
    first: Callable[[int], Iterable[Any]] = lambda _: (),
) -> None:
    """`InputError` that names every chosen column whose type is given, because it holds no numbers.

    Of the `first` values of a column, at a position, those that are numbers nevertheless are counted.
    """
    vectors = [names[index] for index in chosen.features if names and _VECTORS.match(types[index])]
    if len(vectors) == 1 and len(chosen.features) > 1:
        others = [names[index] for index in chosen.features if names and names[index] != vectors[0]]
        raise InputError(
            f"{name} holds vectors in column {vectors[0]} beside {listed(others)}: choose it with --columns {vectors[0]}, or "
            "pass the others by with --id or --drop"
        )
    wrong = [index for index in chosen.features if types[index]]
    if wrong:
        said = [share_of_numbers(first(index), first=True)[0] for index in wrong]
        called = [names[index] if names else str(index) for index in wrong]
        shown = listed([described(key, types[at], share) for key, at, share in zip(called, wrong, said, strict=True)], 130)
        convert = "write these as numbers (pd.to_numeric makes them), missing ones as null or nothing, or " if any(said) else ""
        raise InputError(f"{name} holds columns that are no numbers: {shown}: {convert}{REMEDY}")
