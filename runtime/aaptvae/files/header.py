"""Whether a csv file has a header: names in its first line, or in a comment above it.

Where the first lines are ambiguous, nothing is guessed: the error names the option that decides.
"""

import itertools
import re
from collections.abc import Callable, Sequence

from ..errors import InputError
from ..tables.readable import MISSING
from .fields import (
    DELIMITERS,
    QUOTED,
    all_quoted,
    counts_up,
    in_steps,
    is_name,
    is_number,
    is_whole,
    number,
    pointed,
    rise,
    sniffed,
)
from .reading import Reading

Line = tuple[int, str]  # number and text
Split = Callable[[str], list[str]]

LEAST_NAMES, MANY_NAMES = 3, 5  # columns; fewer numbers rise by chance
LEAST_ROWS = 5  # that show the range of a column


def has_header(name: str, first: Sequence[Line], split: Split, reading: Reading) -> bool:
    """Whether the first line of a file called `name` holds names; `InputError` if it may hold names or numbers.

    Names are fields that are no numbers, or numbers of another kind than those of the lines below.
    """
    if reading.header is not None:
        return reading.header
    above = split(first[0][1])
    if reading.expected and set(reading.expected) <= {field.strip() for field in above}:
        return True
    above = pointed(above)
    if not any(map(is_number, above)):
        return any(map(is_name, above))
    rows = [pointed(row) for row in _rows(first, split)]
    if not rows:
        return False
    if not above[0].strip() and counts_up(above[1:]):  # an index, and columns that pandas numbered
        return True
    pairs = list(zip(above, rows[0], strict=False))
    if any(is_name(one) and is_number(value) for one, value in pairs):
        found = _are_steps([one for one in above if is_number(one)])
    else:
        kept = [place for place, pair in enumerate(pairs) if all(map(is_number, pair))]
        quoted = all_quoted(first[0][1]) and not all_quoted(first[1][1])
        found = _numbers_are_names(
            [[line[place] for place in kept] for line in (above, *rows) if len(line) > max(kept, default=0)]
        )
        found = True if quoted and len(above) > 1 else found
    if found is None:
        raise InputError(
            f"{name} line {first[0][0]} may be a header of numbers or a row: {first[0][1][:60]!r}: "
            "say which with --header or --no-header"
        )
    return found


def _rows(first: Sequence[Line], split: Split) -> list[list[str]]:
    """The fields of the lines below the first that can be split."""
    rows = []
    for _, text in first[1:]:
        try:
            rows.append(split(text))
        except ValueError:
            continue
    return rows


def _are_steps(numbers: list[str]) -> bool | None:
    """Whether numbers beside names are names too; None if they may be values."""
    return True if not numbers or counts_up(numbers) or (len(numbers) >= LEAST_NAMES and in_steps(numbers)) else None


def _numbers_are_names(lines: list[list[str]]) -> bool | None:
    """Whether the numbers of the first of `lines` are names; None if they may be.

    Names count up, rise in equal steps (wavelengths, years), rise where there are many, are distinct integers above decimals,
    or lie far from the values below in every column.
    """
    above, below = lines[0], lines[1]
    if not above:
        return False
    if counts_up(above) and not any(map(is_whole, below)):
        return True if len(above) >= LEAST_NAMES else None
    if _far_out(above, lines[2:]):
        return None
    if len(above) < LEAST_NAMES or in_steps(below):
        return False
    if in_steps(above) or (len(above) >= MANY_NAMES and rise(above) and not rise(below)):
        return None
    return None if all(map(is_whole, above)) and len(set(above)) == len(above) and not any(map(is_whole, below)) else False


def _far_out(above: list[str], rows: list[list[str]]) -> bool:
    """Whether each of several numbers is farther from the values of its column than these from each other."""
    if len(above) < 2 or len(rows) < LEAST_ROWS:
        return False
    for one, column in zip(above, itertools.zip_longest(*rows, fillvalue=""), strict=False):
        values = [number(value) for value in column if is_number(value)]
        low, high = min(values, default=0.0), max(values, default=0.0)
        if not max(low - number(one), number(one) - high) > high - low:
            return False
    return True


def refuse_spaces(name: str, first: Sequence[Line], split: Split, delimiter: str) -> None:
    """`InputError` for a header of one name whose words are as many as the numbers of the next line."""
    words = first[0][1].split()
    if delimiter != " " and len(split(first[0][1])) == 1 < len(words) and len(first) > 1:
        values = first[1][1].split()
        if len(values) == len(words) and all(map(is_number, values)):
            raise InputError(
                f"{name} has spaces between values: expected commas, semicolons, tabs or vertical bars: give --delimiter ' '"
            )


def refuse_delimiter(name: str, first: Sequence[Line], delimiter: str) -> None:
    """`InputError` where lines without the given delimiter have another one, equally often."""
    above, *below = [QUOTED.sub("", text) for _, text in first[:2]]
    other = sniffed([above, *below])
    if below and delimiter not in above + below[0] and above.count(other) == below[0].count(other) > 0:
        raise InputError(
            f"{name} has {spelled(other)} between values, not {spelled(delimiter)}: give --delimiter {other!r}, or rename it"
        )


def refuse_index(name: str, first: Sequence[Line], split: Split, key: str, reading: Reading) -> None:
    """`InputError` for a first column without a name whose values count up, unless it is named by an option."""
    if key != "unnamed_0" or key in (*reading.columns, *reading.drop, *reading.ids) or len(first) < 2:
        return
    value = next(iter(_rows(first[:2], split)), [])[:1]
    if value in (["0"], ["1"]) and not (reading.expected and key in reading.expected):
        raise InputError(
            f"{name} has a first column without a name that counts up from {value[0]}, as an index of pandas or R: "
            f"leave it out with --drop {key}, pass it through with --id {key}, or name all features with --columns"
        )


def names_in_comment(comment: str, split: Split, width: int) -> tuple[str, ...] | None:
    """Names of `width` columns in a comment above the first row, as numpy.savetxt writes them; None for other comments."""
    try:
        names = tuple(field.strip() for field in split(comment.lstrip("#").strip()))
    except ValueError:
        return None
    return names if len(names) == width > 1 and all(map(is_name, names)) and len(set(names)) == width else None


def is_row(text: str, like: str, split: Split) -> bool:
    """Whether a line that begins as a comment is a row: it has as many fields as the line `like`, or a missing value alone."""
    try:
        return len(split(text)) == len(split(like)) > 1 or text.strip() in MISSING
    except ValueError:
        return False


def spelled(delimiter: str) -> str:
    """A delimiter in words."""
    return DELIMITERS.get(delimiter, repr(delimiter))


def named_delimiter(text: str) -> str:
    """The delimiter in `sep=;`, which Excel reads and writes above the header; "" for other lines."""
    found = re.fullmatch(r'"?sep=([;,|]|\t?)"?', text.rstrip("\r\n"), re.IGNORECASE)
    return (found[1] or "\t") if found else ""
