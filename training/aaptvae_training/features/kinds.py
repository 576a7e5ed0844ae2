"""The kinds of columns of a table: constants, copies, codes, counts, fill values and others, in sentences.

Extremes, zeros and whole numbers are counted over all rows; shapes of distributions come from a sample of them.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from aaptvae.rows import Matrix, Rows
from aaptvae.tables.names import listed

from .dates import are_dates, in_several_months

Kind = Literal[
    "constant", "copy", "binary", "count", "code", "zero_inflated", "heavy_tail", "fill", "time", "date", "identifier"
]
Columns = NDArray[np.int64]
Mask = NDArray[np.bool_]

SAMPLE_NUMBERS, SAMPLE_ROWS = 1 << 22, (1_000, 20_000)  # of the sample; its least and most rows
DIRECTIONS = 6  # random projections of a column over the rows
SAME = 1e-4  # distance of two normalised projections of copies
LEAST_ROWS = 10  # with fewer, nothing is said about distributions
MOST_CODES = 10
RARE = 0.05  # of the most frequent code: a last one so rare is the tail of counts
FEWEST_OTHERS = 3  # different values beside a fill value
MOST_FILLS = 5  # values with a sentence each
FAR = 2.0  # ranges of the other values between them and a fill value
REPEATED = 0.005  # share of the rows, and 5 of them, that repeat a value at the end of a continuous column
DISTINCT = 0.5  # share of different values in a continuous column
MANY_ZEROS = 0.1
HEAVY = 10.0  # robust deviations of the outermost thousandth of the rows
EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
YEARS = 5e8, 4.2e9  # seconds since 1970 that a time stamp has: 1985 to 2103


class Finding(Struct, frozen=True):
    """Columns of one kind, by position, and a sentence that names them."""

    kind: Kind
    columns: list[int]
    text: str


class ColumnFacts:
    """Accumulates facts of columns over all rows, block by block; rows must be finite."""

    def __init__(self, rows: int, width: int) -> None:
        least, most = SAMPLE_ROWS
        self._stride = max(1, rows // min(most, max(least, SAMPLE_NUMBERS // width)))
        self._sample: list[Rows] = []
        self._random = np.random.default_rng(0x61D)
        self._shift: Rows | None = None
        self.rows = 0
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self.at_low, self.at_high, self.zeros = np.zeros((3, width), np.int64)
        self.whole, self.counts_up, self.dates = np.ones((3, width), bool)
        self._last: Rows | None = None
        self._sum = np.zeros(width)
        self._projected, self._weights = np.zeros((width, DIRECTIONS)), np.zeros(DIRECTIONS)

    def add(self, block: Rows) -> None:
        """Add finite rows [n, D]."""
        if not len(block):
            return
        self._sample.append(block[-self.rows % self._stride :: self._stride].copy())
        self.low, self.at_low = _at_end(np.minimum, self.low, self.at_low, block)
        self.high, self.at_high = _at_end(np.maximum, self.high, self.at_high, block)
        self.zeros += (block == 0).sum(axis=0)
        if (columns := np.flatnonzero(self.whole)).size:
            part = block if columns.size == block.shape[1] else block[:, columns]
            self.whole[columns] = (part == np.rint(part)).all(axis=0)
        self._add_steps(block)
        if (columns := np.flatnonzero(self.dates & self.whole)).size:
            self.dates[columns] = are_dates(block[:, columns])
        if self._shift is None:
            self._shift = block[0].copy()
        weights = self._random.standard_normal((len(block), DIRECTIONS), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            centred = block - self._shift
            self._sum += centred.sum(axis=0, dtype=np.float64)
            self._projected += centred.T @ weights
        self._weights += weights.sum(axis=0, dtype=np.float64)
        self.rows += len(block)

    def _add_steps(self, block: Rows) -> None:
        """Look for columns in which each row is one more than the row before."""
        columns = np.flatnonzero(self.counts_up & self.whole)
        before = block[:, columns] if self._last is None else np.concatenate([self._last[None, columns], block[:, columns]])
        self.counts_up[:] = False
        self.counts_up[columns] = (np.diff(before, axis=0) == 1).all(axis=0)
        self._last = block[-1].copy()

    @property
    def sample(self) -> Rows:
        """Rows spread evenly over the table, each column ascending: [S, D]."""
        return np.sort(np.concatenate(self._sample), axis=0)

    def copies(self) -> list[tuple[int, int]]:
        """Pairs of columns: the first one, and a later one that is a copy of it up to sign, scale and shift.

        Columns are compared by random projections over the rows, which need no covariance.
        """
        residual = self._projected - np.outer(self._sum / max(self.rows, 1), self._weights)
        norms = np.linalg.norm(residual, axis=1)
        live = np.flatnonzero((self.low < self.high) & np.isfinite(norms) & (norms > 0))
        if self.rows <= DIRECTIONS:
            return []
        unit = residual[live] / norms[live, None]
        unit *= np.where(unit[np.arange(len(unit)), np.abs(unit).argmax(axis=1)] < 0, -1, 1)[:, None]
        order = np.argsort(unit[:, 0], kind="stable")
        unit, live = unit[order], live[order]
        first = live.copy()
        for step in range(1, len(live)):
            near = np.flatnonzero(unit[step:, 0] - unit[:-step, 0] < SAME)
            if not near.size:
                break
            same = near[(np.abs(unit[near + step] - unit[near]) < SAME).all(axis=1)]
            for one, other in ((same + step, same), (same, same + step)):
                np.minimum.at(first, one, live[other])
        return sorted((int(a), int(b)) for a, b in zip(first, live, strict=True) if a < b)


def _at_end(extreme: np.ufunc, end: Matrix, count: Columns, block: Rows) -> tuple[Matrix, Columns]:
    """The new extreme of each column, by `np.minimum` or `np.maximum`, and how many rows have it."""
    new = extreme(end, extreme.reduce(block, axis=0))
    return new, np.where(new == end, count, 0) + (block == new.astype(np.float32)).sum(axis=0)


def findings(facts: ColumnFacts, constant: Mask, called: Callable[[int], str]) -> list[Finding]:
    """Sentences about the columns of a table, each with what training does about them; `constant` [D] marks constants."""
    found = list(_kinds(facts, constant, called)) if facts.rows else []
    return [Finding(kind, columns, _sentence(kind, columns, detail, called)) for kind, columns, detail in found]


def _kinds(facts: ColumnFacts, constant: Mask, called: Callable[[int], str]) -> Iterator[tuple[Kind, list[int], str]]:
    """Kind, columns, and a detail for the sentence."""
    yield from _of("constant", constant)
    if facts.rows < LEAST_ROWS:
        return
    if pairs := facts.copies():
        shown = listed([f"{called(column)} of {called(first)}" for first, column in pairs])
        yield "copy", [column for _, column in pairs], shown
    sample, varies = facts.sample, ~constant
    distinct = 1 + (np.diff(sample, axis=0) > 0).sum(axis=0)
    binary = varies & (facts.at_low + facts.at_high == facts.rows)
    yield from _of("binary", binary)
    identifier = varies & facts.whole & (facts.counts_up | _is_permutation(facts, sample, distinct))
    yield from _of("identifier", identifier & ~facts.counts_up)  # `row_numbers` speaks of the others
    time, unit = _times(facts)
    time &= varies & ~identifier & ~binary
    yield from _of("time", time, unit)
    dates = varies & facts.dates & facts.whole & in_several_months(facts.low, facts.high) & ~binary & ~identifier
    yield from _of("date", dates)
    rest = varies & ~binary & ~identifier & ~time & ~dates
    filled = np.zeros_like(rest)
    for value, columns, cells in _fills(facts, sample, distinct, rest):
        filled[columns] = True
        yield "fill", columns, f"the value {value} in {cells:,} cell{'s' * (cells != 1)}"
    whole = rest & facts.whole & (facts.low >= 0) & ~filled
    codes = whole & (distinct <= MOST_CODES) & ((facts.high - facts.low) < MOST_CODES) & _are_codes(sample)
    yield from _of("code", codes)
    yield from _of("count", whole & ~codes)
    zeros = facts.zeros / facts.rows
    expected = np.where(facts.whole, np.exp(-np.clip(sample.mean(axis=0, dtype=np.float64), 0, 700)), 0.0)
    yield from _of("zero_inflated", rest & ~codes & ~filled & (zeros >= MANY_ZEROS + expected))
    yield from _of("heavy_tail", rest & ~codes & ~filled & _is_heavy(sample))


def _of(kind: Kind, mask: Mask, detail: str = "") -> Iterator[tuple[Kind, list[int], str]]:
    if mask.any():
        yield kind, np.flatnonzero(mask).tolist(), detail


def _is_permutation(facts: ColumnFacts, sample: Rows, distinct: Columns) -> Mask:
    """Columns that hold every whole number of a range once, in any order; judged by range, mean and the sample."""
    no_gaps = facts.high - facts.low == facts.rows - 1
    middle = np.abs(sample.mean(axis=0, dtype=np.float64) - (facts.low + facts.high) / 2)
    even = middle < 6 * (facts.high - facts.low + 1) / np.sqrt(12 * len(sample))
    permutation: Mask = no_gaps & (distinct == len(sample)) & even & (facts.rows > MOST_CODES)
    return permutation


def _times(facts: ColumnFacts) -> tuple[Mask, str]:
    """Columns in the range of time stamps since 1970 whose spread is small beside it, and their unit."""
    for unit, scale in EPOCHS.items():
        first, last = YEARS[0] * scale, YEARS[1] * scale
        within: Mask = (facts.low >= first) & (facts.high <= last) & (facts.high - facts.low < 0.5 * facts.high)
        if within.any():
            return within, unit
    return np.zeros(len(facts.low), bool), ""


def _fills(facts: ColumnFacts, sample: Rows, distinct: Columns, rest: Mask) -> list[tuple[str, list[int], int]]:
    """Values far beyond the others of their column, or repeated at an end of a continuous column alone: with columns, cells."""
    found: dict[str, tuple[list[int], int]] = {}
    heavy = _is_heavy(sample[1:-1])  # also without its outermost values: one row far out is then what to expect
    for below, end, count in ((True, facts.low, facts.at_low), (False, facts.high, facts.at_high)):
        others = np.where(sample == end.astype(np.float32), np.nan, sample)
        number = (~np.isnan(others)).sum(axis=0)
        others[:, number == 0] = 0
        low, high = np.nanmin(others, axis=0), np.nanmax(others, axis=0)
        far = ((low - end if below else end - high) > FAR * (high - low)) & (distinct > FEWEST_OTHERS) & ((count > 1) | ~heavy)
        different = (distinct - 1) > DISTINCT * number
        often = (count >= max(5, REPEATED * facts.rows)) & different & (end != 0)
        for column in np.flatnonzero(rest & (number > 0) & (far | often)):
            columns, cells = found.get(value := f"{end[column]:g}", ([], 0))
            found[value] = [*columns, int(column)], cells + int(count[column])
    if len(found) <= MOST_FILLS:
        return [(value, *places) for value, places in found.items()]
    columns = sorted({column for columns, _ in found.values() for column in columns})
    return [(", ".join([*found][:MOST_FILLS]) + " or another", columns, sum(cells for _, cells in found.values()))]


def _are_codes(sample: Rows) -> Mask:
    """Columns whose largest value is no rare tail of the others."""
    last, most = (sample == sample[-1]).sum(axis=0), np.zeros(sample.shape[1], np.int64)
    for value in range(MOST_CODES + 1):
        most = np.maximum(most, (sample == sample[0] + value).sum(axis=0))
    codes: Mask = last > RARE * most
    return codes


def _is_heavy(sample: Rows) -> Mask:
    """Columns whose outermost thousandth lies many robust deviations (from quartiles) from the median."""
    size = len(sample)
    quartiles, ends = (sample[[int(share * (size - 1)) for share in shares]] for shares in ((0.25, 0.5, 0.75), (0.001, 0.999)))
    deviation = (quartiles[2] - quartiles[0]).astype(np.float64) / 1.349
    reach = np.maximum(quartiles[1] - ends[0], ends[1] - quartiles[1])
    heavy: Mask = (deviation > 0) & (reach > HEAVY * deviation)
    return heavy


_WORDS: dict[Kind, str] = {
    "constant": "{who} {constant}: reproduced exactly, without noise, and no part of the likelihood",
    "copy": "{who} {copy} (up to sign, scale and shift): both count in every error: --drop one of each unless that is intended",
    "binary": "{who} {two}: trained as numbers, so samples lie between them, except with sample --as-observed: --likelihood "
    "bernoulli samples tables of 0 and 1",
    "count": "{who} {counts}: trained as numbers, so samples may be negative or not whole, except with sample --as-observed",
    "code": "{who} {codes}: trained as numbers, in this order and with equal steps: make one column for each code if they "
    "have no order",
    "zero_inflated": "{who} {zeros}: trained as numbers, so samples do not repeat the zeros, except with sample --as-observed",
    "heavy_tail": "{who} {heavy}: a few large values decide the standard deviation that scales them, and the linear model "
    "alone reconstructs rows with such values: take the logarithm before training",
    "fill": "{who} {fill} {detail}, far from or unlike the other values: trained as a number like any other, which distorts "
    "the column: if it stands for a missing value, leave the cell empty and give --missing mean or drop",
    "time": "{who} {times} ({detail} since 1970): trained as numbers, as far as float32 holds them: subtract an offset, or "
    "--drop them; --split time uses one to split",
    "date": "{who} {dates} written as numbers (yyyymmdd): trained as numbers, for which a month ends about 70 days before the "
    "next one begins, and which float32 rounds to even ones: write days since a date, or --drop them; --split time uses one to "
    "split",
    "identifier": "{who} {count} the rows, in any order: trained as a number, although it names the row and does not describe "
    "it: --drop it, or --id to keep it beside the results",
}
_VERBS = {
    "constant": ("is constant", "are constant"),
    "copy": ("is a copy of another", "are copies of others"),
    "two": ("has two values", "have two values"),
    "counts": ("holds counts", "hold counts"),
    "codes": ("holds a few codes", "hold a few codes"),
    "zeros": ("is often exactly zero", "are often exactly zero"),
    "heavy": ("has heavy tails", "have heavy tails"),
    "fill": ("has", "have"),
    "times": ("looks like a time stamp", "look like time stamps"),
    "dates": ("looks like dates", "look like dates"),
    "count": ("counts", "count"),
}


def _sentence(kind: Kind, columns: list[int], detail: str, called: Callable[[int], str]) -> str:
    """The line about these columns."""
    many = len(columns) != 1
    names = detail if kind == "copy" else listed([called(column) for column in columns])
    verbs = {name: forms[many] for name, forms in _VERBS.items()}
    return _WORDS[kind].format(who=f"column{'s' * many} {names}", detail=detail, **verbs)
